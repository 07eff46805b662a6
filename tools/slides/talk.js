/* Starts a talk: sets the math, shrinks what does not fit, and hands over to reveal.js. Asks nothing of any host. */
(function () {
  "use strict";
  var root = document.documentElement, query = new URLSearchParams(location.search);
  var printing = query.has("print-pdf");
  var dark = matchMedia("(prefers-color-scheme: dark)");

  function show(theme) {
    root.dataset.theme = theme;
    document.querySelectorAll("iframe.explore").forEach(function (frame) {
      var inside = frame.contentDocument && frame.contentDocument.documentElement; // not there yet while it is being parsed
      if (inside) inside.dataset.theme = theme;
    });
  }
  function wanted() { return printing ? "light" : query.get("theme") || (dark.matches ? "dark" : "light"); }
  show(wanted());
  dark.addEventListener("change", function () { show(wanted()); });

  // A frame is as high as what is in it. It is not zoomed from inside: its scripts reckon in its own pixels.
  function resize(frame) {
    var inside = frame.contentDocument;
    if (!inside || !inside.body) return;
    frame.style.height = "10px"; // else it would never become lower than it is
    frame.style.height = inside.documentElement.scrollHeight + 3 + "px"; // and what rounding takes, when the slide is scaled
  }
  function over(body) { // math has parts for screen readers that stick out, so boxes are compared, not scroll heights
    var room = body.getBoundingClientRect();
    return Array.from(body.children).some(function (child) {
      var box = child.getBoundingClientRect();
      return box.bottom > room.bottom + 1 || box.right > room.right + 1 || child.scrollWidth > child.clientWidth + 1;
    });
  }
  function fit(page) { // the largest zoom, up to 1, at which the body of a slide is inside it
    var body = page.querySelector(".body"), zoom = 1;
    body.style.zoom = "";
    while (over(body) && zoom > 0.3) {
      zoom = Math.round((zoom - 0.02) * 100) / 100;
      body.style.zoom = zoom;
    }
    page.dataset.zoom = zoom;
  }
  function fitAll() {
    root.classList.add("measuring");
    document.querySelectorAll("iframe.explore").forEach(resize);
    document.querySelectorAll(".page").forEach(fit);
    root.classList.remove("measuring");
  }
  document.addEventListener("toggle", function (event) { // an unfolded answer needs more room
    var page = event.target.closest && event.target.closest(".page");
    if (page && page.offsetParent) fit(page);
  }, true);
  document.addEventListener("click", function (event) { // a quiz's own buttons unfold, too
    var page = event.target.closest && event.target.closest(".quiz") && event.target.closest(".page");
    if (page) setTimeout(fit, 0, page);
  });

  function loaded(frame) {
    return new Promise(function (done) {
      var inside = frame.contentDocument;
      if (inside && inside.readyState === "complete" && inside.body && inside.body.childElementCount) return done();
      frame.addEventListener("load", done);
    });
  }
  var ready = Array.from(document.querySelectorAll("iframe.explore"), loaded);
  if (window.MathJax && MathJax.startup) {
    ready.push(MathJax.startup.promise.then(function () { return MathJax.typesetPromise(Array.from(document.querySelectorAll(".tex"))); }));
  }
  if (document.fonts) ready.push(document.fonts.ready);
  Promise.all(ready).then(function () {
    show(wanted());
    fitAll();
    return Reveal.initialize({
      width: 1280, height: 720, margin: 0, minScale: 0.1, maxScale: 4, center: false,
      hash: true, slideNumber: "c/t", transition: "none", backgroundTransition: "none", viewDistance: 2,
      defaultTiming: 0, // each slide has its own; without this the speaker's view would not show the pace
      pdfSeparateFragments: false, pdfMaxPagesPerSlide: 1,
      // A focused choice of a quiz is what Enter and Space are for.
      keyboardCondition: function (event) {
        return !((event.key === "Enter" || event.key === " ") && event.target.closest("summary, button, a"));
      },
      keyboard: { 68: function () { show(root.dataset.theme === "dark" ? "light" : "dark"); } }, // D
      plugins: [RevealNotes]
    });
  }).then(function () { root.dataset.ready = "true"; });
})();
