// From start and end logits over tokens to an answer, by the rules of src.qa.decoding.
"use strict";

(function (E) {
  const SPANS = 20, MAX_ANSWER_TOKENS = 30;

  // windows: with starts, ends, and the model's startLogits and endLogits; scaling: temperature and
  // offset of the model's card. Returns the answer, also where it is refused: {text, start, end,
  // score, nullScore, nullLogit, candidates}. A candidate's share is what the softmax gives it;
  // agreed adds the shares of all that agree with it; its score is the probability that it is right.
  E.decode = function (windows, passage, scaling) {
    const spans = new Map(); // "start end" -> {start, end, logit, startLogit, endLogit}
    let nullLogit = Infinity;
    for (const window of windows) {
      nullLogit = Math.min(nullLogit, window.startLogits[0] + window.endLogits[0]); // of [CLS]
      for (const [key, span] of bestSpans(window, passage)) {
        const known = spans.get(key);
        if (!known || span.logit > known.logit) spans.set(key, span);
      }
    }
    const ranked = bestFirst(spans.values()).map((span) => ({ ...span, text: passage.slice(span.start, span.end) }));
    if (!ranked.length) return { text: "", start: 0, end: 0, score: 0, nullScore: 1, nullLogit, candidates: [] };
    const shares = softmax([...ranked.map((span) => span.logit), nullLogit]);
    const nullShare = shares.pop(), agree = agreement(ranked.map((span) => span.text));
    const agreed = agree.map((row) => Math.min(1, row.reduce((sum, yes, j) => sum + yes * shares[j], 0)));
    const candidates = ranked.map((span, i) => ({ ...span, share: shares[i], agrees: agree[0][i], agreed: agreed[i], score: scaled(agreed[i], scaling) }));
    const { text, start, end, score } = candidates[0];
    const nullScore = (1 - score) * Math.min(nullShare / Math.max(1 - agreed[0], 1e-12), 1);
    return { text, start, end, score, nullScore, nullShare, nullLogit, candidates };
  };

  // Which of the texts agree, boolean[N][N]: all words of one are in the other, and their F1 is a
  // half at least.
  function agreement(texts) {
    const counts = texts.map((text) => {
      const count = new Map();
      for (const word of normalised(text)) count.set(word, (count.get(word) ?? 0) + 1);
      return count;
    });
    const lengths = counts.map((count) => [...count.values()].reduce((sum, n) => sum + n, 0));
    return counts.map((count, i) => counts.map((other, j) => {
      let shared = 0;
      for (const [word, n] of count) shared += Math.min(n, other.get(word) ?? 0);
      return shared === Math.min(lengths[i], lengths[j]) && 4 * shared >= lengths[i] + lengths[j];
    }));
  }

  // Words in small letters, without ASCII punctuation and articles, as SQuAD compares answers.
  function normalised(text) {
    const bare = text.toLowerCase().replace(/[!-/:-@[-`{-~]/g, "");
    const words = bare.replace(/(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu, " ");
    return words.split(/[\s\x1c-\x1f\x85]+/).filter(Boolean);
  }

  function scaled(share, { temperature, offset }) {
    const logit = Math.min(Math.max(Math.log(share / (1 - share)), -36), 36);
    return 1 / (1 + Math.exp(-logit / temperature - offset));
  }

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

  function softmax(logits, temperature = 1) {
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

  Object.assign(E, { softmax, agreement, scaled });
})((globalThis.Explorers ??= {}));
