// The page to vote on. The server sends what to show; what it knows of this voter is only what they voted.
"use strict";

import { at, element, inline, listen, percent, send, setText } from "./shared.js";

let shown = null; // what the server sent last

const picked = () => [...at("choices").querySelectorAll("input:checked")].map((input) => Number(input.value));
const same = (one, other) => one.length === other.length && one.every((number, i) => number === other[i]);

function choice(pieces, i, state) {
  const input = element("input");
  Object.assign(input, { type: state.multiple ? "checkbox" : "radio", name: "choice", value: i, checked: state.yours.includes(i) });
  return element("label", "choice", input, element("span", "", ...inline(pieces)));
}

function answer(pieces, i, state) {
  const { right, verdict, why } = state.answers[i];
  const own = state.yours.includes(i) ? [element("strong", "own", "Your choice")] : [];
  const count = element("span", "small", `${state.counts[i]} of ${state.voters}, ${percent(state.counts[i], state.voters)}`);
  const explained = element("p", "", element("strong", "", verdict), " ", ...inline(why));
  return element("li", right ? "right" : "wrong", element("p", "", ...inline(pieces)), ...own, explained, count);
}

// What there is to say about the voter's own vote.
function said() {
  const voted = shown.yours.length > 0;
  if (shown.phase === "open") {
    if (!same(picked(), shown.yours)) return voted ? "Changed here, but not sent yet." : "";
    return voted ? "Your vote is counted. You can change it until the answer is shown." : "";
  }
  if (shown.phase === "closed") return `Voting is closed. ${voted ? "Your vote is counted." : "You did not vote."}`;
  if (!voted) return "You did not vote.";
  const right = shown.answers.flatMap((one, i) => (one.right ? [i] : []));
  return same(right, shown.yours) ? "You are right." : "Your vote is not the answer: see why.";
}

function show(state) {
  const before = shown;
  shown = state;
  const another = !before || before.id !== state.id || JSON.stringify(before.choices) !== JSON.stringify(state.choices);
  if (another || state.phase !== before.phase) setText("problem", "");
  if (another && before) scrollTo(0, 0); // who was at the end of the long reasons reads the next question from its beginning
  at("title").replaceChildren(...inline(state.title));
  setText("place", `Question ${state.number} of ${state.of}`);
  const revealed = state.phase === "revealed";
  at("form").hidden = revealed;
  at("answer").hidden = !revealed;
  if (revealed) {
    at("asked").replaceChildren(...inline(state.text));
    at("answers").replaceChildren(...state.choices.map((pieces, i) => answer(pieces, i, state)));
  } else if (another || before.phase === "revealed") {
    at("question").replaceChildren(...inline(state.text));
    at("how").textContent = state.multiple ? "Choose all that apply." : "Choose one.";
    at("choices").replaceChildren(...state.choices.map((pieces, i) => choice(pieces, i, state)));
  } // else it is connected again: what is picked and not sent yet stays, unless it is too late to send it
  const open = state.phase === "open";
  for (const input of at("choices").querySelectorAll("input")) {
    input.disabled = !open;
    if (!open) input.checked = state.yours.includes(Number(input.value));
  }
  at("send").hidden = !open;
  showSaid();
}

function showSaid() {
  setText("said", said());
  setText("send", shown.yours.length ? "Change my vote" : "Vote");
}

async function vote(event) {
  event.preventDefault();
  const { id } = shown;
  const choices = picked();
  const reply = await send("vote", { question: id, choices });
  if (shown.id !== id) return; // the next question is here
  setText("problem", reply.problem ?? "");
  if (!reply.problem) shown = { ...shown, yours: choices };
  showSaid();
}

at("form").addEventListener("submit", vote);
at("form").addEventListener("change", () => {
  setText("problem", "");
  showSaid();
});
listen("events", show);
