// The page for the projector: bars that move with every vote, and what the instructor does.
"use strict";

import { at, element, inline, listen, percent, send, setText } from "./shared.js";

const GONE = "The poll does not answer. If it was started again, open the address that its terminal prints now.";
const SAID = { open: "Voting is open.", closed: "Voting is closed.", revealed: "The answer is shown." };

let shown = null; // what the server sent last

function bar(pieces, i) {
  const made = element("span", "bar", element("span", "fill"));
  made.setAttribute("aria-hidden", "true"); // the number beside it says the same
  const line = element("p", "line", element("span", "", ...inline(pieces)), element("span", "count"));
  return element("li", "", line, made, element("p", "why"));
}

function draw(state) {
  at("question").replaceChildren(...inline(state.text));
  at("bars").replaceChildren(...state.choices.map(bar));
}

function show(state) {
  const drawn = shown && shown.id === state.id && JSON.stringify(shown.choices) === JSON.stringify(state.choices);
  shown = state;
  if (!drawn) draw(state); // else the bars that are there move
  at("title").replaceChildren(...inline(state.title));
  setText("place", `question ${state.number} of ${state.of}`);
  at("how").textContent = state.multiple ? "Several choices may be right." : "";
  at("total").textContent = `${state.voters} voted, ${state.present} here`;
  [...at("bars").children].forEach((line, i) => {
    const answer = state.answers?.[i];
    line.querySelector(".fill").style.width = state.voters ? `${(100 * state.counts[i]) / state.voters}%` : "0";
    line.querySelector(".count").textContent = `${state.counts[i]}, ${percent(state.counts[i], state.voters)}`;
    line.className = answer ? (answer.right ? "right" : "wrong") : "";
    line.querySelector(".why").replaceChildren(...(answer ? [element("strong", "", answer.verdict), " ", ...inline(answer.why)] : []));
  });
  setText("said", SAID[state.phase]);
  setText("closing", state.phase === "closed" ? "Open voting again" : "Close voting");
  // Not `disabled`, which would take the focus away from who has just pressed it.
  const usable = { previous: state.previous, next: state.next, closing: state.phase !== "revealed", reveal: state.phase !== "revealed" };
  for (const [id, can] of Object.entries(usable)) at(id).setAttribute("aria-disabled", can ? "false" : "true");
}

const ACTIONS = {
  previous: () => ["show", { question: shown.previous }],
  next: () => ["show", { question: shown.next }],
  closing: () => ["phase", { question: shown.id, phase: shown.phase === "closed" ? "open" : "closed" }],
  reveal: () => ["phase", { question: shown.id, phase: "revealed" }],
};
for (const [id, action] of Object.entries(ACTIONS)) {
  at(id).addEventListener("click", async (event) => {
    if (event.detail > 1) return; // the second half of a double click, which would undo the first or skip a question
    if (!shown || at(id).getAttribute("aria-disabled") === "true") return;
    const [path, what] = action();
    const reply = await send(`instructor/${path}`, what);
    setText("problem", reply.problem ?? "");
  });
}
listen("instructor/events", show, GONE);
