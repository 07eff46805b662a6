/* A term of the glossary says what it means where it is used: under a pointer, with the focus, at a tap. A second tap, a click or Enter follows
   the link, as it does without this script. */
(() => {
  "use strict";
  const links = document.querySelectorAll(".bd-article a[href*='glossary.html#']");
  if (!links.length) return;

  const script = document.createElement("script"); // fetch() reads no files
  script.src = `${document.documentElement.dataset.content_root}_static/definitions.js`;
  document.head.append(script);

  const box = document.createElement("div");
  box.id = "definition";
  box.setAttribute("role", "tooltip");
  box.hidden = true;
  document.body.append(box);
  let shown, timer, touched = false, wasShown = false;

  function hide() {
    clearTimeout(timer);
    shown?.removeAttribute("aria-describedby");
    shown = undefined;
    box.hidden = true;
  }

  function show(link) {
    const text = window.courseDefinitions?.[decodeURIComponent(link.hash.slice(1))];
    if (shown === link || !text) return clearTimeout(timer);
    hide();
    shown = link;
    box.innerHTML = text; // escaped by tools/build_site.py
    box.hidden = false;
    link.setAttribute("aria-describedby", box.id);
    const [place] = link.getClientRects(), gap = 6;
    const below = place.bottom + gap, above = place.top - gap - box.offsetHeight;
    const left = Math.min(place.left, document.documentElement.clientWidth - box.offsetWidth - gap);
    box.style.left = `${scrollX + Math.max(gap, left)}px`;
    box.style.top = `${scrollY + (below + box.offsetHeight > innerHeight && above > 0 ? above : below)}px`;
  }

  const later = (action, wait) => { clearTimeout(timer); timer = setTimeout(action, wait); };
  for (const link of links) {
    link.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") later(() => show(link), 200); });
    link.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") later(hide, 300); });
    link.addEventListener("pointerdown", (event) => { touched = event.pointerType !== "mouse"; wasShown = shown === link; });
    link.addEventListener("focus", () => show(link));
    link.addEventListener("blur", hide);
    link.addEventListener("click", (event) => {
      if (event.detail && touched && !wasShown) {
        show(link);
        if (shown === link) event.preventDefault();
      }
    });
  }
  box.addEventListener("pointerenter", () => clearTimeout(timer)); // one can go there, and read
  box.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") later(hide, 300); });
  addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  addEventListener("pointerdown", (event) => { if (shown && !box.contains(event.target) && !shown.contains(event.target)) hide(); });
  addEventListener("resize", hide);
})();
