/* What everything to explore shares; src/plots/explore.py puts it before each script. Plain JavaScript, asks nothing of any host. */
var frame = "font:inherit;color:inherit;background:rgba(128,128,128,.12);border:1px solid rgba(128,128,128,.6);border-radius:4px";
var control = frame + ";padding:.2em .7em;margin:0 .4em .4em 0;width:auto;min-width:2.4em;cursor:pointer";

function begin(kind, start) { // start(box, data) for every box of this kind on the page that is not yet at work
  document.querySelectorAll(".wta-" + kind + ":not([data-on])").forEach(function (box) {
    box.dataset.on = 1;
    box.textContent = "";
    box.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab's own keys stay out
    box.style.cssText = "max-width:60em;margin:.4em 0;color:inherit";
    start(box, JSON.parse(box.getAttribute("data-" + kind)));
  });
}
function add(parent, tag, style, text) {
  var element = document.createElement(tag);
  element.style.cssText = style;
  if (text) element.textContent = text;
  return parent.appendChild(element);
}
function spot(element, event) { // where in the element a pointer is, in pixels
  var r = element.getBoundingClientRect();
  return [event.clientX - r.left, event.clientY - r.top];
}
