/* Views and what can be explored are as large as fits, then reveal.js takes over; `fitted` says so. */
(async () => {
  const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  await new Promise((done) => addEventListener("load", done)); // what is in the frames, too
  document.body.classList.add("measure");
  for (const view of document.querySelectorAll(".view > div")) {
    const box = view.parentElement;
    let low = 0.5, high = 2.4;
    for (let i = 0; i < 9; i++) {
      view.style.zoom = (low + high) / 2;
      const fits = view.getBoundingClientRect().height <= box.clientHeight && box.scrollWidth <= box.clientWidth;
      if (fits) low = (low + high) / 2; else high = (low + high) / 2;
    }
    view.style.zoom = low;
  }
  for (const frame of document.querySelectorAll("iframe")) {
    const { clientWidth: wide, clientHeight: high } = frame.parentElement;
    for (let scale = 1.6; scale > 0.6; scale -= 0.05) {
      frame.style.cssText = `width:${wide / scale}px;height:${high / scale}px;transform:scale(${scale})`;
      await drawn();
      const { scrollWidth, scrollHeight } = frame.contentDocument.documentElement;
      if (scrollHeight <= high / scale + 1 && scrollWidth <= wide / scale + 1) break;
    }
  }
  document.body.classList.remove("measure");
  await Reveal.initialize({
    width: 1280, height: 720, margin: 0, center: false, display: "flex", hash: true, transition: "none", controls: false, defaultTiming: 60,
    pdfSeparateFragments: false, pdfMaxPagesPerSlide: 1, plugins: [RevealNotes],
  });
  window.fitted = true;
})();
