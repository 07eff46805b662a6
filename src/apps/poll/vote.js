// The page to vote on. The server sends what to show; what it knows of this voter is only what they voted.
"use strict";

import { at, element, inline, listen, percent, send, setText } from "./shared.js";

const HOW = {
  single: "Choose one.",
  multiple: "Choose all that apply.",
  open: "Answer in your own words.",
  break: "A program answers this from the text below. Make it fail: send one true sentence to add to the text, or the same question in other words.",
};

let shown = null; // what the server sent last

// The numbers of choices, or the words written; what was picked last for this question and round.
function picked() {
  const words = at("choices").querySelector("textarea")?.value.trim().replace(/\s+/g, " ");
  if (words !== undefined) return words ? [words] : [];
  return [...at("choices").querySelectorAll("input:checked")].map((input) => Number(input.value));
}
const same = (one, other) => one.length === other.length && one.every((number, i) => number === other[i]);

function choice(pieces, i, state) {
  const input = element("input");
  Object.assign(input, { type: state.kind === "multiple" ? "checkbox" : "radio", name: "choice", value: i, checked: state.yours.includes(i) });
  return element("label", "choice", input, element("span", "", ...inline(pieces)));
}

const tally = ({ counts, voters }, i) => `${counts[i]} of ${voters}, ${percent(counts[i], voters)}`;

// An answer in words.
function field(state) {
  const input = element("textarea");
  Object.assign(input, { rows: 3, maxLength: 200, value: state.yours[0] ?? "" });
  input.setAttribute("aria-labelledby", "question how");
  return input;
}

function answer(pieces, i, state) {
  const { right, verdict, why } = state.answers[i];
  const own = state.yours.includes(i) ? [element("strong", "own", "Your choice")] : [];
  const count = element("span", "small", tally(state.now, i) + (state.again ? `; before: ${tally(state.before, i)}` : ""));
  const explained = element("p", "", element("strong", "", verdict), " ", ...inline(why));
  return element("li", right ? "right" : "wrong", element("p", "", ...inline(pieces)), ...own, explained, count);
}

// What there is to say about the voter's own vote.
function said() {
  const voted = shown.yours.length > 0;
  const word = shown.kind === "open" ? "answer" : "vote";
  const none = `You did not ${word}.`;
  if (shown.phase === "open") {
    if (!same(picked(), shown.yours)) return voted ? "Changed here, but not sent yet." : "";
    if (!voted && shown.again) return "You have talked about it: vote again.";
    if (voted && shown.kind === "open") return "Your answer is sent. The room sees it once it has been read.";
    return voted ? "Your vote is counted. You can change it until the answer is shown." : "";
  }
  if (shown.phase === "closed") return `Voting is closed. ${voted ? `Your ${word} is counted.` : none}`;
  if (!voted) return none;
  if (shown.kind === "open") return "";
  const right = shown.answers.flatMap((one, i) => (one.right ? [i] : []));
  return same(right, shown.yours) ? "You are right." : "Your vote is not the answer: see why.";
}

function show(state) {
  const before = shown;
  shown = state;
  const another = !before || before.id !== state.id || before.again !== state.again || JSON.stringify(before.choices) !== JSON.stringify(state.choices);
  if (another || state.phase !== before.phase) setText("problem", "");
  if (another && before) scrollTo(0, 0); // who was at the end of the long reasons reads the next question from its beginning
  at("title").replaceChildren(...inline(state.title));
  setText("place", `Question ${state.names.indexOf(state.id) + 1} of ${state.names.length}`);
  const revealed = state.phase === "revealed";
  at("form").hidden = revealed;
  at("answer").hidden = !revealed;
  if (revealed) {
    at("asked").replaceChildren(...inline(state.text));
    const words = state.yours.map((text) => element("li", "", element("strong", "own", "Your answer"), ` ${text}`));
    const why = element("li", "right", element("p", "", ...inline(state.why)));
    at("answers").replaceChildren(...(state.kind === "open" ? [...words, ...(state.why.length ? [why] : [])] : state.choices.map((pieces, i) => answer(pieces, i, state))));
  } else if (another || before.phase === "revealed") {
    at("question").replaceChildren(...inline(state.text));
    at("how").textContent = HOW[state.passage ? "break" : state.kind];
    at("passage").textContent = state.passage;
    at("choices").replaceChildren(...(state.kind === "open" ? [field(state)] : state.choices.map((pieces, i) => choice(pieces, i, state))));
  } // else it is connected again: what is picked and not sent yet stays, unless it is too late to send it
  const open = state.phase === "open";
  for (const input of at("choices").querySelectorAll("input, textarea")) {
    input.disabled = !open;
    if (!open && state.kind === "open") input.value = state.yours[0] ?? "";
    else if (!open) input.checked = state.yours.includes(Number(input.value));
  }
  at("send").hidden = !open;
  showSaid();
}

function showSaid() {
  setText("said", said());
  const [first, change] = shown.kind === "open" ? ["Send", "Send another instead"] : ["Vote", "Change my vote"];
  setText("send", shown.yours.length ? change : first);
}

async function vote(event) {
  event.preventDefault();
  const { id, again } = shown;
  const choices = picked();
  const empty = shown.kind === "open" && !choices.length;
  const reply = await send("vote", { question: id, choices: empty ? [""] : choices });
  if (shown.id !== id || shown.again !== again) return; // the next question is here
  setText("problem", reply.problem ?? "");
  if (!reply.problem) shown = { ...shown, yours: choices };
  showSaid();
}

at("form").addEventListener("submit", vote);
for (const happened of ["change", "input"]) {
  at("form").addEventListener(happened, () => {
    setText("problem", "");
    showSaid();
  });
}
listen("events", show);
