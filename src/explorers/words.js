// Words: the nearest to yours, a walk from one to the next, a map, and equations.
"use strict";

(function (E) {
  const { element, number, quoted } = E;
  const LONGEST = 60; // characters of a word
  const WALK = 12; // words of a walk that are kept
  const SIDE = 65535; // of the map, as it is stored
  const PRESETS = ["Germany", "Mother", "oxygen", "python", "bank"];
  const EQUATIONS = [["man", "king", "woman"], ["france", "paris", "japan"], ["big", "bigger", "small"], ["man", "doctor", "woman"]];

  E.views.words = {
    model: "words",
    what: "the vectors",
    start(root, engine) {
      return new Words(root, engine).begin();
    },
    tour: [
      [".find", "A word", "Each word is 50 numbers, a vector, learned from who is beside whom in six billion words of text. Write a word of your own."],
      [".near", "Its neighbours", "The vector of your word is compared with all others. The cosine says how nearly two point the same way: 1 is the same way, 0 is at right angles."],
      [".walk", "A walk", "Choose a neighbour, and it becomes your word. Go on: a few steps lead far. How many from “Germany” to “music”?"],
      [".map", "The map", "50 numbers squeezed into two, so that neighbours stay close where possible. The lines show where the true neighbours went: some are far away, because a plane has too little room."],
      [".equation", "An equation", "King − man + woman is a point among the words. Which word is nearest to it depends on whether you allow the three that you put in."],
    ],
  };

  class Words {
    constructor(root, engine) {
      this.root = root;
      this.engine = engine;
      this.whole = true;
      this.places = new Map(); // of the words of the walk
      this.build(engine.state.read());
    }

    build(state) {
      const id = E.newId("word"), title = this.engine.title;
      this.word = this.field(id, (state.w || PRESETS[0]).slice(0, LONGEST));
      this.problem = element("p.problem", { role: "alert" });
      this.trail = (state.walk ?? "").split(" ").filter(Boolean).slice(-WALK);
      const presets = PRESETS.map((word) => element("button", { type: "button", onclick: () => this.jump(word) }, word));
      const find = element("form.find", { novalidate: true, onsubmit: (event) => { event.preventDefault(); this.jump(this.word.value); } },
        element("label", { for: id }, "Your word"),
        element("div.ask", {}, this.word, element("button.main", { type: "submit" }, "Find")),
        element("div.choices", {}, element("span.quiet", {}, "Or try: "), ...presets),
        this.problem);
      const given = state.eq?.split(" ").length === 3 ? state.eq.split(" ") : EQUATIONS[0];
      const size = element("button", { type: "button", onclick: () => { this.whole = !this.whole; this.drawMap(); } });
      Object.assign(this, {
        rest: element("div.rest", { hidden: true },
          title("The nearest words"),
          (this.told = element("p.told", { role: "status" })),
          (this.near = element("div.near")),
          title("A walk from word to word"),
          element("p.quiet", {}, "Choose a neighbour above, or a dot on the map, and it becomes your word. On the map your walk is the broken line."),
          (this.walk = element("div.choices.walk", { role: "group", "aria-label": "Your walk" })),
          title("The map"),
          element("div.map", {},
            (this.canvas = element("canvas", { role: "img", onclick: (event) => this.choose(event), onmousemove: (event) => this.name(event) })),
            element("div.choices", {}, size, (this.under = element("span.quiet", { "aria-hidden": "true" })))),
          (this.mapped = element("p")),
          title("An equation of words"),
          this.equation(given),
          element("p.quiet", {}, "What this does not prove: a neighbour is a word that keeps the same company, not one that means the same; opposites are neighbours, too. The vectors repeat what their texts say, prejudice included. On the map only nearness counts: distances between groups and their sizes mean nothing, and another run would draw another map."),
          element("p.quiet", {}, "These are the 40,000 commonest of the 400,000 words of GloVe 6B (Pennington, Socher and Manning 2014; PDDL), their 50 numbers rounded to eight bits. The notebook searches all, so a rarer neighbour is found only there.")),
        size,
      });
      this.root.append(find, this.rest);
    }

    field(id, value, label) {
      const made = element("input", { id, type: "text", dir: "auto", maxlength: LONGEST, autocomplete: "off", autocapitalize: "off", spellcheck: "false", enterkeyhint: "search", "aria-label": label });
      made.value = value;
      return made;
    }

    equation(given) {
      this.fields = ["is taken away", "is begun with", "is added"].map((what, i) => this.field(E.newId("term"), given[i].slice(0, LONGEST), `The word that ${what}`));
      const [a, b, c] = this.fields;
      this.wrong = element("p.problem", { role: "alert" });
      this.solved = element("div.solved", { role: "status" });
      const presets = EQUATIONS.map((one) => element("button", { type: "button", onclick: () => { one.forEach((word, i) => { this.fields[i].value = word; }); this.solve(); } }, `${one[1]} − ${one[0]} + ${one[2]}`));
      return element("form.equation", { novalidate: true, onsubmit: (event) => { event.preventDefault(); this.solve(); } },
        element("div.terms", {}, b, element("span", {}, "−"), a, element("span", {}, "+"), c, element("button.main", { type: "submit" }, "Solve")),
        element("div.choices", {}, element("span.quiet", {}, "Or try: "), ...presets),
        this.wrong, this.solved);
    }

    async begin() {
      this.drawn = await this.engine.do("drawn");
      const known = await Promise.all(this.trail.map((word) => this.engine.do("similar", { word, n: 1 })));
      this.trail = known.flatMap((one) => (one.word === undefined ? [] : this.step(one)));
      new ResizeObserver(() => { if (this.found && this.width !== this.room()) this.drawMap(); }).observe(this.root);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.found && this.drawMap());
      await this.go(this.word.value);
      await this.solve();
    }

    // --- asking --------------------------------------------------------------------------------

    // Another word, where a new walk begins.
    jump(word) {
      return this.go(word, true);
    }

    step({ word, place }) {
      this.places.set(word, place);
      return [word];
    }

    async go(word, anew = false) {
      if (!word.trim()) {
        this.problem.textContent = "There is no word to look for. Write one.";
        return;
      }
      const mine = (this.pending = {}); // of two words only the later one matters
      this.root.setAttribute("aria-busy", "true");
      const found = await this.engine.do("similar", { word });
      if (mine !== this.pending) return;
      this.root.removeAttribute("aria-busy");
      this.problem.textContent = found.unknown === undefined ? "" : advice(found);
      this.word.value = found.word ?? word;
      if (found.unknown !== undefined && this.found) return;
      if (found.unknown !== undefined) return this.go(PRESETS[0]).then(() => { this.problem.textContent = advice(found); this.word.value = word; });
      this.found = found;
      if (anew) this.trail = [];
      if (this.trail[this.trail.length - 1] !== found.word) this.trail = [...this.trail, ...this.step(found)].slice(-WALK);
      this.save();
      this.draw();
    }

    async solve() {
      const given = this.fields.map((field) => field.value);
      this.solved.replaceChildren();
      this.wrong.textContent = given.every((word) => word.trim()) ? "" : "An equation needs three words. Fill in the empty field.";
      if (this.wrong.textContent) return;
      const mine = (this.solving = {});
      const found = await this.engine.do("analogy", { given });
      if (mine !== this.solving) return;
      if (found.unknown !== undefined) {
        this.wrong.textContent = advice(found);
        return;
      }
      this.asked = found.words;
      this.save();
      const [a, b, c] = found.words, own = found.words.indexOf(found.all[0].word);
      const list = (name, all) => element("div", {}, element("p.name", {}, name), this.table(all, `${name}: words and cosines`));
      this.solved.replaceChildren(
        element("p", {}, quoted(a), " is to ", quoted(b), " as ", quoted(c), " is to ", element("strong", {}, quoted(found.without[0].word)), ".",
          own < 0 ? " It is the nearest of all words, so leaving yours out made no difference here." : ` With all words allowed it would be “${found.all[0].word}”, one of the three you put in${own ? ": the other two are much alike, so the step between them is short and does not lead away from it" : ""}.`),
        element("div.pair", {}, list("Your three words left out", found.without), list("All words allowed", found.all)));
    }

    save() {
      const state = { w: this.found.word };
      if (this.trail.length > 1) state.walk = this.trail.join(" ");
      if (this.asked && this.asked.join() !== EQUATIONS[0].join()) state.eq = this.asked.join(" ");
      this.engine.state.write(state);
    }

    // --- what is shown -------------------------------------------------------------------------

    draw() {
      const { word, id, near } = this.found;
      this.rest.hidden = false;
      this.told.replaceChildren(quoted(word), ` is number ${(id + 1).toLocaleString("en")} by frequency. Nearest is `, quoted(near[0].word), `, with a cosine of ${number(near[0].cosine)}.`);
      this.near.replaceChildren(this.table(near, `Nearest to ${word}: words and cosines`));
      this.walk.replaceChildren(...this.trail.flatMap((step, i) => [
        ...(i ? [element("span", { "aria-hidden": "true" }, "→")] : []),
        element("button", { type: "button", "aria-pressed": String(i === this.trail.length - 1), onclick: () => { this.trail = this.trail.slice(0, i + 1); this.go(step).then(() => this.walk.lastChild.focus()); } }, element("bdi", {}, step)),
      ]));
      this.drawMap();
    }

    // Words as buttons, with their cosines.
    table(near, label) {
      return element("table", { "aria-label": label }, element("tbody", {}, ...near.map(({ word, cosine }) => {
        const fill = element("span.fill");
        fill.style.width = `${100 * Math.max(0, cosine)}%`;
        return element("tr", {},
          element("th", { scope: "row" }, element("button.word", { type: "button", onclick: () => this.follow(word) }, element("bdi", {}, word))),
          element("td.sum", {}, number(cosine)),
          element("td", {}, element("span.bar", { "aria-hidden": "true" }, fill)));
      })));
    }

    follow(word) {
      this.go(word).then(() => this.walk.lastChild.focus());
    }

    room() {
      return Math.min(this.root.clientWidth - 2, 640);
    }

    drawMap() {
      const { canvas, found: { word, place, near, kept } } = this;
      const side = (this.width = this.room()), pen = E.pen(canvas, side, side);
      this.size.textContent = this.whole ? "Show only the part around your word" : "Show the whole map";
      this.view = this.whole ? { x: 0, y: 0, all: SIDE } : around(place, near.map((one) => one.place));
      const style = getComputedStyle(this.root), colour = (name) => style.getPropertyValue(name).trim();
      const at = (dot) => [(dot.x - this.view.x) * (side / this.view.all), (dot.y - this.view.y) * (side / this.view.all)];
      pen.fillStyle = colour("--panel");
      pen.fillRect(0, 0, side, side);
      const dots = this.drawn.words.map((name, i) => ({ name, spot: at({ x: this.drawn.map[2 * i], y: this.drawn.map[2 * i + 1] }) }));
      this.dots = dots.filter(({ spot }) => spot.every((part) => part >= 0 && part <= side));
      pen.fillStyle = colour("--line");
      const size = this.whole ? Math.max(1, side / 400) : 4;
      for (const { spot: [x, y] } of this.dots) pen.fillRect(x - size / 2, y - size / 2, size, size);
      const centre = at(place), labels = new Labels(pen, side);
      pen.lineWidth = 1.5;
      pen.strokeStyle = colour("--main");
      const ends = near.map((one, i) => ({ ...one, spot: moved(at(one.place), one.place.own ? 0 : i + 1) }));
      for (const { spot } of ends) line(pen, centre, spot);
      pen.strokeStyle = colour("--end");
      pen.setLineDash([4, 4]);
      const steps = this.trail.map((step) => at(this.places.get(step)));
      steps.slice(1).forEach((spot, i) => line(pen, steps[i], spot));
      pen.setLineDash([]);
      for (const spot of steps) dot(pen, spot, true, colour("--end"), colour("--panel"), 3);
      for (const { spot, place: { own } } of ends) dot(pen, spot, own, colour("--main"), colour("--panel"));
      dot(pen, centre, place.own, colour("--end"), colour("--panel"), 6);
      labels.add(word, centre, colour("--ink"), "bold 15px");
      for (const { word: name, spot } of ends) labels.add(name, spot, colour("--ink"), "13px");
      for (const { name, spot } of this.dots) {
        if (labels.count > (this.whole ? 45 : 80)) break;
        labels.add(name, spot, colour("--quiet"), "11px", 14);
      }
      const far = ends.filter(({ place: { own } }) => !own).length + !place.own;
      canvas.setAttribute("aria-label", `A map of ${this.drawn.words.length.toLocaleString("en")} words as dots. Lines lead from ${word} to its ten nearest words.`);
      this.mapped.textContent = (kept === null
        ? `“${word}” is not among the ${this.drawn.words.length.toLocaleString("en")} commonest words, which have a dot of their own. `
        : `Of the ten dots nearest to “${word}” by its vector, ${kept} ${kept === 1 ? "is" : "are"} among the ten nearest on the map. `)
        + (far ? "Hollow dots are words without a place: each is put beside the nearest word that has one." : "");
    }

    // The dot that is nearest to the pointer, if it is near.
    pointed(event) {
      const box = this.canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
      let best = null, least = 15 ** 2;
      for (const one of this.dots) {
        const far = (one.spot[0] - x) ** 2 + (one.spot[1] - y) ** 2;
        if (far < least) [best, least] = [one.name, far];
      }
      return best;
    }

    choose(event) {
      const word = this.pointed(event);
      if (word !== null) this.go(word);
    }

    name(event) {
      this.under.textContent = this.pointed(event) ?? "";
    }
  }

  // Labels on the map that do not lie on one another.
  class Labels {
    constructor(pen, side) {
      Object.assign(this, { pen, side, boxes: [], count: 0 });
    }

    add(text, [x, y], colour, font, apart = 0) {
      const { pen, side } = this, height = 15;
      pen.font = `${font} system-ui, sans-serif`;
      const width = pen.measureText(text).width + 4;
      const spots = [[x + 6, y - 8], [x - width - 6, y - 8], [x - width / 2, y - 22], [x - width / 2, y + 7]];
      const free = ([left, top]) => left >= 0 && top >= 0 && left + width <= side && top + height <= side
        && this.boxes.every((box) => left - apart > box[2] || left + width + apart < box[0] || top - apart > box[3] || top + height + apart < box[1]);
      const spot = spots.find(free);
      if (!spot) return;
      const [left, top] = spot;
      this.boxes.push([left, top, left + width, top + height]);
      this.count++;
      pen.fillStyle = colour;
      pen.textBaseline = "top";
      pen.fillText(text, left + 2, top + 1);
    }
  }

  function dot(pen, [x, y], own, colour, behind, radius = 4) {
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.fillStyle = own ? colour : behind;
    pen.fill();
    pen.strokeStyle = colour;
    pen.lineWidth = 2;
    pen.stroke();
  }

  function line(pen, from, to) {
    pen.beginPath();
    pen.moveTo(...from);
    pen.lineTo(...to);
    pen.stroke();
  }

  // Several words at one place, side by side.
  const moved = ([x, y], turn) => (turn ? [x + 9 * Math.cos(turn), y + 9 * Math.sin(turn)] : [x, y]);

  // The part of the map that has the word in its middle and most of its neighbours in it.
  function around({ x, y }, places) {
    const far = places.map((one) => Math.max(Math.abs(one.x - x), Math.abs(one.y - y))).sort((a, b) => a - b);
    const all = Math.min(SIDE, Math.max(2.6 * far[Math.floor(far.length * 0.6)], SIDE / 16));
    return { x: x - all / 2, y: y - all / 2, all };
  }

  function advice({ unknown, close }) {
    const hint = close.length ? `Did you mean ${close.map((word) => `“${word}”`).join(", ")}?` : "Try a commoner word, and one without blanks.";
    return `“${unknown}” is not among these 40,000 words. ${hint}`;
  }
})((globalThis.Explorers ??= {}));
