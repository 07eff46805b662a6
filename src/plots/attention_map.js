/* Attention maps to explore: src/plots/attention.py, explore_attention; explore.js goes before it.
   Weights come as bytes, 255 is all of a row's attention. */
begin("attention", function (box, data) {
  var bytes = atob(data.weights), T = data.tokens.length;
  var layer = data.start[0], head = data.start[1], row = data.start[2], marks = new Set(data.marks);

  var bar = add(box, "div", "display:flex;flex-wrap:wrap;align-items:center");
  function stepper(name, count, get, set) { // one button back, the number, one forward
    function move(by) { return function () { set((get() + by + count) % count); show(); }; }
    function button(sign, what, by) {
      var element = add(bar, "button", control, sign);
      element.type = "button";
      element.setAttribute("aria-label", what + " " + name);
      element.onclick = move(by);
    }
    button("\u2212", "previous", -1);
    var shown = add(bar, "span", "min-width:6.5em;text-align:center;margin:0 .4em .4em 0");
    button("+", "next", 1);
    return function () { shown.textContent = name + " " + (get() + 1) + " of " + count; };
  }
  var sayLayer = stepper("block", data.layers, function () { return layer; }, function (to) { layer = to; });
  var sayHead = stepper("head", data.heads, function () { return head; }, function (to) { head = to; });
  var label = add(bar, "label", "margin:0 0 .4em .6em;cursor:pointer"), tick = add(label, "input", "margin-right:.4em");
  tick.type = "checkbox";
  tick.onchange = function () { show(); };
  label.appendChild(document.createTextNode("leave out [CLS] and [SEP]"));

  var grid = canvas("All heads, a row for each block. Arrow keys choose another.");
  var line = add(box, "div", "display:flex;flex-wrap:wrap;gap:.25em;margin:.5em 0");
  var words = data.tokens.map(function (token, i) {
    var element = add(line, "button", "", token);
    element.type = "button";
    element.onclick = function () { row = i; show(); };
    return element;
  });
  var says = add(box, "p", "min-height:2.8em;margin:.4em 0;line-height:1.4");
  says.setAttribute("aria-live", "polite");
  var map = canvas("The map of this head. Up and down choose the token that looks, left and right another head.");

  function canvas(name) {
    var element = add(box, "canvas", "display:block;background:#fff;border:1px solid #bbb;border-radius:6px;cursor:pointer");
    element.tabIndex = 0;
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", name);
    return element;
  }
  function weight(l, h, i, j) { return bytes.charCodeAt(((l * data.heads + h) * T + i) * T + j) / 255; }
  function looks(l, h, i) { // a row of the map; without the marks, the rest is scaled up to one
    var all = [], sum = 0, j;
    for (j = 0; j < T; j++) {
      var w = tick.checked && marks.has(j) ? 0 : weight(l, h, i, j);
      all.push(w);
      sum += w;
    }
    return tick.checked && sum > 0 ? all.map(function (w) { return w / sum; }) : all;
  }
  function colour(w) { return data.colours[Math.min(31, Math.floor(w * 32))]; }
  function letters(shade) { // black or white on "#rrggbb", whichever reads better: both do at a relative luminance of 0.18
    var light = [1, 3, 5].map(function (at) { return Math.pow(parseInt(shade.slice(at, at + 2), 16) / 255, 2.2); });
    return 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2] < 0.18 ? "#fff" : "#000";
  }

  var side, pad, cell, small;
  function show() {
    sayLayer();
    sayHead();
    var shares = looks(layer, head, row);
    words.forEach(function (element, j) {
      element.style.cssText = "font:inherit;border-radius:4px;padding:.15em .4em;cursor:pointer;width:auto;min-width:0;margin:0;" +
        "background:" + colour(shares[j]) + ";color:" + letters(colour(shares[j])) + ";border:" +
        (j === row ? "3px solid #d55e00" : "3px solid transparent");
      element.setAttribute("aria-pressed", j === row);
      element.setAttribute("aria-label", data.tokens[j] + ", " + Math.round(100 * shares[j]) + " percent");
    });
    var order = shares.map(function (w, j) { return j; }).sort(function (a, b) { return shares[b] - shares[a]; }).slice(0, 3);
    says.textContent = "";
    add(says, "strong", "", "\u201c" + data.tokens[row] + "\u201d");
    says.appendChild(document.createTextNode(" looks, in block " + (layer + 1) + ", head " + (head + 1) + ", most at " +
      order.map(function (j) { return "\u201c" + data.tokens[j] + "\u201d (" + Math.round(100 * shares[j]) + " %)"; }).join(", ") + "."));
    draw();
  }
  function sharp(element, width, height) {
    var ratio = window.devicePixelRatio || 1, pen = element.getContext("2d");
    element.style.width = width + "px";
    element.style.height = height + "px";
    element.width = width * ratio;
    element.height = height * ratio;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, width, height);
    return pen;
  }
  function draw() {
    var room = Math.min(box.clientWidth || 640, 900), l, h, i, j;
    small = Math.max(Math.floor(room / data.heads), 12);
    side = Math.min(small, 46);
    var pen = sharp(grid, side * data.heads, side * data.layers), dot = (side - 4) / T;
    for (l = 0; l < data.layers; l++) for (h = 0; h < data.heads; h++) {
      for (i = 0; i < T; i++) looks(l, h, i).forEach(function (w, at) {
        pen.fillStyle = colour(w);
        pen.fillRect(h * side + 2 + at * dot, l * side + 2 + i * dot, dot + 0.5, dot + 0.5);
      });
    }
    pen.lineWidth = 3;
    pen.strokeStyle = "#d55e00";
    pen.strokeRect(head * side + 1.5, layer * side + 1.5, side - 3, side - 3);

    pen = map.getContext("2d");
    pen.font = "13px system-ui, sans-serif";
    pad = 12 + Math.max.apply(null, data.tokens.map(function (token) { return pen.measureText(token).width; }));
    cell = Math.max(8, Math.min(30, Math.floor((room - pad - 4) / T)));
    pen = sharp(map, pad + cell * T + 4, pad + cell * T + 4);
    pen.font = Math.min(13, cell + 3) + "px system-ui, sans-serif";
    for (i = 0; i < T; i++) {
      looks(layer, head, i).forEach(function (w, at) {
        pen.fillStyle = colour(w);
        pen.fillRect(pad + at * cell, pad + i * cell, cell - 1, cell - 1);
      });
      pen.fillStyle = i === row ? "#a34600" : "#222";
      pen.textAlign = "right";
      pen.fillText(data.tokens[i], pad - 6, pad + i * cell + cell / 2 + 4);
      pen.save();
      pen.translate(pad + i * cell + cell / 2 + 4, pad - 6);
      pen.rotate(-Math.PI / 2);
      pen.textAlign = "left";
      pen.fillStyle = "#222";
      pen.fillText(data.tokens[i], 0, 0);
      pen.restore();
    }
    pen.lineWidth = 2;
    pen.strokeStyle = "#d55e00";
    pen.strokeRect(pad - 1, pad + row * cell - 1, cell * T + 1, cell + 1);
  }
  grid.onclick = function (event) {
    var at = spot(grid, event);
    head = Math.max(0, Math.min(data.heads - 1, Math.floor(at[0] / side)));
    layer = Math.max(0, Math.min(data.layers - 1, Math.floor(at[1] / side)));
    show();
  };
  map.onclick = function (event) {
    var i = Math.floor((spot(map, event)[1] - pad) / cell);
    if (i >= 0 && i < T) { row = i; show(); }
  };
  function keys(moves) {
    return function (event) {
      var move = moves[event.key];
      if (!move) return;
      move();
      show();
      event.preventDefault();
      event.stopPropagation();
    };
  }
  function turn(by) { return function () { head = (head + by + data.heads) % data.heads; }; }
  function climb(by) { return function () { layer = (layer + by + data.layers) % data.layers; }; }
  function step(by) { return function () { row = (row + by + T) % T; }; }
  grid.onkeydown = keys({ ArrowLeft: turn(-1), ArrowRight: turn(1), ArrowUp: climb(-1), ArrowDown: climb(1) });
  map.onkeydown = keys({ ArrowLeft: turn(-1), ArrowRight: turn(1), ArrowUp: step(-1), ArrowDown: step(1) });

  var known = 0;
  if (window.ResizeObserver) new ResizeObserver(function () {
    if (box.clientWidth && box.clientWidth !== known) { known = box.clientWidth; draw(); }
  }).observe(box);
  show();
});
