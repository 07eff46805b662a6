// What both pages of a poll do. Text of questions only ever becomes textContent: markup in it is shown, never run.
"use strict";

export const at = (id) => document.getElementById(id);
const GONE = "The poll does not answer. This page tries again by itself.";
const UNSENT = "The poll does not answer. When it is here again, try once more.";
const REPLACED = "This poll is open on newer pages of this browser. To go on here, reload this one.";
const PAUSE = 2000; // milliseconds until a stream that was refused is asked for again
const LATE = 3; // so many times the server's pulse without a word, and it is gone

let patience = LATE * 5000; // milliseconds; the stream says how long its pulse is

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

// Why a stream was refused, in the server's own words, which an EventSource keeps to itself; undefined where there is no such answer.
async function refusal(path) {
  const stop = new AbortController();
  try {
    const response = await fetch(path, { signal: stop.signal });
    return response.ok ? undefined : (await response.json()).problem;
  } catch {
    return undefined;
  } finally {
    stop.abort();
  }
}

// Call show(state) with what the server sends, now and whenever it changes; while it cannot be reached, say so in #connection.
export function listen(path, show, gone = GONE) {
  let stream, heard; // heard: when there was a sign of life; never again to be expected where it is Infinity

  function open() {
    stream?.close();
    const opened = new EventSource(path);
    const alive = () => (heard = Date.now());
    stream = opened;
    alive();
    opened.addEventListener("pulse", (event) => {
      alive();
      patience = LATE * 1000 * Number(event.data);
    });
    opened.addEventListener("message", (event) => {
      alive();
      setText("connection", "");
      show(JSON.parse(event.data));
    });
    opened.addEventListener("replaced", () => {
      opened.close();
      heard = Infinity;
      setText("connection", REPLACED);
    });
    opened.addEventListener("error", async () => {
      if (opened.readyState !== EventSource.CLOSED) return setText("connection", gone); // lost, and returns by itself
      const reason = await refusal(path);
      if (stream !== opened) return; // there is another by now
      setText("connection", reason ?? gone);
      setTimeout(() => stream === opened && open(), PAUSE);
    });
  }

  open();
  // No browser tells of a server that fell silent without ending the connection, as a laptop does that is shut or out of reach.
  setInterval(() => {
    if (Date.now() - heard <= patience) return;
    setText("connection", gone);
    open();
  }, 1000);
  // And a phone that slept may have lost its stream unawares: whoever looks at the page sees what is so now.
  document.addEventListener("visibilitychange", () => document.hidden || open());
}

// Send something and return what the server says: {problem: sentence} where it did not work.
export async function send(path, what) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), patience);
  try {
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(what), signal: stop.signal });
    return await response.json();
  } catch {
    return { problem: UNSENT };
  } finally {
    clearTimeout(timer);
  }
}

export const percent = (count, all) => (all ? `${Math.round((100 * count) / all)} %` : "0 %");
