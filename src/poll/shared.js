// What both pages of a poll do. Text of questions only ever becomes textContent: markup in it is shown, never run.
"use strict";

export const at = (id) => document.getElementById(id);
const GONE = "The poll does not answer. This page tries again by itself.";
const PAUSE = 2000; // milliseconds until a stream that was refused is asked for again

export function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

// The pieces of a text, [name of an element or "", words], as nodes.
export const inline = (pieces) => pieces.map(([name, words]) => (name ? element(name, "", words) : words));

export function setText(id, text) {
  if (at(id).textContent !== text) at(id).textContent = text; // a screen reader hears a change, not a repetition
}

// Call show(state) with what the server sends, now and whenever it changes; while it cannot be reached, say so in #connection.
export function listen(path, show, gone = GONE) {
  const stream = new EventSource(path);
  stream.addEventListener("message", (event) => {
    setText("connection", "");
    show(JSON.parse(event.data));
  });
  stream.addEventListener("error", () => {
    setText("connection", gone);
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => listen(path, show, gone), PAUSE); // refused; a lost one returns by itself
  });
}

// Send something and return what the server says: {problem: sentence} where it did not work.
export async function send(path, what) {
  try {
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(what) });
    return await response.json();
  } catch {
    return { problem: GONE };
  }
}

export const percent = (count, all) => (all ? `${Math.round((100 * count) / all)} %` : "0 %");
