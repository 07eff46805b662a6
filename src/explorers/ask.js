// Ask Wikipedia: search in all introductions, read the likest ones together, answer or refuse, and
// show what the answer hangs on.
"use strict";

(function (E) {
  const { element, percent, number, quoted, bar } = E;
  const LONGEST = 300; // characters of a question
  const LICENCE = "https://creativecommons.org/licenses/by-sa/4.0/";
  const SENTENCES = /(?<=[.!?])\s+/; // as src.qa.evidence cuts
  const PRESETS = [
    { name: "Blue sky", question: "Why is the sky blue?" },
    { name: "In other words", question: "Why do leaves look green?" },
    { name: "Not in there", question: "How much does a bicycle cost?" },
    { name: "Sure, and wrong", question: "What do bees make?" },
  ];

  E.views.ask = {
    model: "ask",
    what: "Wikipedia and the reader",
    start(root, engine) {
      new Ask(root, engine).begin();
    },
    tour: [
      ["form", "Ask anything", "Your question, or one of the examples. All that is searched and read is in this page: the introductions of Wikipedia’s most important articles."],
      [".search", "Find passages", "Words that are rare in Wikipedia count most. “Bicycle” is not “bike”, though: a model of meaning finds what says the same in other words. It is loaded when you want it."],
      [".verdict", "One answer, or none", "The reader marks words in all passages that were found. Then all those spans compete with each other, and with “there is no answer”. Below your threshold the page says that it does not know."],
      [".source", "Look at the source", "The answer is in this passage, word for word. Nothing is written by the model, so you can always check."],
      [".evidence", "What does it hang on?", "Take each sentence away and read again. If the score falls, the answer hung on that sentence; if it stays, something else supports it."],
      [".found", "The other passages", "What search put first is not always where the answer is. Choose a passage to see what the reader marked in it."],
    ],
  };

  class Ask {
    constructor(root, engine) {
      this.root = root;
      this.engine = engine;
      this.settings = E.about.ask;
      const state = engine.state.read();
      this.threshold = E.within(state.t, 0, 1, this.settings.threshold);
      this.wanted = state.m; // "1": search by meaning as well
      this.build(state);
    }

    build(state) {
      const question = E.newId("question"), slider = E.newId("threshold"), title = this.engine.title;
      this.question = element("input", { id: question, type: "text", dir: "auto", maxlength: LONGEST, autocomplete: "off", spellcheck: "false", enterkeyhint: "search" });
      this.question.value = state.q ?? PRESETS[0].question;
      E.typeOver(this.question, PRESETS.map((one) => one.question));
      this.problem = element("p.problem", { role: "alert" });
      this.progress = element("p.quiet", { "aria-hidden": "true" });
      const presets = PRESETS.map((one) =>
        element("button", { type: "button", onclick: () => { this.question.value = one.question; this.ask(); } }, one.name));
      this.meaning = element("input", { type: "checkbox", onchange: () => this.choose(this.meaning.checked) });
      this.more = element("span.quiet", {}, ` (loads ${Math.ceil(extra() / 1e6)} MB more, once)`);
      this.loading = element("progress", { max: 1, value: 0, "aria-label": "Loading the search by meaning", hidden: true });
      const form = element("form", { novalidate: true, onsubmit: (event) => { event.preventDefault(); this.submit(); } },
        element("label", { for: question }, "Your question to Wikipedia"),
        element("div.ask", {}, this.question, element("button.main", { type: "submit" }, "Ask")),
        element("div.choices", {}, element("span.quiet", {}, "Or try: "), ...presets),
        element("div.search", {}, element("label.mask", {}, this.meaning, " Search by meaning, not by words alone", this.more), this.loading),
        this.problem, this.progress);
      this.verdict = element("div.verdict", { role: "status" });
      this.slider = element("input", { id: slider, type: "range", min: 0, max: 100, step: 1, oninput: () => this.decide(this.slider.valueAsNumber / 100) });
      this.least = element("output", { for: slider });
      this.rest = element("div.rest", { hidden: true },
        element("div.threshold", {}, element("label", { for: slider }, "Answer only when at least ", this.least, " sure"), this.slider),
        (this.source = element("section.source")),
        element("section.evidence", {}, title("What does it hang on?"),
          (this.tryIt = element("button", { type: "button", onclick: () => this.weigh() }, "Take each sentence away")),
          (this.weighed = element("div", { role: "status" }))),
        element("section.found", {}, title("What was read"), (this.how = element("p.quiet")), (this.found = element("div.spans"))));
      this.root.append(form, this.verdict, this.rest);
    }

    // A link says whether to search by meaning; else it is done where its files are here already.
    async begin() {
      if (this.wanted === "1" || (this.wanted === undefined && (await E.stored("meaning")))) await this.choose(true);
      else this.ask();
    }

    // --- searching and reading -----------------------------------------------------------------

    async choose(meant) {
      this.meaning.checked = meant;
      this.problem.textContent = "";
      try {
        if (meant && !this.helper) {
          this.loading.hidden = false;
          this.helper = await E.helper("meaning", (bytes, all) => { this.loading.value = bytes / all; });
          this.more.textContent = "";
        }
      } catch (error) {
        this.meaning.checked = false;
        this.problem.textContent = `Searching by meaning is not possible here: ${error.message}`;
      }
      this.loading.hidden = true;
      this.wanted = this.meaning.checked ? "1" : "0";
      return this.ask();
    }

    // On a phone the answer would be behind the keyboard.
    async submit() {
      if (matchMedia("(pointer: coarse)").matches) document.activeElement.blur();
      await this.ask();
      this.verdict.scrollIntoView({ block: "nearest" });
    }

    async ask() {
      const question = this.question.value.trim();
      this.problem.textContent = question ? "" : "There is no question to answer. Write one.";
      if (!question) return;
      const mine = (this.pending = {}); // of two questions only the later one matters
      this.root.setAttribute("aria-busy", "true");
      try {
        const began = performance.now();
        const rankings = await this.search(question), middle = performance.now();
        const numbers = E.fuse(rankings, this.settings.search.constant).slice(0, this.settings.passages);
        const found = await this.engine.do("titled", { numbers });
        const tell = (done) => { this.progress.textContent = `Reading ${done + 1} of ${found.length}: ${found[done].title}`; };
        const marked = await this.mark(question, found.map(({ text }) => text), (done) => mine === this.pending && tell(done));
        if (mine !== this.pending) return;
        const places = ({ number }) => rankings.map((ranking) => ranking.indexOf(number) + 1);
        const read = found.map((one, i) => ({ ...one, ...marked[i], places: places(one) }));
        const took = { search: middle - began, read: performance.now() - middle };
        Object.assign(this, { asked: question, read, took, ...E.choose(read, this.settings.choose) });
        this.draw();
      } catch (error) {
        if (mine === this.pending) this.problem.textContent = `This question cannot be asked: ${error.message}`;
      } finally {
        if (mine === this.pending) {
          this.root.removeAttribute("aria-busy");
          this.progress.textContent = "";
        }
      }
    }

    // Documents by their numbers, the likest first: by words, and where it is wanted by meaning.
    search(question) {
      const { pool, longest } = this.settings.search;
      const ways = [this.engine.do("byWords", { question, pool })];
      if (this.meaning.checked) ways.push(this.helper.do("byMeaning", { name: "meaning", question, pool, longest }));
      return Promise.all(ways);
    }

    mark(question, passages, tell) {
      const { scaling, max_length: maxLength, doc_stride: docStride } = E.about.reader;
      return this.engine.do("readAll", { name: "ask", question, passages, scaling, maxLength, docStride }, tell);
    }

    // How far the score of the answer falls without each sentence of its passage.
    async weigh() {
      const [best] = this.candidates, place = best.rank - 1, { text } = this.read[place], { asked, read } = this;
      const sentences = text.trim().split(SENTENCES);
      const passages = sentences.map((_, i) => sentences.filter((_, j) => j !== i).join(" ") || "?");
      this.tryIt.disabled = true;
      const less = await this.mark(asked, passages, (done) => {
        this.weighed.replaceChildren(element("p.quiet", { "aria-hidden": "true" }, `Reading without sentence ${done + 1} of ${sentences.length}`));
      });
      this.tryIt.disabled = false;
      if (read !== this.read || less.length < passages.length) return;
      const scores = less.map((one) => E.choose(read.with(place, one), this.settings.choose).belief(best.text));
      const rows = sentences.map((sentence, i) => element("tr", {},
        element("td.sentence", { dir: "auto" }, sentence),
        element("td", {}, bar(scores[i]), `${percent(best.score)} \u2192 ${percent(scores[i])}`)));
      const most = scores.indexOf(Math.min(...scores)), fall = best.score - scores[most];
      const said = fall > 0.1
        ? ["Most of all on sentence ", String(most + 1), ": without it ", quoted(best.text), ` is ${percent(scores[most])} sure, not ${percent(best.score)}.`]
        : ["On no single sentence: without any of them ", quoted(best.text), " stays about as sure."];
      const head = ["without this sentence", "the answer is sure"].map((name) => element("th", { scope: "col" }, name));
      this.weighed.replaceChildren(element("p", {}, ...said),
        element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)),
        element("p.quiet", {}, "The other passages stay, and may support the same answer."));
    }

    // --- what is shown -------------------------------------------------------------------------

    draw() {
      this.rest.hidden = !this.candidates.length;
      this.decided = undefined;
      this.weighed.replaceChildren();
      this.decide(this.threshold);
      if (this.candidates.length) this.show(this.candidates[0].rank);
      this.drawFound();
    }

    // Answer or refuse. The live region changes only with the decision, or with what it says.
    decide(threshold) {
      this.threshold = threshold;
      const share = `${Math.round(100 * threshold)} %`;
      this.slider.value = 100 * threshold;
      this.slider.setAttribute("aria-valuetext", share);
      this.least.textContent = share;
      this.root.style.setProperty("--threshold", threshold);
      this.save();
      if (!this.read) return;
      const [best] = this.candidates, answered = best !== undefined && best.score >= threshold;
      const state = answered ? "answered" : share;
      if (this.decided === state) return;
      this.decided = state;
      this.verdict.replaceChildren(...(best ? this.said(best, answered, share) : this.nothing()), element("p.quiet", {}, this.cost()));
      this.verdict.classList.toggle("unsure", !answered);
    }

    said(best, answered, share) {
      const { title } = this.read[best.rank - 1];
      const to = element("button.link", { type: "button", onclick: () => this.go(best.rank) }, element("bdi", {}, title));
      const none = `That none of these passages has an answer: ${percent(best.nullScore)}.`;
      const words = answered
        ? [element("p.answer", {}, element("bdi", {}, best.text)),
          element("p", {}, `${percent(best.score)} sure that this is right. Found in: `, to, ". ", none)]
        : [element("p.answer", {}, "I don’t know."),
          element("p", {}, "Why: the best guess is ", quoted(best.text), ", in ", to, `. It is ${percent(best.score)} sure, and your threshold is ${share}. `, none)];
      return [...words, bar(best.score, true)];
    }

    nothing() {
      return [element("p.answer", {}, "I don’t know."), element("p", {}, "Why: no introduction has any of these words.")];
    }

    cost() {
      const { search, read } = this.took, found = this.read.length;
      return `Searched ${this.settings.count.toLocaleString("en")} introductions in ${Math.round(search)} ms, read ${found} of them in ${number(read / 1000, 1)} s, here in this page.`;
    }

    save() {
      const state = { q: this.question.value };
      if (this.threshold !== this.settings.threshold) state.t = String(this.threshold);
      if (this.wanted !== undefined) state.m = this.wanted;
      this.engine.state.write(state);
    }

    // The passage at a rank, with what the reader marked in it.
    show(rank) {
      const { title, text } = this.read[rank - 1], span = this.candidates.find((one) => one.rank === rank);
      const { start, end } = span ?? { start: 0, end: 0 };
      const page = `https://en.wikipedia.org/wiki/${encodeURIComponent(title.replaceAll(" ", "_"))}`;
      const link = (address, name) => element("a", { href: address, target: "_blank", rel: "noreferrer" }, name);
      this.heading = this.engine.title(title);
      this.heading.tabIndex = -1;
      this.source.replaceChildren(this.heading,
        element("p.passage", { dir: "auto" }, text.slice(0, start), span ? element("mark", {}, text.slice(start, end)) : "", text.slice(end)),
        element("p.quiet", {}, "The introduction of “", link(page, title), "”, Wikipedia, by its contributors, ", link(LICENCE, "CC BY-SA 4.0"), "."));
      this.shown = rank;
    }

    go(rank) {
      this.show(rank);
      for (const button of this.found.querySelectorAll("button")) button.setAttribute("aria-pressed", String(Number(button.dataset.rank) === rank));
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      this.heading.scrollIntoView({ block: "center", behavior: calm ? "auto" : "smooth" });
      this.heading.focus({ preventScroll: true });
    }

    drawFound() {
      const meant = this.read[0]?.places.length > 1, place = (rank) => (rank ? String(rank) : "\u2013");
      const rows = this.read.map(({ title, places }, i) => {
        const span = this.candidates.find((one) => one.rank === i + 1);
        const button = element("button.link", { type: "button", "data-rank": i + 1, "aria-pressed": String(this.shown === i + 1), onclick: () => this.go(i + 1) }, element("bdi", {}, title));
        const by = meant ? `by words ${place(places[0])}, by meaning ${place(places[1])}` : "";
        return element("tr", {},
          element("th", { scope: "row" }, `${i + 1}. `, button, by ? element("span.quiet.by", {}, by) : null),
          element("td", { dir: "auto" }, span ? quoted(span.text) : "\u2013"),
          element("td", {}, ...(span ? [bar(span.score, true), percent(span.score)] : [])));
      });
      const { logit, null: none, rank } = this.settings.choose;
      this.how.textContent = `In the order in which search found them. What speaks for a span: ${number(logit)} times its logit, less ${number(none)} times that of no answer, less ${number(rank)} times the logarithm of the passage’s rank. A softmax over the spans of all passages and none gives shares; those of answers that agree are added, and become the score.`;
      const head = ["passage", "marked in it", "score"].map((name) => element("th", { scope: "col" }, name));
      this.found.replaceChildren(element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)));
    }
  }

  // Bytes that searching by meaning needs beyond those of this view.
  function extra() {
    const here = new Set(E.filesOf("ask"));
    return E.filesOf("meaning").filter((name) => !here.has(name)).reduce((sum, name) => sum + E.about.files[name].bytes, 0);
  }
})((globalThis.Explorers ??= {}));
