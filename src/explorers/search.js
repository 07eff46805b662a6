// Search in all introductions and choose among what is read, by the rules of src.qa: keyword,
// retriever and open_domain. Constants and files come from tools/page_search.py.
"use strict";

(function (E) {
  // --- words ---------------------------------------------------------------------------------

  const WORD = /[\p{L}\p{N}]+(?:'[\p{L}\p{N}]+)*/gu;

  // The words of a text as the index knows them; withoutBlanks: a class of characters.
  function keywords(text, withoutBlanks) {
    const words = text.normalize("NFC").replaceAll("\u2019", "'").toLowerCase().match(WORD) ?? [];
    const made = words.map(singular);
    for (const run of text.match(withoutBlanks) ?? []) {
      const characters = [...run];
      for (const n of [1, 2]) {
        for (let i = 0; i + n <= characters.length; i++) made.push(characters.slice(i, i + n).join(""));
      }
    }
    return made;
  }

  function singular(word) {
    if (word.endsWith("'s")) word = word.slice(0, -2);
    const { length } = [...word];
    if (length > 4 && word.endsWith("ies")) return `${word.slice(0, -3)}y`;
    return length > 3 && /(?<![sui])s$/.test(word) ? word.slice(0, -1) : word;
  }

  // BM25 over [title, text] of every document.
  class KeywordIndex {
    constructor(documents, { k1, b, titleTimes, withoutBlanks }) {
      Object.assign(this, { k1, b, withoutBlanks: new RegExp(`[${withoutBlanks}]+`, "gu") });
      this.postings = new Map(); // word -> [document, how often, document, how often, ...]
      this.lengths = documents.map(([title, text], number) => {
        const heading = keywords(title, this.withoutBlanks), body = keywords(text, this.withoutBlanks);
        for (const word of heading) this.count(word, number, titleTimes);
        for (const word of body) this.count(word, number, 1);
        return titleTimes * heading.length + body.length;
      });
      this.mean = this.lengths.reduce((sum, length) => sum + length, 0) / documents.length;
    }

    count(word, number, times) {
      const found = this.postings.get(word);
      if (!found) this.postings.set(word, [number, times]);
      else if (found[found.length - 2] === number) found[found.length - 1] += times;
      else found.push(number, times);
    }

    // Float32Array[N]; in single precision, as bm25s adds them.
    scores(question) {
      const N = this.lengths.length, scores = new Float32Array(N);
      for (const word of new Set(keywords(question, this.withoutBlanks))) {
        const found = this.postings.get(word) ?? [], n = found.length / 2;
        const idf = Math.log(1 + (N - n + 0.5) / (n + 0.5));
        for (let i = 0; i < found.length; i += 2) {
          const number = found[i], f = found[i + 1];
          scores[number] += idf * (f / (f + this.k1 * (1 - this.b + (this.b * this.lengths[number]) / this.mean)));
        }
      }
      return scores;
    }
  }

  // --- meaning -------------------------------------------------------------------------------

  // The cosine of a question's vector with those of all documents, Int8Array[N * D].
  function cosines(numbers, question) {
    const D = question.length, scores = new Float32Array(numbers.length / D);
    for (let row = 0, i = 0; row < scores.length; row++) {
      let product = 0, square = 0;
      for (let d = 0; d < D; d++, i++) {
        product += numbers[i] * question[d];
        square += numbers[i] * numbers[i];
      }
      scores[row] = product / Math.sqrt(square);
    }
    return scores;
  }

  // The numbers of the k highest scores, highest first; of equal ones the lower number.
  const best = (scores, k) =>
    [...scores.keys()].sort((a, b) => scores[b] - scores[a] || a - b).slice(0, k);

  // Reciprocal rank fusion: numbers, the best first.
  E.fuse = function (rankings, constant) {
    const totals = new Map();
    for (const ranking of rankings) {
      for (const [place, number] of ranking.entries()) {
        totals.set(number, (totals.get(number) ?? 0) + 1 / (constant + place + 1));
      }
    }
    return [...totals.keys()].sort((a, b) => totals.get(b) - totals.get(a) || a - b);
  };

  // --- choosing ------------------------------------------------------------------------------

  // read: for every passage, the likest first, {candidates, nullLogit}. One softmax over the spans
  // of all passages and none. Returns the best span of each passage, best first: {rank, text, start,
  // end, score, nullScore}, and `belief`: the score of an answer given in words.
  E.choose = function (read, { logit, null: weight, rank: fall, none, spans, scaling }) {
    const all = read.flatMap(({ candidates, nullLogit }, i) =>
      candidates.slice(0, spans).map((span) => ({
        ...span, rank: i + 1, support: logit * span.logit - weight * nullLogit - fall * Math.log(i + 1),
      })));
    const shares = E.softmax([none, ...all.map((span) => span.support)]), noneShare = shares.shift();
    const agreed = (text, agrees) => Math.min(1, agrees.reduce((sum, yes, j) => sum + yes * shares[j], 0));
    const agree = E.agreement(all.map((span) => span.text)), first = new Map();
    const order = [...all.keys()].sort((a, b) => shares[b] - shares[a] || a - b);
    for (const i of order) {
      const { rank, text, start, end } = all[i], sum = agreed(text, agree[i]), score = E.scaled(sum, scaling);
      const nullScore = (1 - score) * Math.min(noneShare / Math.max(1 - sum, 1e-12), 1);
      if (!first.has(rank)) first.set(rank, { rank, text, start, end, score, nullScore });
    }
    const belief = (text) =>
      E.scaled(agreed(text, E.agreement([text, ...all.map((span) => span.text)])[0].slice(1)), scaling);
    return { candidates: [...first.values()], belief };
  };

  // --- in the worker -------------------------------------------------------------------------

  E.searching = function ({ run, tokenizer, tasks }) {
    let documents, index, numbers, latest;
    return {
      async introductions({ bytes, settings }) {
        documents = JSON.parse(new TextDecoder().decode(bytes));
        index = new KeywordIndex(documents, settings);
      },

      async vectors({ bytes }) {
        numbers = new Int8Array(bytes.buffer);
      },

      // The likest documents, by their numbers, the likest first.
      async byWords({ question, pool }) {
        const scores = index.scores(question);
        return best(scores, pool).filter((number) => scores[number] > 0);
      },

      async byMeaning({ name, question, pool, longest }) {
        const { sentence } = await run(name, tokenizer().sentence(question, longest));
        return best(cosines(numbers, sentence.data), pool);
      },

      async titled({ numbers: wanted }) {
        return wanted.map((number) => ({ number, title: documents[number][0], text: documents[number][1] }));
      },

      // What the reader marks in passages: candidates and nullLogit of each. A later task ends it.
      async readAll({ passages, ...how }, tell) {
        const found = [], mine = (latest = {});
        for (const passage of passages) {
          tell(found.length);
          const { answer } = await tasks.read({ passage, ...how }, () => {});
          found.push({ candidates: answer.candidates, nullLogit: answer.nullLogit });
          await new Promise((resolve) => setTimeout(resolve)); // messages come in between
          if (mine !== latest) break;
        }
        return found;
      },
    };
  };
})((globalThis.Explorers ??= {}));
