// Ask Wikipedia. The server sends every candidate with its score; answering or refusing is decided here, so that the slider needs
// no server. Text of questions and passages only ever becomes textContent: markup in it is shown, never run.
"use strict";

const at = (id) => document.getElementById(id);
const form = at("form"), question = at("question"), passage = at("passage"), slider = at("threshold");
const thresholds = { search: Number(form.dataset.search), passage: Number(form.dataset.passage) };
const PATIENCE = 300; // milliseconds before it says that it is reading

let shown = null; // what is on the page: {where, candidates, note, answered}
let pending = null; // the AbortController of the question that is being read

function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function percent(share) {
  if (share > 0 && share < 0.005) return "under 1 %";
  if (share >= 0.995 && share < 1) return "over 99 %";
  return `${Math.round(100 * share)} %`;
}

const where = () => form.elements.where.value;
const quoted = (text) => element("bdi", "", `“${text}”`);

// --- what is shown ---------------------------------------------------------------------------------------------------------

function passageOf(candidate) {
  const text = element("blockquote", "", candidate.before, element("mark", "", candidate.text), candidate.after);
  text.dir = "auto";
  return text;
}

function bar(candidate) {
  const fill = element("span", "fill");
  fill.style.width = `${100 * candidate.score}%`;
  const made = element("span", "bar", fill, element("span", "tick"));
  made.setAttribute("aria-hidden", "true"); // the text beside it says the same
  return made;
}

function sourceOf(candidate) {
  const place = candidate.place ? ` (${candidate.place})` : "";
  return candidate.title ? [", from ", quoted(candidate.title), element("bdi", "", place)] : [];
}

function runnerUp(candidate) {
  const source = sourceOf(candidate);
  const summary = element("summary", "", element("strong", "", quoted(candidate.text)), ` ${percent(candidate.score)} sure`, ...source);
  return element("li", "unsure", element("details", "", summary, bar(candidate), passageOf(candidate)));
}

function verdict(best, answered) {
  const lines = [];
  if (answered) {
    const source = best.title ? sourceOf(best) : [", from your passage"];
    lines.push(element("p", "answer", element("bdi", "", best.text)), element("p", "", `${percent(best.score)} sure`, ...source, "."));
  } else {
    const why = best ? `The best guess is ${percent(best.score)} sure, which is less than you ask for.` : "Nothing in the passages fits.";
    lines.push(element("p", "answer", "I don’t know."), element("p", "", why));
  }
  if (shown.note) lines.push(element("p", "small", shown.note));
  return lines;
}

// Answer or refuse by the threshold. The live region changes only with the decision, so that a screen reader hears only that.
function decide() {
  const best = shown.candidates[0];
  const answered = best !== undefined && best.score >= thresholds[shown.where];
  if (answered === shown.answered) return;
  shown.answered = answered;
  at("verdict").replaceChildren(...verdict(best, answered));
  at("evidence").replaceChildren(...(answered ? [bar(best), passageOf(best)] : []));
  const others = answered ? shown.candidates.slice(1) : shown.candidates;
  at("runners-up").hidden = others.length === 0;
  at("runners-up-title").textContent = answered ? "Runners-up" : "Found, but not sure enough to say";
  at("others").replaceChildren(...others.map(runnerUp));
}

function showThreshold() {
  const share = thresholds[shown ? shown.where : where()];
  const text = share < 0.0995 && share > 0 ? `${Number((100 * share).toFixed(1))} %` : percent(share);
  slider.value = 100 * share;
  slider.setAttribute("aria-valuetext", text);
  at("least").textContent = text;
  document.documentElement.style.setProperty("--threshold", share);
}

function clear(...lines) {
  shown = null;
  at("verdict").replaceChildren(...lines);
  at("evidence").replaceChildren();
  at("others").replaceChildren();
  at("runners-up").hidden = true;
  showThreshold();
}

function tell(problem) {
  at("problem").textContent = problem;
  question.setAttribute("aria-invalid", problem ? "true" : "false");
}

// --- asking ----------------------------------------------------------------------------------------------------------------

async function ask() {
  pending?.abort(); // of two questions only the later one matters
  const mine = (pending = new AbortController());
  const asked = { question: question.value, passage: where() === "passage" ? passage.value : null };
  const place = where();
  const waiting = setTimeout(() => clear(element("p", "", "Reading…")), PATIENCE);
  let reply;
  try {
    const headers = { "Content-Type": "application/json" };
    const response = await fetch("ask", { method: "POST", headers, body: JSON.stringify(asked), signal: mine.signal });
    reply = await response.json();
  } catch {
    reply = { problem: "The demo does not answer: it may have ended, or this text is far too long." };
  }
  clearTimeout(waiting);
  if (mine !== pending) return;
  pending = null;
  tell(reply.problem ?? "");
  clear();
  if (reply.problem) return;
  shown = { where: place, candidates: reply.candidates, note: reply.note };
  showThreshold();
  decide();
  at("verdict").scrollIntoView({ block: "nearest" });
}

function showPlace() {
  at("own").hidden = where() !== "passage";
  if (!shown) showThreshold();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
form.addEventListener("change", showPlace);
slider.addEventListener("input", () => {
  thresholds[shown ? shown.where : where()] = slider.valueAsNumber / 100;
  showThreshold();
  if (shown) decide();
});
for (const example of document.querySelectorAll("[data-question]")) {
  example.addEventListener("click", () => {
    question.value = example.dataset.question;
    passage.value = example.dataset.passage ?? passage.value;
    form.elements.where.value = example.dataset.passage === undefined ? "search" : "passage";
    showPlace();
    ask();
  });
}
showPlace();
clear(element("p", "", "Ask something, or click an example."));
