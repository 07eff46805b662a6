// The reader: a question and a passage, two numbers for every token, spans, a score, a threshold.
"use strict";

(function (E) {
  const { element, percent, number, quoted, bar } = E;
  const MOST_SPANS = 6, LONGEST = { question: 500, passage: 20000 }; // characters
  const OXYGEN =
    "Oxygen is a chemical element with symbol O and atomic number 8. It was discovered by Carl Wilhelm Scheele and Joseph Priestley, each on his own, in the years before 1775. Nearly half of the Earth's crust, by mass, is oxygen, bound to other elements.";
  const PRESETS = [
    { name: "Who discovered it?", question: "Who discovered oxygen?", passage: OXYGEN },
    { name: "Not in the passage", question: "What does a bottle of oxygen cost?", passage: OXYGEN },
    {
      name: "Two dates",
      question: "When was the wooden bridge carried away?",
      passage:
        "The stone bridge over the river was opened in 1894. It replaced a wooden one from 1731, which a flood had carried away in March 1890. Trains have crossed the new bridge since 1902.",
    },
  ];

  E.views.reader = {
    model: "reader",
    start(root, engine) {
      new Reader(root, engine).show();
    },
    tour: [
      ["form", "Ask", "A question and a passage. Both are yours to change: write your own, or choose one of the examples."],
      [".verdict", "The answer", "The model never writes. It marks words of the passage, and this is how sure it is that they are right. Below your threshold it says that it does not know."],
      [".tokens", "Two numbers for every token", "The upper bar says how well an answer could start at this token, the lower one how well it could end there. That is all the model computes. Choose a token to see both numbers."],
      [".spans", "From numbers to a span", "Every start is paired with every end after it, and the two numbers are added. A softmax over the best pairs and “no answer” gives each its share. Shares of spans that agree are added, and the sum is turned into how often such an answer is right."],
      [".words", "Take a word away", "Choose a word and the model reads the passage without it. Which words does the answer hang on?"],
    ],
  };

  class Reader {
    constructor(root, engine) {
      this.root = root;
      this.engine = engine;
      this.settings = E.about.reader;
      const state = engine.state.read();
      this.threshold = E.within(state.t, 0, 1, this.settings.threshold);
      this.away = new Set((state.away ?? "").split(".").filter(Boolean).map(Number));
      this.token = null;
      this.window = 0;
      this.build(state);
    }

    build(state) {
      const question = E.newId("question"), passage = E.newId("passage"), slider = E.newId("threshold");
      this.question = element("input", { id: question, type: "text", dir: "auto", maxlength: LONGEST.question, autocomplete: "off", spellcheck: "false", enterkeyhint: "search" });
      this.passage = element("textarea", { id: passage, rows: 5, dir: "auto", maxlength: LONGEST.passage, autocomplete: "off", spellcheck: "false" });
      this.question.value = state.q ?? PRESETS[0].question;
      E.typeOver(this.question, PRESETS.map((one) => one.question));
      this.passage.value = state.p ?? PRESETS[0].passage;
      this.problem = element("p.problem", { role: "alert" });
      this.progress = element("p.quiet");
      const presets = PRESETS.map((one) =>
        element("button", { type: "button", onclick: () => this.ask(one.question, one.passage) }, one.name));
      this.form = element("form", { novalidate: true, onsubmit: (event) => { event.preventDefault(); this.submit(); } },
        element("label", { for: question }, "Your question"),
        element("div.ask", {}, this.question, element("button.main", { type: "submit" }, "Ask")),
        element("label", { for: passage }, "The passage to read"),
        this.passage,
        element("div.choices", {}, element("span.quiet", {}, "Or try: "), ...presets),
        this.problem, this.progress);
      this.verdict = element("div.verdict", { role: "status" });
      this.slider = element("input", { id: slider, type: "range", min: 0, max: 100, step: 1, oninput: () => this.decide(this.slider.valueAsNumber / 100) });
      this.least = element("output", { for: slider });
      this.rest = element("div.rest", { hidden: true },
        element("div.threshold", {}, element("label", { for: slider }, "Answer only when at least ", this.least, " sure"), this.slider),
        this.engine.title("Two numbers for every token"),
        (this.tabs = element("div.choices.windows", { role: "group", "aria-label": "Windows" })),
        (this.tokens = element("div.tokens", { role: "group", "aria-label": "Tokens" })),
        (this.told = element("p.told", { role: "status" })),
        this.engine.title("The best spans"),
        (this.spans = element("div.spans")),
        this.engine.title("Take a word away"),
        element("p.quiet", {}, "Choose words: the model reads the passage again without them."),
        (this.words = element("div.words", { role: "group", "aria-label": "Words of the passage", dir: "auto" })),
        (this.change = element("p.told", { role: "status" })));
      this.root.append(this.form, this.verdict, this.rest);
    }

    show() {
      this.read();
    }

    // --- asking --------------------------------------------------------------------------------

    ask(question = this.question.value, passage = this.passage.value) {
      this.question.value = question;
      this.passage.value = passage;
      this.away.clear();
      return this.read();
    }

    // On a phone the answer would be behind the keyboard.
    async submit() {
      if (matchMedia("(pointer: coarse)").matches) document.activeElement.blur();
      await this.ask();
      this.verdict.scrollIntoView({ block: "nearest" });
    }

    complaint() {
      if (!this.question.value.trim()) return "There is no question to answer. Write one.";
      if (!this.passage.value.trim()) return "There is no passage to read. Write one, or paste one.";
      return "";
    }

    // The passage without the words that were taken away, and what it was with them.
    async read() {
      this.problem.textContent = this.complaint();
      if (this.problem.textContent) return;
      const asked = { question: this.question.value, passage: this.passage.value };
      const mine = (this.pending = {}); // of two questions only the later one matters
      this.root.setAttribute("aria-busy", "true");
      try {
        const whole = await this.whole(asked);
        const kept = this.away.size ? await this.model({ ...asked, passage: without(asked.passage, this.away) }) : whole;
        if (mine !== this.pending) return;
        Object.assign(this, { asked, before: whole, kept, token: null });
        this.window = kept.windows.findIndex((window) => holds(window, kept.answer));
        if (this.window < 0) this.window = 0;
        this.draw();
      } catch (error) {
        if (mine === this.pending) this.problem.textContent = `The model cannot read this: ${error.message}`;
      } finally {
        if (mine === this.pending) this.root.removeAttribute("aria-busy");
      }
    }

    async whole(asked) {
      const key = JSON.stringify(asked);
      if (this.known?.key !== key) this.known = { key, value: await this.model(asked) };
      return this.known.value;
    }

    model(asked) {
      const { scaling, max_length: maxLength, doc_stride: docStride } = this.settings;
      const tell = (done, all) => { this.progress.textContent = done < all ? `Reading window ${done + 1} of ${all}` : ""; };
      return this.engine.do("read", { name: "reader", ...asked, scaling, maxLength, docStride }, tell);
    }

    // --- what is shown -------------------------------------------------------------------------

    draw() {
      this.rest.hidden = false;
      this.decided = undefined;
      this.decide(this.threshold);
      this.drawTokens();
      this.drawSpans();
      this.drawWords();
    }

    // Answer or refuse. The live region changes only with the decision.
    decide(threshold) {
      this.threshold = threshold;
      const share = `${Number((100 * threshold).toFixed(threshold < 0.1 ? 1 : 0))} %`;
      this.slider.value = 100 * threshold;
      this.slider.setAttribute("aria-valuetext", share);
      this.least.textContent = share;
      this.root.style.setProperty("--threshold", threshold);
      this.save();
      if (!this.kept) return;
      const { answer, milliseconds, windows } = this.kept;
      const answered = answer.candidates.length > 0 && answer.score >= threshold;
      if (this.decided === answered) return;
      this.decided = answered;
      const guess = answer.candidates.length ? [" The best guess is ", quoted(answer.text), `, ${percent(answer.score)} sure.`] : [];
      const said = answered
        ? [element("p.answer", {}, element("bdi", {}, answer.text)), element("p", {}, `${percent(answer.score)} sure that this is right. That there is no answer here: ${percent(answer.nullScore)}.`)]
        : [element("p.answer", {}, "I don’t know."), element("p", {}, `That there is no answer here: ${percent(answer.nullScore)}.`, ...guess)];
      const tokens = windows.reduce((sum, window) => sum + window.ids.length, 0);
      const cost = `${tokens} tokens${windows.length > 1 ? ` in ${windows.length} windows` : ""}, read here in ${Math.round(milliseconds)} ms.`;
      this.verdict.replaceChildren(...said, bar(answer.score, true), element("p.quiet", {}, cost));
      this.verdict.classList.toggle("unsure", !answered);
    }

    save() {
      const state = { q: this.question.value, p: this.passage.value };
      if (this.threshold !== this.settings.threshold) state.t = String(this.threshold);
      if (this.away.size) state.away = [...this.away].join(".");
      this.engine.state.write(state);
    }

    drawTokens() {
      const { windows, answer } = this.kept;
      this.tabs.replaceChildren(...(windows.length > 1 ? windows.map((_, i) =>
        element("button", { type: "button", "aria-pressed": String(i === this.window), onclick: () => { this.window = i; this.token = null; this.drawTokens(); } }, `Window ${i + 1}`)) : []));
      const window = windows[this.window];
      const all = [...window.startLogits, ...window.endLogits];
      const lowest = Math.min(...all), highest = Math.max(...all);
      const height = (logit) => `${Math.round((100 * (logit - lowest)) / (highest - lowest || 1))}%`;
      const best = answer.candidates[0];
      this.tokens.replaceChildren(...window.pieces.map((piece, i) => {
        const start = element("i.start"), end = element("i.end");
        start.style.height = height(window.startLogits[i]);
        end.style.height = height(window.endLogits[i]);
        const within = best && window.starts[i] >= best.start && window.starts[i] >= 0 && window.ends[i] <= best.end;
        const classes = `token${within ? ".best" : ""}${window.starts[i] < 0 ? ".other" : ""}`;
        return element(`button.${classes}`, { type: "button", "aria-pressed": "false", "aria-label": this.numbers(i), onclick: () => this.choose(i) },
          element("span.up", {}, start), element("span.piece", {}, piece), element("span.down", {}, end));
      }));
      this.told.textContent = windows.length > 1
        ? `The passage has more tokens than the model reads at once, so it is read in ${windows.length} windows that overlap.`
        : "Choose a token to see its two numbers.";
    }

    numbers(i) {
      const window = this.kept.windows[this.window];
      return `${window.pieces[i]}: start ${number(window.startLogits[i])}, end ${number(window.endLogits[i])}`;
    }

    choose(i) {
      this.tokens.children[this.token]?.setAttribute("aria-pressed", "false");
      this.token = i;
      this.tokens.children[i].setAttribute("aria-pressed", "true");
      const ofNone = i === 0 ? " The two numbers of [CLS] together stand for “no answer”." : "";
      this.told.textContent = `${this.numbers(i)}.${ofNone}`;
    }

    drawSpans() {
      const { answer } = this.kept, [best] = answer.candidates;
      const row = (name, sum, share, kind) => element(`tr${kind}`, {},
        element("th", { scope: "row" }, name), element("td.sum", {}, sum), element("td", {}, bar(share), percent(share)));
      const rows = answer.candidates.slice(0, MOST_SPANS).map((one) =>
        row(element("span", {}, quoted(one.text), one.agrees ? element("span.quiet", {}, " agrees") : null), `${number(one.startLogit)} + ${number(one.endLogit)} = ${number(one.logit)}`, one.share, ""));
      rows.push(row("no answer", number(answer.nullLogit), answer.nullShare ?? 1, ".null"));
      const head = ["span", "start + end", "share"].map((name) => element("th", { scope: "col" }, name));
      const others = answer.candidates.length - MOST_SPANS;
      this.spans.replaceChildren(
        element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)),
        ...(others > 0 ? [element("p.quiet", {}, `The ${others} next best spans share the rest.`)] : []),
        ...(best ? [element("p", {}, "Spans that differ by a word are right together, so the shares of all that agree with the best one are added: ",
          element("strong", {}, percent(best.agreed)), ". Of sums like that one, about ", element("strong", {}, percent(best.score)), " were right on questions with known answers that the model had not seen. That is the score.")] : []));
    }

    drawWords() {
      const parts = wordsOf(this.asked.passage);
      this.words.replaceChildren(...parts.flatMap(({ text, blank }, i) => [
        element("button.word", { type: "button", "aria-pressed": String(this.away.has(i)), onclick: () => this.toggle(i) }, text),
        blank,
      ]));
      this.change.replaceChildren(...this.difference(parts));
    }

    difference(parts) {
      if (!this.away.size) return ["Nothing is taken away."];
      const [old, now] = [this.before.answer, this.kept.answer];
      const names = [...this.away].sort((a, b) => a - b).map((i) => parts[i]?.text).filter(Boolean);
      const back = element("button", { type: "button", onclick: () => { this.away.clear(); this.read(); } }, "Put all back");
      const same = old.text === now.text;
      return ["Without ", quoted(names.join(" ")), same ? ": still " : ": now ", quoted(now.text || "nothing"), `, ${percent(now.score)} sure`,
        ...(same ? [] : [" instead of ", quoted(old.text || "nothing")]), `; it was ${percent(old.score)}. `, back];
    }

    toggle(i) {
      if (!this.away.delete(i)) this.away.add(i);
      this.words.children[i].setAttribute("aria-pressed", String(this.away.has(i)));
      this.read().then(() => this.words.children[i]?.focus());
    }
  }

  // The words of a text, each with the blanks after it.
  function wordsOf(text) {
    return [...text.matchAll(/(\S+)(\s*)/g)].map(([, word, blank]) => ({ text: word, blank }));
  }

  function without(text, away) {
    let i = 0;
    return text.replace(/(\S+)(\s*)/g, (all) => (away.has(i++) ? "" : all));
  }

  function holds(window, answer) {
    return window.starts.includes(answer.start) && window.ends.some((end) => end >= answer.end);
  }
})((globalThis.Explorers ??= {}));
