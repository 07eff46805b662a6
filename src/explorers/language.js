// Language models: what comes next, by the small GPT and by n-grams, and how one of the tokens is chosen.
"use strict";

(function (E) {
  const { element, percent, within } = E;
  const LONGEST = 1000, MOST = 300; // characters of a beginning, tokens that are written
  const ROWS = 10; // bars of each model
  const PAUSE = 120; // milliseconds between two tokens, to read them
  const ALL = 51; // the end of the slider of top-k: no cut
  const PRESETS = ["The river flows into", "She was born in", "Oxygen is a chemical", "The first film"];
  const NAMES = { gpt: "Small GPT", ngram: "n-grams" };
  const CUT = ["", "cut by top-k", "cut by top-p", "not the likeliest"];

  E.views.language = {
    model: "language",
    what: "both models",
    start(root, engine) {
      return new Language(root, engine).begin();
    },
    tour: [
      ["form", "A beginning", "Yours, or one of the examples. Both models have read the same 7,102 Wikipedia introductions, so write as an encyclopedia would."],
      [".models", "What comes next?", "Each model gives every one of its 4,000 tokens a probability. Here are the ten likeliest. The GPT has weights; the n-grams look up what followed the same last tokens in their texts, and fall back on fewer where there is nothing."],
      [".dials", "Three dials", "The temperature makes likely tokens likelier, or less so: the thin mark on each bar is the model’s own probability. Top-k and top-p cut the tail off: what is cut is hatched, and the rest shares its part."],
      [".writer", "Choose one, and again", "One token is drawn and added to the text, and both models look again. That is all that writing is. You can also choose a token yourself: its name beside a bar is a button."],
    ],
  };

  // --- how a token is chosen, as src.sampling.Sampler ---------------------------------------------

  // own: the model's probabilities; warm: after the temperature; final: what is drawn with; cut: why
  // a token is out; kept: what the others have of warm; reach: how much of it top-p wants.
  E.shares = function (logits, { temperature, k, p }) {
    const V = logits.length, own = soft(logits, 1), cut = new Uint8Array(V);
    const order = Array.from({ length: V }, (_, id) => id).sort((a, b) => logits[b] - logits[a] || a - b);
    if (temperature === 0) {
      cut.fill(3);
      cut[order[0]] = 0;
    }
    const warm = temperature === 0 ? own : soft(logits, temperature);
    if (temperature && k < V) {
      const last = logits[order[k - 1]];
      for (let id = 0; id < V; id++) if (logits[id] < last) cut[id] = 1;
    }
    if (temperature && p < 1) {
      let sum = 0;
      const all = order.reduce((total, id) => total + (cut[id] ? 0 : warm[id]), 0);
      for (let rank = V - 1; rank > 0; rank--) {
        if (cut[order[rank]]) continue;
        sum += warm[order[rank]] / all;
        if (sum > 1 - p) break;
        cut[order[rank]] = 2;
      }
    }
    const kept = warm.reduce((sum, share, id) => sum + (cut[id] ? 0 : share), 0);
    const reach = p * warm.reduce((sum, share, id) => sum + (cut[id] === 1 ? 0 : share), 0);
    return { own, warm, order, cut, kept, reach, final: warm.map((share, id) => (cut[id] ? 0 : share / kept)) };
  };

  // A softmax in double precision.
  function soft(logits, temperature) {
    return Float64Array.from(E.softmax(Array.from(logits), temperature));
  }

  // The token at which the sum of probabilities passes u, from 0 to 1.
  E.drawn = function (probs, u) {
    let last = 0;
    for (let id = 0; id < probs.length; id++) {
      if (!probs[id]) continue;
      last = id;
      u -= probs[id];
      if (u < 0) break;
    }
    return last;
  };

  class Language {
    constructor(root, engine) {
      this.root = root;
      this.engine = engine;
      this.settings = E.about.language;
      const state = engine.state.read();
      this.dials = {
        temperature: within(state.t, 0, 2, 1),
        k: Math.round(within(state.k, 1, ALL, ALL)),
        p: within(state.p, 0.05, 1, 1),
      };
      this.n = Math.round(within(state.n, 1, 5, 5));
      this.writer = state.by === "ngram" ? "ngram" : "gpt";
      this.written = (state.x ?? "").split(".").filter((part) => /^\d{1,4}$/.test(part)).map(Number).slice(0, MOST);
      this.build(state);
    }

    build(state) {
      const id = E.newId("beginning"), title = this.engine.title;
      this.beginning = element("textarea", { id, rows: 2, dir: "auto", maxlength: LONGEST, autocomplete: "off", spellcheck: "false" });
      this.beginning.value = (state.b ?? PRESETS[0]).slice(0, LONGEST);
      this.problem = element("p.problem", { role: "alert" });
      const presets = PRESETS.map((text) => element("button", { type: "button", onclick: () => { this.beginning.value = text; this.restart(); } }, text));
      this.form = element("form", { novalidate: true, onsubmit: (event) => { event.preventDefault(); this.restart(); } },
        element("label", { for: id }, "Your beginning"), this.beginning,
        element("div.choices", {}, element("button.main", { type: "submit" }, "What comes next?"), element("span.quiet", {}, "Or try: "), ...presets),
        this.problem);
      const button = (name, act, kind = "button") => element(kind, { type: "button", onclick: act }, name);
      this.run = button("Keep writing", () => this.running ? this.stop() : this.keepOn());
      this.back = button("Take one back", () => { this.stop(); this.written.pop(); this.look(); });
      const group = E.newId("writer");
      const writers = Object.entries(NAMES).map(([model, name]) => {
        const input = element("input", { type: "radio", name: group, value: model, onchange: () => { this.writer = model; this.save(); } });
        input.checked = model === this.writer;
        return element("label", {}, input, ` ${name}`);
      });
      this.panels = Object.fromEntries(Object.keys(NAMES).map((model) => [model, this.panel(model)]));
      const { texts, gpt, ngram } = this.settings.perplexity, round = (value) => Math.round(value).toLocaleString("en");
      this.rest = element("div.rest", { hidden: true },
        title("The text so far"),
        (this.text = element("p.written", { dir: "auto" })),
        element("div.writer", {},
          element("fieldset", {}, element("legend", {}, "Who writes?"), ...writers),
          element("div.choices", {}, button("Write one token", () => { this.stop(); this.write(); }, "button.main"), this.run, this.back),
          (this.told = element("p.told", { role: "status" }))),
        title("How a token is chosen"),
        element("div.dials", {},
          this.dial("temperature", "Temperature", { min: 0, max: 20 }, (at) => at / 10, (value) => (value ? value.toFixed(1) : "0: always the likeliest")),
          this.dial("k", "Top-k", { min: 1, max: ALL }, (at) => at, (value) => (value < ALL ? String(value) : "off")),
          this.dial("p", "Top-p", { min: 1, max: 20 }, (at) => at / 20, (value) => (value < 1 ? value.toFixed(2) : "off"))),
        title("The ten likeliest tokens"),
        element("p.quiet", {}, "Bar: the probability with which a token is drawn. Thin mark: the model’s own. “␣” is a blank."),
        element("div.models", {}, ...Object.values(this.panels).map((panel) => panel.box)),
        element("p.quiet", {}, `What this does not prove: likely is not true. Both models know nothing but how their texts go on; believe nothing that they write. Which one you like better here is no measure either. On ${texts} introductions that neither had read, the perplexity per word is ${round(gpt)} for this GPT, which learned for six minutes, and ${round(ngram[4])} for 5-grams (${round(ngram[1])} for 2-grams): lower is better.`),
        element("p.quiet", {}, "Both learned from introductions of English Wikipedia articles (CC BY-SA 4.0). The weights of the GPT are rounded to eight bits; the n-grams are counted in the page, in the texts themselves, with Kneser-Ney smoothing."));
      this.root.append(this.form, this.rest);
    }

    dial(name, label, range, value, says) {
      const id = E.newId(name), told = element("output", { for: id });
      const input = element("input", { id, type: "range", step: 1, ...range });
      const show = () => {
        told.textContent = says(this.dials[name]);
        input.setAttribute("aria-valuetext", told.textContent);
      };
      input.addEventListener("input", () => { this.dials[name] = value(input.valueAsNumber); show(); this.draw(); });
      // The place on the slider of a value from a link.
      input.value = Array.from({ length: range.max + 1 }, (_, at) => at).reduce((best, at) => (Math.abs(value(at) - this.dials[name]) < Math.abs(value(best) - this.dials[name]) ? at : best), range.min);
      this.dials[name] = value(input.valueAsNumber);
      show();
      return element("div", {}, element("label", { for: id }, `${label}: `, told), input);
    }

    panel(model) {
      const about = element("p.quiet"), strip = element("div.strip-of-all"), sums = element("p.quiet"), rows = element("tbody");
      const head = [element("p.name", {}, NAMES[model])];
      if (model === "ngram") {
        this.runs = element("span");
        const button = (sign, word, by) => element("button", { type: "button", "aria-label": word, onclick: () => { this.n = Math.min(5, Math.max(1, this.n + by)); this.look(); } }, sign);
        head.push(element("span.stepper", {}, button("−", "shorter runs", -1), this.runs, button("+", "longer runs", 1)));
      }
      const box = element("section.panel", { "aria-label": NAMES[model] }, element("div.title", {}, ...head), about, strip, sums,
        element("table", { "aria-label": `The likeliest tokens of ${NAMES[model]}` }, rows));
      return { box, about, strip, sums, rows };
    }

    async begin() {
      this.pieces = await this.engine.do("pieces");
      this.written = this.written.filter((id) => id > 0 && id < this.pieces.length);
      await this.look();
    }

    restart() {
      this.stop();
      this.written = [];
      return this.look();
    }

    // --- computing -----------------------------------------------------------------------------

    // What both models say of the text so far.
    async look() {
      const text = this.beginning.value.trimEnd(); // tokens begin with their blanks
      if (!text) {
        this.problem.textContent = "There is no beginning to continue. Write one.";
        return;
      }
      this.problem.textContent = "";
      const mine = (this.pending = {}); // of two texts only the later one matters
      this.root.setAttribute("aria-busy", "true");
      if (this.begun?.text !== text) {
        const [ids] = await this.engine.do("encode", { texts: [text] });
        if (mine !== this.pending) return;
        this.begun = { text, ids };
      }
      const ids = [...this.begun.ids, ...this.written], models = Object.keys(NAMES);
      const made = await Promise.all(models.map((model) => this.engine.do("next", { model, ids, n: this.n })));
      if (mine !== this.pending) return;
      this.made = Object.fromEntries(models.map((model, i) => [model, made[i]]));
      this.rest.hidden = false;
      await this.drawText();
      this.draw();
      this.root.removeAttribute("aria-busy");
    }

    // Add a token to the text: one that is given, or one that is drawn. False where the text ends.
    async write(token = E.drawn(this.shares[this.writer].final, Math.random())) {
      if (token === 0 || this.written.length >= MOST) {
        this.told.textContent = token === 0 ? "The model ends the text here. Write on to draw again, or begin anew." : `That is enough: ${MOST} tokens.`;
        return false;
      }
      const share = percent(this.shares[this.writer].own[token]);
      this.written.push(token);
      if (!this.running) this.told.textContent = `Added “${this.spelled(token)}”. ${NAMES[this.writer]} gave it ${share}.`;
      await this.look();
      return true;
    }

    async keepOn() {
      const mine = (this.running = {}), before = this.written.length;
      let spent = 0;
      this.run.textContent = "Stop";
      this.told.textContent = "Writing.";
      let going = true;
      while (mine === this.running && (going = await this.write())) {
        spent += this.made[this.writer].milliseconds;
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
      if (mine === this.running) this.stop();
      const count = this.written.length - before;
      const speed = count > 0 ? ` ${count} tokens written; ${NAMES[this.writer]} needed ${(spent / count).toFixed(1)} ms for each, ${Math.round((1000 * count) / spent)} tokens/s on one thread.` : "";
      this.told.textContent = `${going ? "" : this.told.textContent}${speed}`;
    }

    stop() {
      this.running = null;
      this.run.textContent = "Keep writing";
    }

    // --- what is shown -------------------------------------------------------------------------

    async drawText() {
      const written = this.written.length ? await this.engine.do("decode", { ids: this.written }) : "";
      this.text.replaceChildren(this.begun.text, element("span.new", {}, written));
      this.back.disabled = !this.written.length;
    }

    save() {
      const { temperature, k, p } = this.dials, state = { b: this.beginning.value };
      if (temperature !== 1) state.t = String(temperature);
      if (k !== ALL) state.k = String(k);
      if (p !== 1) state.p = String(p);
      if (this.n !== 5) state.n = String(this.n);
      if (this.writer !== "gpt") state.by = this.writer;
      if (this.written.length) state.x = this.written.join(".");
      this.engine.state.write(state);
    }

    draw() {
      if (!this.made) return;
      this.save();
      const { temperature, k, p } = this.dials, V = this.pieces.length;
      this.shares = Object.fromEntries(Object.entries(this.made).map(([model, { logits }]) => [model, E.shares(logits, { temperature, k: k < ALL ? k : V, p })]));
      const highest = Math.max(...Object.values(this.shares).flatMap(({ order: [best], own, final }) => [own[best], final[best]]));
      for (const [model, panel] of Object.entries(this.panels)) this.drawPanel(model, panel, this.shares[model], highest);
    }

    drawPanel(model, panel, shares, highest) {
      const { milliseconds, seen } = this.made[model], { order, own, warm, final, cut, kept, reach } = shares, { temperature, p } = this.dials;
      if (model === "gpt") panel.about.textContent = `2.7 million weights; it reads up to 256 tokens. Computed in ${milliseconds.toFixed(1)} ms.`;
      else {
        this.runs.textContent = `n = ${this.n}`;
        const times = seen.slice(1).map((count, i) => `last ${i ? `${i + 1} tokens` : "token"} ${count.toLocaleString("en")} ×`).reverse();
        panel.about.textContent = this.n > 1 ? `Found in the texts: ${times.join(", ")}.` : "It looks at no token before, only at how often each occurs.";
      }
      const solid = element("span.fill"), tick = temperature && p < 1 ? element("span.tick") : null;
      solid.style.width = `${100 * kept}%`;
      if (tick) tick.style.left = `calc(${100 * reach}% - 1.5px)`;
      panel.strip.replaceChildren(element("span.bar.cutting", { "aria-hidden": "true" }, solid, tick));
      const count = cut.reduce((sum, why) => sum + !why, 0);
      const all = cut.length.toLocaleString("en");
      panel.sums.textContent = count < cut.length ? `${count.toLocaleString("en")} of ${all} tokens may be drawn; they had ${percent(kept)}.` : `All ${all} tokens may be drawn.`;
      panel.rows.replaceChildren(...order.slice(0, ROWS).map((id) => {
        const out = cut[id], share = out ? warm[id] : final[id];
        const fill = element("span.fill"), mark = element("span.own");
        fill.style.width = `${(100 * share) / highest}%`;
        mark.style.left = `calc(${(100 * own[id]) / highest}% - 1px)`;
        return element(out ? "tr.out" : "tr", {},
          element("th", { scope: "row" }, element("button.token", { type: "button", "aria-label": `Add “${this.spelled(id)}” to the text`, disabled: id === 0, onclick: () => { this.stop(); this.write(id).then(() => this.panels[model].rows.querySelector("button:enabled").focus()); } }, this.spelled(id))),
          element("td.sum", {}, out ? CUT[out] : percent(share)),
          element("td", {}, element(`span.bar${out ? ".cutting" : ""}`, { "aria-hidden": "true" }, fill, mark)));
      }));
    }

    // A token so that it can be seen.
    spelled(id) {
      return id === 0 ? "end of text" : this.pieces[id].replaceAll(" ", "␣").replaceAll("\n", "↵") || "nothing";
    }
  }
})((globalThis.Explorers ??= {}));
