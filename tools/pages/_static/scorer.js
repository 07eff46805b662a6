// Search results: a lesson explains an idea, a function of the same name only uses it, and so do notes for instructors.
var Scorer = {
  score: ([page, , , , score]) => (/^(reference|docs|files)\//.test(page) ? score - 30 : score),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
