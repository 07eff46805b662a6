/* What the pages of the course do by themselves: copy buttons for code, names for those who hear the page, and places that scroll can be
   scrolled with the keyboard. */
(() => {
  "use strict";

  // Names for those who hear the page: what the theme calls its folds and its search field is not what is written there.
  for (const fold of document.querySelectorAll("summary[aria-label='Toggle hidden content'], .search-button-field")) fold.removeAttribute("aria-label");
  for (const fold of document.querySelectorAll(".bd-sidebar-primary summary"))
    fold.setAttribute("aria-label", `Pages of ${fold.closest("li").querySelector("a").textContent.trim()}`);

  function copyByHand(text) {
    // Browsers give the clipboard only to https and to this computer; a page from another one in the room uses the old way.
    const area = document.createElement("textarea");
    area.value = text;
    area.style.position = "fixed";
    area.style.opacity = "0";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done ? Promise.resolve() : Promise.reject(new Error("not allowed"));
  }

  function copy(text) {
    return navigator.clipboard && window.isSecureContext ? navigator.clipboard.writeText(text).catch(() => copyByHand(text)) : copyByHand(text);
  }

  function addCopyButton(box) {
    const code = box.querySelector("pre");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy this code");
    button.addEventListener("click", () => {
      const say = (words) => {
        said.textContent = words;
        button.textContent = words;
        setTimeout(() => { button.textContent = "Copy"; }, 2000);
      };
      copy(code.textContent.replace(/\n$/, "")).then(() => say("Copied"), () => say("Select it and press Ctrl+C"));
    });
    box.append(button);
  }

  // One place whose changes screen readers tell.
  const said = document.createElement("div");
  said.className = "visually-hidden";
  said.setAttribute("role", "status");
  document.body.append(said);

  const SCROLLS = "pre, .cell_output .text_html, .pst-scrollable-table-container, mjx-container[display=true], div.math, .sig";

  function reachByKeyboard() {
    for (const place of document.querySelectorAll(SCROLLS)) {
      if (place.scrollWidth > place.clientWidth + 1) place.tabIndex = 0;
      else if (place.tabIndex === 0) place.removeAttribute("tabindex");
    }
  }

  // Printed tables, which wrapped lines would break.
  for (const printed of document.querySelectorAll(".cell_output pre"))
    if (printed.textContent.split("\n").filter((line) => /\S {2,}\S/.test(line)).length > 1) printed.classList.add("columns");

  document.querySelectorAll(".bd-article .cell_input div.highlight, .bd-article section > div[class*=highlight-] > div.highlight")
    .forEach(addCopyButton);

  // A view that computes is loaded when it is opened.
  for (const root of document.querySelectorAll(".explorer[data-from]")) root.querySelector("button").addEventListener("click", () => {
    root.dataset.open = "";
    if (globalThis.Explorers?.about !== undefined) return Explorers.mount(root);
    if (document.getElementById("explorers")) return; // it is coming, and opens all that were asked for
    const script = document.createElement("script");
    Object.assign(script, { id: "explorers", src: `${root.dataset.from}/explorers.js` });
    document.body.append(script);
  });

  let waiting;
  const later = () => { clearTimeout(waiting); waiting = setTimeout(reachByKeyboard, 200); };
  addEventListener("resize", later);
  addEventListener("load", () => { later(); window.MathJax?.startup?.promise?.then(later); });
  document.addEventListener("toggle", later, true); // what was folded has no width until it is open
})();
