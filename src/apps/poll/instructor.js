// The page for the projector, and with ?desk the instructor's own: the same poll, with what the room must not see yet.
"use strict";

import { at, element, inline, listen, percent, send, setText } from "./shared.js";

const GONE = "The poll does not answer. If it was started again, open the address that its terminal prints now.";
const SAID = { open: "Voting is open.", closed: "Voting is closed.", revealed: "The answer is shown." };
const DESK = new URLSearchParams(location.search).has("desk");
const BOUNCE = 400; // milliseconds within which a clicker's second press is not meant
const SMALLEST = 15; // pixels of text; below that the page scrolls

let shown = null; // what the server sent last
let fitted = ""; // the words for which the size of the text was chosen

// --- what is shown ---

const ENDED = "The reader ended: see the terminal";
// The score is that of the best guess, also where the reader refuses.
const sure = ({ text, score }) => (text ? `${text} (${percent(score, 1)} sure)` : `\u201cI don\u2019t know\u201d (best guess ${percent(score, 1)} sure)`);

// Answers that differ only in case, space and punctuation at their ends are one.
const fold = (answer) => answer.normalize("NFKC").toLowerCase().replace(/\s+/g, " ").replace(/^[ .,;:!'"]+|[ .,;:!'"]+$/g, "");

// Answers in words, the most frequent first: their text, how many gave it, whether the room may see it, and what the reader made of it.
function groups(state) {
  const found = new Map();
  for (const text of [...Object.keys(state.allowed).filter(Boolean), ...state.said]) {
    const seen = Object.hasOwn(state.allowed, text); // and not inherited, as "constructor" would be
    if (!found.has(fold(text))) found.set(fold(text), { text, count: 0, seen, reading: seen ? state.allowed[text] : null });
  }
  for (const text of state.said) found.get(fold(text)).count += 1;
  // At the desk no row moves under the pointer because others answer.
  return DESK ? [...found.values()] : [...found.values()].sort((one, other) => other.count - one.count);
}

function results(state, i) {
  const votes = state.again ? { "First vote": state.before, "After the discussion": state.now } : { "": state.now };
  return Object.entries(votes).map(([name, { counts, voters }]) => {
    const fill = element("span", "fill");
    fill.style.width = voters ? `${(100 * counts[i]) / voters}%` : "0";
    const bar = element("span", "bar", fill);
    bar.setAttribute("aria-hidden", "true"); // the number beside it says the same
    const count = element("span", "count", `${counts[i]}, ${percent(counts[i], voters)}`);
    return element("div", "result", ...(name && i === 0 ? [element("span", "small", name)] : []), bar, count);
  });
}

function choice(state, i) {
  const answer = state.answers?.[i];
  const mark = answer?.right ? [element("strong", "mark", "\u2714 Right answer"), " "] : [];
  const why = answer ? [element("strong", "", answer.verdict), " ", ...inline(answer.why)] : [];
  const text = element("p", "", ...mark, element("span", "", ...inline(state.choices[i])));
  const made = element("li", answer ? (answer.right ? "right" : "wrong") : "", text);
  made.append(element("div", "results", ...(hidden(state) ? [] : results(state, i))), element("p", "why", ...why));
  return made;
}

// The room follows the first who vote, so it sees no bars until nobody can.
const hidden = (state) => state.phase === "open" && !DESK && !at("live").checked;

function drawBars(state) {
  const widths = [...at("bars").querySelectorAll(".fill")].map((fill) => fill.style.width);
  const moves = at("bars").dataset.id === state.id;
  at("bars").dataset.id = state.id;
  at("bars").replaceChildren(...state.choices.map((_, i) => choice(state, i)));
  const fills = [...at("bars").querySelectorAll(".fill")];
  if (!moves || fills.length !== widths.length) return;
  for (const [i, fill] of fills.entries()) {
    const width = fill.style.width;
    fill.style.width = widths[i]; // from where it was
    fill.getBoundingClientRect();
    fill.style.width = width;
  }
}

function answer(group, state) {
  const { text, count, seen, reading } = group;
  const made = element("li", "", element("p", "", text, " ", ...(count > 1 ? [element("span", "count", `\u00d7 ${count}`)] : [])));
  if (state.passage && seen) {
    const failed = reading?.right === false;
    const verdict = !reading ? "In the queue" : reading.right === null ? ENDED : failed ? "\u2718 The reader failed" : "\u2714 Still right";
    made.className = failed ? "broken" : "";
    made.append(element("p", "why", element("strong", "mark", verdict)));
    if (typeof reading?.right === "boolean" && state.allowed[""]) {
      made.lastChild.append(` before: ${sure(state.allowed[""])}, after: `, element("strong", "", sure(reading)));
    }
  }
  if (DESK) {
    const button = element("button", "", seen ? "Hide" : "Show");
    button.type = "button";
    button.addEventListener("click", (event) => {
      if (event.detail > 0) button.blur();
      if (event.detail < 2) act("moderate", { question: state.id, text, shown: !seen });
    });
    made.prepend(button);
  }
  return made;
}

let held = false; // a button that is pressed must be the same one when it is let go
at("words").addEventListener("pointerdown", () => (held = true));
for (const ends of ["pointerup", "pointercancel"]) {
  addEventListener(ends, () => held && setTimeout(() => { // after the click
    held = false;
    show(shown);
  }));
}

function drawWords(state) {
  const all = groups(state);
  const visible = DESK ? all : all.filter((group) => group.seen && (state.passage ? true : group.count && !hidden(state)));
  const failed = all.filter((group) => group.seen && group.reading?.right === false).length;
  const order = (group) => (group.reading?.right === false ? 0 : 1);
  if (state.passage && !DESK) visible.sort((one, other) => order(one) - order(other));
  if (DESK) visible.sort((one, other) => one.seen - other.seen);
  if (!held) {
    const buttons = () => [...at("words").querySelectorAll("button")];
    const focused = buttons().indexOf(document.activeElement);
    at("words").replaceChildren(...visible.map((group) => answer(group, state)));
    buttons()[focused]?.focus();
  }
  at("reading").replaceChildren();
  if (state.passage) {
    const first = state.allowed[""];
    const before = !first ? "The reader is waking up\u2026" : first.right === null ? `${ENDED}.` : `The reader says: ${sure(first)}.`;
    const tries = all.filter((group) => group.seen && group.reading).length;
    at("reading").append(before, tries ? ` ${failed} of ${tries} made it fail.` : "");
  }
  const waiting = all.filter((group) => !group.seen).length;
  return waiting ? `, ${waiting} to be read at the desk` : "";
}

const HOW = {
  multiple: "Several choices may be right.",
  open: "Answer in your own words.",
  break: "Make the reader fail: add a true sentence to its text, or ask the same in other words, with a question mark.",
};

function show(state) {
  if (shown && (shown.id !== state.id || shown.phase !== state.phase)) setText("problem", "");
  const another = shown?.id !== state.id;
  shown = state;
  const open = state.kind === "open";
  at("title").replaceChildren(...inline(state.title));
  const number = state.names.indexOf(state.id);
  setText("place", `question ${number + 1} of ${state.names.length}`);
  at("place").href = `instructor#${state.id}`;
  if (another) at("question").replaceChildren(...inline(state.text));
  const how = HOW[state.passage ? "break" : state.kind] ?? "";
  at("how").textContent = state.again && state.phase === "open" ? `The second vote, after the discussion. ${how}` : how;
  at("passage").textContent = state.passage;
  at("again").hidden = open;
  setText("votes-title", open ? "Answers" : "Votes");
  if (open) at("bars").replaceChildren();
  else drawBars(state);
  if (!open) for (const id of ["words", "reading"]) at(id).replaceChildren();
  const waiting = open ? drawWords(state) : "";
  at("total").textContent = `${state.now.voters} ${open ? "answered" : "voted"}, ${state.present} here${waiting}`;
  at("why").replaceChildren(...(state.why?.length && open ? [element("strong", "", "One answer: "), ...inline(state.why)] : []));
  document.querySelector("aside").hidden = state.phase === "revealed" || DESK;
  at("sets").value = state.names[0];
  setText("said", SAID[state.phase]);
  setText("closing", state.phase === "closed" ? "Open voting again" : "Close voting");
  // Not `disabled`, which would take the focus away from who has just pressed it.
  const asking = state.phase !== "revealed";
  const usable = {
    previous: number > 0, next: number + 1 < state.names.length, closing: asking, reveal: asking,
    again: state.phase === "closed" && !open && !state.again && state.now.voters > 0,
  };
  for (const [id, can] of Object.entries(usable)) at(id).setAttribute("aria-disabled", can ? "false" : "true");
  if (state.phase !== "open" || timer()?.id !== state.id) at("timer").value = "";
  tick();
  const words = JSON.stringify([state.id, state.phase, state.again, state.allowed, hidden(state)]);
  if (words !== fitted || !inView()) fit(); // and not for each of 200 votes
  fitted = words;
}

const inView = () => document.documentElement.scrollHeight <= innerHeight && at("board").scrollWidth <= at("board").clientWidth;

// The largest text with which everything is in view from the back row of a room, with bars below or beside their choices.
function fit() {
  const board = at("board");
  if (innerWidth < 800 || DESK) return board.removeAttribute("style");
  const fits = (size, beside) => {
    board.classList.toggle("beside", beside);
    board.style.fontSize = `${size}px`;
    return inView();
  };
  const largest = (beside) => {
    let [low, high] = [SMALLEST, Math.max(SMALLEST, Math.round(innerHeight / 16))];
    if (fits(high, beside)) return high;
    while (high - low > 0.5) {
      const middle = (low + high) / 2;
      if (fits(middle, beside)) low = middle;
      else high = middle;
    }
    return low;
  };
  const below = largest(false);
  const beside = shown?.again ? 0 : largest(true); // two results are too much beside a choice
  if (beside > 1.1 * below) fits(beside, true);
  else fits(below, false);
}

// --- what the instructor does ---

async function act(path, what) {
  const reply = await send(`instructor/${path}`, what);
  setText("problem", reply.problem ?? "");
}

const phase = (name) => ["set_phase", { question: shown.id, phase: name }];
const beside = (step) => ["show", { question: shown.names[shown.names.indexOf(shown.id) + step] }];
const ACTIONS = {
  previous: () => beside(-1),
  next: () => beside(1),
  closing: () => phase(shown.phase === "closed" ? "open" : "closed"),
  again: () => phase("again"),
  reveal: () => phase("revealed"),
};
const can = (id) => shown && at(id).getAttribute("aria-disabled") === "false";
for (const [id, action] of Object.entries(ACTIONS)) {
  at(id).addEventListener("click", (event) => {
    if (event.detail > 0) at(id).blur(); // else a clicker's space presses it once more
    if (event.detail > 1) return; // the second half of a double click, which would undo the first or skip a question
    if (can(id)) act(...action());
  });
}

// A presenter's remote sends page down and page up, or arrows, or a space: one step on, and one back.
const ON = ["PageDown", "ArrowRight", " "];
const BACK = ["PageUp", "ArrowLeft"];
let pressed = 0;
document.addEventListener("keydown", (event) => {
  const on = ON.includes(event.key);
  if ((!on && !BACK.includes(event.key)) || event.ctrlKey || event.altKey || event.metaKey || !shown) return;
  if (event.target.closest("select, input, textarea") || (event.key === " " && event.target.closest("button, a, summary"))) return;
  event.preventDefault();
  if (event.repeat || Date.now() - pressed < BOUNCE) return;
  pressed = Date.now();
  const id = on ? { open: "closing", closed: "reveal", revealed: "next" }[shown.phase] : shown.phase === "closed" ? "closing" : "previous";
  if (can(id)) act(...ACTIONS[id]());
});

// The timer is this browser's, so that the desk and the projector show the same.
const timer = () => JSON.parse(localStorage.getItem("timer") ?? "null");
function tick() {
  const set = timer();
  const runs = set && shown?.phase === "open" && set.id === shown.id && set.again === shown.again;
  const left = runs ? Math.ceil((set.end - Date.now()) / 1000) : 0;
  const seconds = `${Math.max(0, left) % 60}`.padStart(2, "0");
  setText("clock", runs ? `${Math.floor(Math.max(0, left) / 60)}:${seconds}` : "");
  if (!runs || left > 0) return;
  localStorage.removeItem("timer");
  act(...phase("closed"));
}
setInterval(tick, 250);
at("timer").addEventListener("change", () => {
  const seconds = Number(at("timer").value);
  if (!seconds || shown?.phase !== "open") localStorage.removeItem("timer");
  else localStorage.setItem("timer", JSON.stringify({ id: shown.id, again: shown.again, end: Date.now() + 1000 * seconds }));
  at("more").open = false;
  tick();
});

at("live").checked = localStorage.getItem("live") === "1";
at("live").addEventListener("change", () => {
  localStorage.setItem("live", at("live").checked ? "1" : "0");
  at("more").open = false;
  if (shown) show(shown);
});
addEventListener("storage", (event) => {
  if (event.key === "live") at("live").checked = event.newValue === "1";
  if (shown) show(shown);
});

at("sets").addEventListener("change", () => {
  at("more").open = false;
  act("show", { question: at("sets").value });
});

// A link to a question, from a slide or a notebook: .../instructor#04_attention/by_hand
function follow() {
  const question = decodeURIComponent(location.hash.slice(1));
  if (!question) return;
  history.replaceState(null, "", location.pathname + location.search); // a reload then stays where the room is by then
  act("show", { question });
}
addEventListener("hashchange", follow);
follow();

document.querySelector("main").classList.toggle("desk", DESK);
if (DESK) document.title = "Poll, the instructor's desk";
addEventListener("resize", () => shown && fit());
listen("instructor/events", show, GONE);
