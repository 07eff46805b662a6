// From start and end logits over tokens to an answer, by the rules of src.qa.decoding.
"use strict";

(function (E) {
  const SPANS = 20, MAX_ANSWER_TOKENS = 30;

  // windows: with starts, ends, and the model's startLogits and endLogits. Returns the answer, also
  // where it is refused: {text, start, end, score, nullScore, nullLogit, candidates}.
  E.decode = function (windows, passage, temperature) {
    const spans = new Map(); // "start end" -> {start, end, logit, startLogit, endLogit}
    let nullLogit = Infinity;
    for (const window of windows) {
      nullLogit = Math.min(nullLogit, window.startLogits[0] + window.endLogits[0]); // of [CLS]
      for (const [key, span] of bestSpans(window, passage)) {
        const known = spans.get(key);
        if (!known || span.logit > known.logit) spans.set(key, span);
      }
    }
    const ranked = bestFirst(spans.values());
    const shares = softmax([...ranked.map((span) => span.logit), nullLogit], temperature);
    const candidates = ranked.map((span, rank) => ({
      ...span,
      text: passage.slice(span.start, span.end),
      score: shares[rank],
    }));
    const best = candidates[0];
    const found = best ? { text: best.text, start: best.start, end: best.end } : { text: "", start: 0, end: 0 };
    return { ...found, score: best ? best.score : 0, nullScore: shares[ranked.length], nullLogit, candidates };
  };

  function bestSpans(window, passage) {
    const { starts, ends, startLogits, endLogits } = window;
    const spans = new Map();
    for (let i = 0; i < starts.length; i++) {
      if (starts[i] < 0) continue;
      for (let j = i; j < Math.min(i + MAX_ANSWER_TOKENS, starts.length) && starts[j] >= 0; j++) {
        const span = { start: starts[i], end: wholeCharacter(passage, ends[j]), logit: startLogits[i] + endLogits[j] };
        const key = `${span.start} ${span.end}`;
        const known = spans.get(key);
        if (!known || span.logit > known.logit) {
          spans.set(key, { ...span, startLogit: startLogits[i], endLogit: endLogits[j] });
        }
      }
    }
    return bestFirst(spans.values()).map((span) => [`${span.start} ${span.end}`, span]);
  }

  function bestFirst(spans) {
    return [...spans]
      .sort((a, b) => b.logit - a.logit || a.start - b.start || a.end - b.end)
      .slice(0, SPANS);
  }

  function softmax(logits, temperature) {
    const highest = Math.max(...logits);
    const powers = logits.map((logit) => Math.exp((logit - highest) / temperature));
    const sum = powers.reduce((total, power) => total + power, 0);
    return powers.map((power) => power / sum);
  }

  // The end moved past accents, vowel signs and joiners: tokenizers leave them out.
  function wholeCharacter(passage, end) {
    while (end < passage.length) {
      const mark = String.fromCodePoint(passage.codePointAt(end));
      if (mark !== "\u200d" && !/\p{M}/u.test(mark)) break;
      end += mark.length;
    }
    return end;
  }

  E.softmax = softmax;
})((globalThis.Explorers ??= {}));
