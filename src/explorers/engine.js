// What all views share: loading with progress, the worker, elements, state in the link, guided tours.
// Text from links and fields only ever becomes textContent or a field's value: markup in it is shown, never run.
"use strict";

(function (E) {
  const BASE = new URL(".", document.currentScript.src).href; // where these files are
  const AS_FILE = location.protocol === "file:";
  const CACHE = "words-to-answers"; // the browser's own store, where it gives one

  // --- elements --------------------------------------------------------------------------------

  // element("button.main", {type: "button", onclick: f}, "Ask", other)
  E.element = function (kind, given = {}, ...children) {
    const [tag, ...classes] = kind.split(".");
    const made = document.createElement(tag);
    made.className = classes.join(" ");
    for (const [name, value] of Object.entries(given)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  };
  const element = E.element;

  E.percent = function (share) {
    if (share > 0 && share < 0.005) return "under 1 %";
    if (share >= 0.995 && share < 1) return "over 99 %";
    return `${Math.round(100 * share)} %`;
  };

  // A number with two places and a real minus sign.
  E.number = (value, places = 2) => value.toFixed(places).replace("-", "\u2212");

  E.quoted = (text) => element("bdi", {}, `“${text}”`);

  // A share, 0 to 1, as a bar, with a tick where the threshold is.
  E.bar = function (share, ticked = false) {
    const fill = element("span.fill");
    fill.style.width = `${100 * share}%`;
    return element("span.bar", { "aria-hidden": "true" }, fill, ticked ? element("span.tick") : null);
  };

  // A number that a link carries, where it is one from low to high.
  E.within = function (text, low, high, otherwise) {
    const value = parseFloat(text ?? "");
    return value >= low && value <= high ? value : otherwise;
  };

  // An example in a field is selected when one goes there, to be typed over; a text of the reader's own is not.
  E.typeOver = (field, examples) => field.addEventListener("focus", () => {
    if (!examples.includes(field.value)) return;
    setTimeout(() => { if (document.activeElement === field) field.select(); }); // a tap first sets the cursor
  });

  let numbered = 0;
  E.newId = (word) => `explorer-${word}-${++numbered}`;

  // A canvas that is sharp on every screen, to draw on in CSS pixels.
  E.pen = function (canvas, width, height) {
    const ratio = window.devicePixelRatio || 1;
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    return pen;
  };

  // --- files -----------------------------------------------------------------------------------

  // Files come as scripts whose one string holds the bytes, packed by gzip: so a page that was opened as a file,
  // which may fetch nothing, can load them too. From a server they are fetched, to show progress.
  const given = {}; // name -> function that takes a string, while a script is awaited
  E.take = (name, text) => given[name](text);

  const BACKSLASH = 92, ESCAPES = { 110: 10, 114: 13 }; // \n, \r; others stand for themselves
  // Where windows-1252, in which browsers read such scripts, differs from plain bytes.
  const SHIFTED = new Map(
    [..."\u20ac\u0081\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u008d\u017d\u008f\u0090\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u009d\u017e\u0178"]
      .map((letter, i) => [letter.charCodeAt(0), 128 + i]),
  );

  // name: as in models.json, with its size. tell(bytes so far) is called now and then.
  E.bytes = async function (name, file, tell) {
    return unpacked(await (AS_FILE ? fromScript : fromServer)(name, addressOf(name), file, tell));
  };

  const addressOf = (name) => `${BASE}${name}.js?${E.about.files[name].sha256.slice(0, 12)}`;
  const opened = () => globalThis.caches?.open(CACHE).catch(() => null); // only https and localhost have one

  // Whether all files of a model are in the browser's store.
  E.stored = async function (model) {
    const store = AS_FILE ? null : await opened();
    const found = await Promise.all(E.filesOf(model).map((name) => store?.match(addressOf(name))));
    return found.every(Boolean);
  };

  async function fromServer(name, address, file, tell) {
    const store = await opened();
    let response = await store?.match(address);
    if (!response) {
      response = await fetch(address);
      if (!response.ok) throw new Error(`${name} cannot be loaded (${response.status})`);
      store?.put(address, response.clone()).catch(() => {});
    }
    const bytes = new Uint8Array(file.bytes), reader = response.body.getReader();
    let written = 0, inside = false, escaped = false;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      for (const byte of value) {
        if (!inside) inside = byte === 34; // the quote with which the string begins; the name has ' around it
        else if (escaped) {
          bytes[written++] = ESCAPES[byte] ?? byte;
          escaped = false;
        } else if (byte === BACKSLASH) escaped = true;
        else if (byte === 34) break;
        else bytes[written++] = byte;
      }
      tell(written);
    }
    if (written !== file.bytes) throw new Error(`${name} is not whole`);
    return bytes;
  }

  function fromScript(name, address, file, tell) {
    return new Promise((resolve, reject) => {
      const script = element("script", { src: address, charset: "windows-1252" });
      given[name] = (text) => {
        const bytes = new Uint8Array(file.bytes);
        for (let i = 0; i < bytes.length; i++) {
          const code = text.charCodeAt(i);
          bytes[i] = code < 256 ? code : SHIFTED.get(code);
        }
        tell(bytes.length);
        resolve(bytes);
      };
      script.onload = () => script.remove();
      script.onerror = () => reject(new Error(`${name} cannot be loaded`));
      document.head.append(script);
    });
  }

  async function unpacked(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  // --- the worker ------------------------------------------------------------------------------

  class Helper {
    constructor() {
      const parts = [...E.workerParts.map((part) => `(${part})();`), `(${E.work})(globalThis.Explorers, ${E.runtime});`];
      this.worker = new Worker(address(parts.join("\n"), "text/javascript"));
      this.waiting = new Map();
      this.worker.onmessage = ({ data: { id, result, problem, progress } }) => {
        const { resolve, reject, tell } = this.waiting.get(id);
        if (progress) return tell?.(...progress);
        this.waiting.delete(id);
        if (problem === undefined) resolve(result);
        else reject(new Error(problem));
      };
    }

    // tell(...) is called with what the worker says in between; moved: buffers that it may keep.
    do(task, given = {}, tell = null, moved = []) {
      const id = (this.last = (this.last ?? 0) + 1);
      return new Promise((resolve, reject) => {
        this.waiting.set(id, { resolve, reject, tell });
        this.worker.postMessage({ id, task, ...given }, moved);
      });
    }
  }

  const address = (text, type) => URL.createObjectURL(new Blob([text], { type }));

  // The files of a model, in the order in which they are loaded. Its data go to tasks of the worker;
  // without a graph it is computed by a task of its own name.
  E.filesOf = function (model) {
    const { graph, weights, data = {} } = E.about.models[model];
    const needed = graph ? ["runtime.wasm.gz", "vocabulary.txt", graph] : [];
    return [...Object.values(data), ...needed, ...weights];
  };

  // What a model needs, loaded once a page: a promise of a Helper that has it.
  const helpers = {};
  E.helper = (model, tell) => (helpers[model] ??= loaded(model, tell).catch((error) => { delete helpers[model]; throw error; }));

  async function loaded(model, tell) {
    const { graph, weights, data = {}, settings } = E.about.models[model], { files } = E.about;
    const missing = ["DecompressionStream", ...(graph ? ["WebAssembly"] : [])].find((name) => !globalThis[name]);
    if (missing) throw new Error(`This browser has no ${missing}.`);
    const names = E.filesOf(model), so = {};
    const all = names.reduce((sum, name) => sum + files[name].bytes, 0);
    const got = {};
    const progress = (name) => (bytes) => {
      got[name] = bytes;
      tell(Object.values(got).reduce((sum, one) => sum + one, 0), all);
    };
    if (graph) await script("runtime.js");
    const helper = new Helper(), early = []; // what the worker does while other files come
    const coming = names.map((name) => E.bytes(name, files[name], progress(name))); // all at once
    for (const one of coming) one.catch(() => {}); // whoever waits for it hears of it
    for (const [at, name] of names.entries()) {
      so[name] = await coming[at];
      const task = Object.keys(data).find((key) => data[key] === name);
      if (task) early.push(helper.do(task, { bytes: so[name], settings }, null, [so[name].buffer]));
    }
    await Promise.all(early);
    if (!graph) {
      await helper.do(model, { files: so, settings: E.about[model] }, null, names.map((name) => so[name].buffer));
      return helper;
    }
    const wasm = so["runtime.wasm.gz"];
    const threads = globalThis.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
    await helper.do("start", { wasm, glue: E.glue, threads }, null, [wasm.buffer]);
    await helper.do("vocabulary", { text: new TextDecoder().decode(so["vocabulary.txt"]) });
    const given = Object.fromEntries(weights.map((name) => [name, so[name]]));
    await helper.do("model", { name: model, graph: so[graph], weights: given }, null, [so[graph].buffer, ...weights.map((name) => so[name].buffer)]);
    helper.threads = threads;
    return helper;
  }

  const scripts = {};
  function script(name) {
    return (scripts[name] ??= new Promise((resolve, reject) => {
      const made = element("script", { src: BASE + name });
      made.onload = resolve;
      made.onerror = () => reject(new Error(`${name} cannot be loaded`));
      document.head.append(made);
    }));
  }

  // --- state in the link -----------------------------------------------------------------------

  // A view on a page of its own keeps its state behind the #; any other writes it into its link to that page.
  function stateOf(root, page) {
    const own = root.hasAttribute("data-own");
    return {
      read: () => (own ? Object.fromEntries(new URLSearchParams(location.hash.slice(1))) : {}),
      write(state) {
        const hash = new URLSearchParams(state).toString();
        if (page) page.hash = hash;
        if (!own) return;
        const link = new URL(location.href);
        link.hash = hash;
        try {
          history.replaceState(null, "", link);
        } catch {
          // browsers refuse when it changes very often; the next change writes it
        }
      },
    };
  }

  // --- guided tours ----------------------------------------------------------------------------

  function tour(root, steps, button) {
    let at = -1, marked = null;
    const title = element("p.name", { tabindex: -1 }), text = element("p"), count = element("span.quiet");
    const back = element("button", { type: "button", onclick: () => go(at - 1) }, "Back");
    const next = element("button.main", { type: "button", onclick: () => go(at + 1) }, "Next");
    const end = element("button", { type: "button", onclick: () => go(-1) }, "End the tour");
    const box = element("div.tour", { role: "dialog", "aria-label": "Guided tour", hidden: true }, title, text, element("div.choices", {}, back, next, end, count));
    box.addEventListener("keydown", (event) => { if (event.key === "Escape") go(-1); });
    button.addEventListener("click", () => go(0));
    root.append(box);

    function go(step) {
      marked?.classList.remove("marked");
      at = step < steps.length ? step : -1;
      box.hidden = at < 0;
      if (at < 0) return button.focus();
      const [place, name, says] = steps[at];
      marked = root.querySelector(place);
      marked.classList.add("marked");
      marked.after(box);
      title.textContent = name;
      text.textContent = says;
      count.textContent = `${at + 1} of ${steps.length}`;
      back.disabled = at === 0;
      next.textContent = at === steps.length - 1 ? "Done" : "Next";
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      marked.scrollIntoView({ block: "center", behavior: calm ? "auto" : "smooth" });
      title.focus({ preventScroll: true });
    }
  }

  // --- a view on a page ------------------------------------------------------------------------

  E.views = {};

  // root: <div data-view="reader">, with data-own on a page of its own. What is in it stays until the view is there.
  E.mount = function (root) {
    if (!E.about) return root.prepend(element("p.problem", { role: "status" }, "The models are not on this site yet: the command make course puts them here."));
    const page = root.querySelector(":scope > .opener a");
    if (page) page.textContent = "The same on a page of its own";
    for (const one of root.querySelectorAll(":scope > .opener")) one.remove();
    const still = [...root.children];
    const view = E.views[root.dataset.view], megabytes = (bytes) => Math.ceil(bytes / 1e6);
    const size = E.filesOf(view.model).reduce((sum, name) => sum + E.about.files[name].bytes, 0);
    const status = element("p.quiet", { role: "status" });
    const progress = element("progress", { max: size, value: 0, "aria-label": `Loading ${view.what ?? "the model"}`, hidden: true });
    const count = element("p.quiet", { "aria-hidden": "true" }); // a screen reader follows the bar
    const start = element("button.main", { type: "button", onclick: () => open() }, `Load ${view.what ?? "the model"} (${megabytes(size)} MB, once)`);
    const guide = element("button", { type: "button", hidden: true }, "Show me around");
    const head = element("div.head", { tabindex: -1 }, start, guide, page, progress, count, status);
    root.prepend(head);
    if (root.hasAttribute("data-open")) head.focus({ preventScroll: true }); // the button that opened it is gone

    async function open() {
      start.hidden = true;
      progress.hidden = false;
      status.textContent = `Loading ${view.what ?? "the model"}.`;
      const began = performance.now();
      try {
        const helper = await E.helper(view.model, (bytes, all) => {
          progress.value = bytes;
          progress.max = all;
          count.textContent = bytes < all ? `${megabytes(bytes)} of ${megabytes(all)} MB` : "Unpacking it";
        });
        const seconds = ((performance.now() - began) / 1000).toFixed(1);
        status.textContent = `Computed on your device. Loaded in ${seconds} s${helper.threads > 1 ? `, ${helper.threads} threads` : ""}; nothing you type leaves this page.`;
        const place = element("div.view");
        for (const one of still) one.remove();
        root.append(place);
        const title = (text) => element(root.dataset.heading ?? "h2", {}, text);
        view.start(place, { do: helper.do.bind(helper), state: stateOf(root, page), title });
        tour(place, view.tour, guide);
        guide.hidden = false;
      } catch (error) {
        const served = AS_FILE ? "It was opened as a file: the command make site-serve serves it. " : "";
        status.textContent = `This needs ${E.about.models[view.model].graph ? "a browser with WebAssembly, and " : ""}the files beside this page. ${served}${error.message}`;
        start.hidden = false;
      }
      progress.hidden = true;
      count.textContent = "";
    }

    return open();
  };

  // Where nothing was laid, about.js says so.
  script("about.js").catch(() => {}).then(() => {
    for (const root of document.querySelectorAll("[data-view]:is([data-own], [data-open])")) E.mount(root);
  });
})((globalThis.Explorers ??= {}));
