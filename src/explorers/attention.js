// Attention: one sentence, all heads of a model, and one head opened step by step.
"use strict";

(function (E) {
  const { element, percent, number } = E;
  const LONGEST = 300; // characters of a sentence
  const TOKENS = 64; // more would be too small to see
  const PRESETS = [
    { name: "Two lefts", sentence: "I left my laptop on the left side of the desk." },
    { name: "A pronoun", sentence: "The animal didn't cross the street because it was too tired." },
    { name: "Another street", sentence: "The animal didn't cross the street because it was too wide." },
  ];
  const STEPS = [
    ["queries, keys", "Every token has three vectors in this head, made from what the block below gave: a query (what it looks for), a key (what it can be found by) and a value (what it hands over). Here are the query of the token that looks, and all keys."],
    ["score", "The dot product of that query with each key: how well the two fit."],
    ["scale", "Divided by the root of the width of a key. Sums of more products spread wider, and the softmax would choose one token alone."],
    ["mask", "BERT hides nothing: each token may look at all tokens of its sentence. GPT hides what comes later, before the softmax. Try it."],
    ["softmax", "e to the power of each score, divided by their sum: shares that add up to one."],
    ["times v", "The values, each times its share, added up. That vector goes on, with those of the other heads, to the rest of the block."],
  ];

  E.views.attention = {
    model: "heads",
    start(root, engine) {
      new Attention(root, engine).read();
    },
    tour: [
      ["form", "A sentence", "Yours, or one of the examples. The model cuts it into tokens and computes all heads of all its blocks."],
      ["canvas", "All heads at once", "A row of maps for each block, a map for each head. In a map, each line is a token that looks; bright is where it looks. Many heads look at the next or the previous token, or at [SEP], which means: at nothing much."],
      [".shares", "Who looks?", "Choose a token. The shades on the others say how much of its attention each of them gets in the chosen head."],
      [".steps", "What is inside", "The six steps from three vectors to the result, with the model’s own numbers."],
    ],
  };

  class Attention {
    constructor(root, engine) {
      this.root = root;
      this.engine = engine;
      const state = engine.state.read();
      [this.layer, this.head, this.row] = (state.at ?? "2.9.8").split(".").map((part) => Math.max(0, parseInt(part, 10) - 1 || 0));
      this.step = Math.round(E.within(state.step, 1, STEPS.length, 1)) - 1;
      this.causal = state.hide === "1"; // what comes later
      this.build(state);
    }

    build(state) {
      const sentence = E.newId("sentence");
      this.sentence = element("input", { id: sentence, type: "text", dir: "auto", maxlength: LONGEST, autocomplete: "off", spellcheck: "false" });
      this.sentence.value = state.s ?? PRESETS[0].sentence;
      this.problem = element("p.problem", { role: "alert" });
      const presets = PRESETS.map((one) =>
        element("button", { type: "button", onclick: () => { this.sentence.value = one.sentence; this.read(); } }, one.name));
      const form = element("form", { novalidate: true, onsubmit: (event) => { event.preventDefault(); this.read(); } },
        element("label", { for: sentence }, "Your sentence"),
        element("div.ask", {}, this.sentence, element("button.main", { type: "submit" }, "Show")),
        element("div.choices", {}, element("span.quiet", {}, "Or try: "), ...presets),
        this.problem);
      this.grid = this.canvas("All heads, a row for each block. Arrow keys choose another.", (x, y) => {
        this.go(Math.floor(y / this.side), Math.floor(x / this.side), this.row);
      }, { ArrowLeft: [0, -1, 0], ArrowRight: [0, 1, 0], ArrowUp: [-1, 0, 0], ArrowDown: [1, 0, 0] });
      this.map = this.canvas("The map of this head. Up and down choose the token that looks, left and right another head.", (x, y) => {
        this.go(this.layer, this.head, Math.floor((y - this.pad) / this.cell));
      }, { ArrowLeft: [0, -1, 0], ArrowRight: [0, 1, 0], ArrowUp: [0, 0, -1], ArrowDown: [0, 0, 1] });
      const stepper = (name, move) => {
        const shown = element("span");
        const button = (sign, word, by) => element("button", { type: "button", "aria-label": `${word} ${name}`, onclick: () => move(by) }, sign);
        return [element("span.stepper", {}, button("\u2212", "previous", -1), shown, button("+", "next", 1)), shown];
      };
      const [layers, layer] = stepper("block", (by) => this.move(by, 0, 0));
      const [heads, head] = stepper("head", (by) => this.move(0, by, 0));
      Object.assign(this, { layerName: layer, headName: head });
      this.rest = element("div.rest", { hidden: true },
        this.engine.title("All heads"), element("p.quiet", {}, "Choose a map: that head opens below."), this.grid,
        this.engine.title("One head"), element("div.choices", {}, layers, heads),
        (this.line = element("div.shares", { role: "group", "aria-label": "Tokens: who looks?" })),
        (this.told = element("p.told", { role: "status" })),
        this.map,
        (this.steps = element("section.steps")),
        element("p.quiet", {}, "What this does not prove: a large share says from where this head takes numbers, not why the model decides as it does. Other heads, the residual connections and the layers after it count as well; to learn what matters, take it away and see what changes, as in the reader."));
      this.root.append(form, this.rest);
    }

    canvas(name, click, keys) {
      return element("canvas", {
        tabindex: 0, role: "img", "aria-label": name,
        onclick: (event) => {
          const box = event.currentTarget.getBoundingClientRect();
          click(event.clientX - box.left, event.clientY - box.top);
        },
        onkeydown: (event) => {
          const by = keys[event.key];
          if (!by) return;
          event.preventDefault();
          event.stopPropagation();
          this.move(...by);
        },
      });
    }

    async read() {
      this.problem.textContent = this.sentence.value.trim() ? "" : "There is no sentence to read. Write one.";
      if (this.problem.textContent) return;
      const mine = (this.pending = {});
      this.root.setAttribute("aria-busy", "true");
      try {
        const made = await this.engine.do("heads", { name: "heads", sentence: this.sentence.value, longest: TOKENS });
        if (mine !== this.pending) return;
        this.made = made;
        this.problem.textContent = made.cut ? `Only the first ${made.T} tokens are shown.` : "";
        this.rest.hidden = false;
        this.go(this.layer, this.head, this.row);
      } catch (error) {
        if (mine === this.pending) this.problem.textContent = `The model cannot read this: ${error.message}`;
      } finally {
        if (mine === this.pending) this.root.removeAttribute("aria-busy");
      }
    }

    move(layers, heads, rows) {
      const { L, H, T } = this.made;
      this.go((this.layer + layers + L) % L, (this.head + heads + H) % H, (this.row + rows + T) % T);
    }

    go(layer, head, row) {
      const { L, H, T } = this.made;
      const within = (value, count) => Math.min(Math.max(value || 0, 0), count - 1);
      [this.layer, this.head, this.row] = [within(layer, L), within(head, H), within(row, T)];
      this.save();
      this.draw();
    }

    save() {
      const state = { s: this.sentence.value, at: [this.layer, this.head, this.row].map((i) => i + 1).join(".") };
      if (this.step) state.step = String(this.step + 1);
      if (this.causal) state.hide = "1";
      this.engine.state.write(state);
    }

    // --- numbers -------------------------------------------------------------------------------

    share(layer, head, row, column) {
      const { H, T, shares } = this.made;
      return shares[((layer * H + head) * T + row) * T + column];
    }

    // The vector of a token in the chosen head: of "queries", "keys" or "values".
    vector(part, token) {
      const { H, T, d } = this.made;
      const first = ((this.layer * H + this.head) * T + token) * d;
      return this.made[part].subarray(first, first + d);
    }

    // Everything from the vectors to the result, for the token that looks.
    opened() {
      const { T, d } = this.made, tokens = [...Array(T).keys()];
      const query = this.vector("queries", this.row);
      const scores = tokens.map((j) => dot(query, this.vector("keys", j)));
      const scaled = scores.map((score) => score / Math.sqrt(d));
      const masked = scaled.map((score, j) => (this.causal && j > this.row ? -Infinity : score));
      const shares = E.softmax(masked, 1);
      const result = new Float32Array(d);
      for (const j of tokens) this.vector("values", j).forEach((value, k) => { result[k] += shares[j] * value; });
      return { query, scores, scaled, masked, shares, result };
    }

    // --- what is shown -------------------------------------------------------------------------

    draw() {
      const { L, H, T, pieces } = this.made;
      this.layerName.textContent = `block ${this.layer + 1} of ${L}`;
      this.headName.textContent = `head ${this.head + 1} of ${H}`;
      const shares = pieces.map((_, j) => this.share(this.layer, this.head, this.row, j));
      if (this.line.children.length !== T || this.linePieces !== pieces) {
        this.linePieces = pieces;
        this.line.replaceChildren(...pieces.map((piece, i) =>
          element("button.token", { type: "button", onclick: () => this.go(this.layer, this.head, i) }, piece)));
      }
      pieces.forEach((piece, j) => {
        const button = this.line.children[j];
        button.setAttribute("aria-pressed", String(j === this.row));
        button.setAttribute("aria-label", `${piece}, ${percent(shares[j])}`);
        button.style.background = shade(shares[j]);
        button.style.color = letters(shares[j]);
      });
      const top = shares.map((_, j) => j).sort((a, b) => shares[b] - shares[a]).slice(0, 3);
      this.told.replaceChildren(element("strong", {}, `“${pieces[this.row]}”`), " looks most at ",
        top.map((j) => `“${pieces[j]}” (${percent(shares[j])})`).join(", "), ".");
      this.drawGrid();
      this.drawMap();
      this.drawSteps();
    }

    drawGrid() {
      const { L, H, T } = this.made;
      this.side = Math.max(18, Math.min(Math.floor((this.root.clientWidth - 4) / H), 56));
      const pen = E.pen(this.grid, this.side * H, this.side * L), dot_ = (this.side - 4) / T;
      for (let l = 0; l < L; l++) for (let h = 0; h < H; h++) for (let i = 0; i < T; i++) for (let j = 0; j < T; j++) {
        pen.fillStyle = shade(this.share(l, h, i, j));
        pen.fillRect(h * this.side + 2 + j * dot_, l * this.side + 2 + i * dot_, dot_ + 0.5, dot_ + 0.5);
      }
      pen.lineWidth = 3;
      pen.strokeStyle = "#d55e00";
      pen.strokeRect(this.head * this.side + 1.5, this.layer * this.side + 1.5, this.side - 3, this.side - 3);
    }

    drawMap() {
      const { T, pieces } = this.made, room = Math.min(this.root.clientWidth - 4, 620);
      let pen = this.map.getContext("2d");
      const font = (size) => `${size}px system-ui, sans-serif`;
      pen.font = font(12);
      this.pad = Math.min(10 + Math.max(...pieces.map((piece) => pen.measureText(piece).width)), 90);
      this.cell = Math.max(3, Math.min(28, Math.floor((room - this.pad) / T)));
      pen = E.pen(this.map, this.pad + this.cell * T + 3, this.pad + this.cell * T + 3);
      const ink = getComputedStyle(this.root).color;
      pen.font = font(Math.min(12, this.cell + 2));
      for (let i = 0; i < T; i++) {
        for (let j = 0; j < T; j++) {
          pen.fillStyle = shade(this.share(this.layer, this.head, i, j));
          pen.fillRect(this.pad + j * this.cell, this.pad + i * this.cell, this.cell - 1, this.cell - 1);
        }
        pen.fillStyle = ink;
        pen.textAlign = "right";
        pen.fillText(pieces[i], this.pad - 5, this.pad + i * this.cell + this.cell / 2 + 4);
        pen.save();
        pen.translate(this.pad + i * this.cell + this.cell / 2 + 4, this.pad - 5);
        pen.rotate(-Math.PI / 2);
        pen.textAlign = "left";
        pen.fillText(pieces[i], 0, 0);
        pen.restore();
      }
      pen.lineWidth = 2;
      pen.strokeStyle = "#d55e00";
      pen.strokeRect(this.pad - 1, this.pad + this.row * this.cell - 1, this.cell * T + 1, this.cell + 1);
    }

    drawSteps() {
      const { pieces, d } = this.made, open = this.opened(), [name, text] = STEPS[this.step];
      const tabs = STEPS.map(([title], i) => element("button", {
        type: "button", "aria-pressed": String(i === this.step),
        onclick: () => { this.step = i; this.save(); this.drawSteps(); this.steps.querySelectorAll(".tabs button")[i].focus(); },
      }, `${i + 1} ${title}`));
      const rows = pieces.map((piece, j) => element("tr", {}, element("th", { scope: "row" }, piece), ...this.cells(name, open, j)));
      const mask = element("label.mask", {}, element("input", { type: "checkbox", onchange: (event) => { this.causal = event.target.checked; this.save(); this.drawSteps(); this.steps.querySelector(".mask input").focus(); } }), " hide what comes later, as GPT does (in this view only)");
      mask.querySelector("input").checked = this.causal;
      this.steps.replaceChildren(
        this.engine.title(`How “${pieces[this.row]}” looks, step by step`),
        element("div.choices.tabs", { role: "group", "aria-label": "Steps" }, ...tabs),
        element("p", {}, text),
        ...(name === "queries, keys" ? [this.strip(`query of “${pieces[this.row]}”`, open.query)] : []),
        ...(name === "scale" ? [element("p", {}, `Here the width is ${d}, and its root ${number(Math.sqrt(d))}.`)] : []),
        ...(name === "mask" ? [mask] : []),
        element("table", {}, element("tbody", {}, ...rows)),
        ...(name === "times v" ? [this.strip(`result for “${pieces[this.row]}”`, open.result)] : []));
      this.paintStrips();
    }

    cells(name, open, j) {
      const numeric = (value) => element("td.sum", {}, value === -Infinity ? "\u2212\u221e" : number(value));
      const bar = (share) => {
        const fill = element("span.fill");
        fill.style.width = `${100 * share}%`;
        return element("td", {}, element("span.bar", { "aria-hidden": "true" }, fill), percent(share));
      };
      switch (name) {
        case "queries, keys": return [element("td", {}, this.strip("key", this.vector("keys", j), false))];
        case "score": return [element("td", {}, this.strip("key", this.vector("keys", j), false)), numeric(open.scores[j])];
        case "scale": return [numeric(open.scores[j]), numeric(open.scaled[j])];
        case "mask": return [numeric(open.scaled[j]), numeric(open.masked[j])];
        case "softmax": return [numeric(open.masked[j]), bar(open.shares[j])];
        default: return [bar(open.shares[j]), element("td", {}, this.strip("value", this.vector("values", j), false))];
      }
    }

    // A vector as a row of colours, blue below zero, red above.
    strip(name, vector, titled = true) {
      const canvas = element("canvas.strip", { role: "img", "aria-label": `${name}: ${vector.length} numbers, from ${number(Math.min(...vector))} to ${number(Math.max(...vector))}` });
      canvas.vector = vector;
      return titled ? element("div.titled", {}, element("span", {}, name), canvas) : canvas;
    }

    paintStrips() {
      for (const canvas of this.steps.querySelectorAll("canvas.strip")) {
        const { vector } = canvas, width = Math.floor(canvas.parentElement.clientWidth) || 160;
        const room = Math.min(width, 8 * vector.length), pen = E.pen(canvas, room, 14), step = room / vector.length;
        vector.forEach((value, k) => {
          pen.fillStyle = value < 0 ? `rgba(0, 90, 181, ${Math.min(1, -value / 2)})` : `rgba(220, 50, 32, ${Math.min(1, value / 2)})`;
          pen.fillRect(k * step, 0, step - 0.5, 14);
        });
      }
    }
  }

  // The colours of all heatmaps of the course (viridis), from 0 to 1.
  const VIRIDIS = ["#440154", "#472c7a", "#3b518b", "#2c718e", "#21908d", "#27ad81", "#5cc863", "#aadc32", "#fde725"]
    .map((colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)));

  function mixed(share) {
    const place = Math.min(Math.max(share, 0), 1) * (VIRIDIS.length - 1), low = Math.min(Math.floor(place), VIRIDIS.length - 2);
    return VIRIDIS[low].map((part, i) => Math.round(part + (place - low) * (VIRIDIS[low + 1][i] - part)));
  }

  const shade = (share) => `rgb(${mixed(share).join(", ")})`;

  // Black or white, whichever reads better on the shade: both do at a relative luminance of 0.18.
  function letters(share) {
    const light = mixed(share).map((part) => (part / 255) ** 2.2);
    return 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2] < 0.18 ? "#fff" : "#000";
  }

  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
})((globalThis.Explorers ??= {}));
