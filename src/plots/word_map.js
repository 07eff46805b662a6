/* The map of words that can be explored: src/plots/word2vec.py, explore_word_map; explore.js goes before it.
   World coordinates are 0..9999 in both directions. */
begin("map", function (box, data) {
  var N = data.words.length, green = new Set(data.green);

  var bar = add(box, "div", "display:flex;flex-wrap:wrap;align-items:center");
  function button(sign, name, act) {
    var element = add(bar, "button", control, sign);
    element.type = "button";
    element.setAttribute("aria-label", name);
    element.title = name;
    element.onclick = act;
  }
  button("+", "zoom in", function () { zoom(1.5, width / 2, height / 2); });
  button("\u2212", "zoom out", function () { zoom(1 / 1.5, width / 2, height / 2); });
  button("whole map", "show the whole map", function () { choose(-1); whole(); });
  var field = add(bar, "input", control + ";width:9em;cursor:text");
  field.type = "search";
  field.placeholder = "look up a word";
  field.setAttribute("aria-label", "look up a word on the map");
  var canvas = add(box, "canvas", "display:block;width:100%;background:#fff;border:1px solid #bbb;border-radius:6px;cursor:grab;touch-action:pan-x pan-y");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", "Map of " + N + " words. Plus and minus zoom, arrows move, 0 shows all, N goes to the next word in view. " +
    "The word in focus and its nearest words are read out below.");
  var says = add(box, "p", "min-height:2.8em;margin:.4em 0;line-height:1.4");
  says.setAttribute("aria-live", "polite");
  var help = "Point at a word, or tap it. Drag to move; click into the map, then the wheel (or + and \u2212) zooms. Numbers are green.";
  says.textContent = help;

  var pen = canvas.getContext("2d"), width = 0, height = 0, scale = 1, left = 0, top = 0, chosen = -1, waiting = false;
  function X(i) { return (data.x[i] - left) * scale; }
  function Y(i) { return (data.y[i] - top) * scale; }
  function all() { return Math.min(width / 10400, height / 10400); }
  function whole() { scale = all(); left = 5000 - width / 2 / scale; top = 5000 - height / 2 / scale; redraw(); }
  function zoom(factor, x, y) { // the place under (x, y) stays where it is
    var next = Math.min(Math.max(scale * factor, all()), all() * 60);
    left += x / scale - x / next;
    top += y / scale - y / next;
    scale = next;
    redraw();
  }
  function move(dx, dy) { left -= dx / scale; top -= dy / scale; redraw(); }
  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(function () { waiting = false; draw(); });
  }
  function draw() {
    var sharp = window.devicePixelRatio || 1, magnified = scale / all(), i;
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, width, height);
    var near = chosen < 0 ? [] : data.near[chosen];
    pen.strokeStyle = "#d55e00";
    pen.lineWidth = 1;
    near.forEach(function (j) { pen.beginPath(); pen.moveTo(X(chosen), Y(chosen)); pen.lineTo(X(j), Y(j)); pen.stroke(); });
    var size = Math.min(1.6 + magnified * 0.25, 4);
    for (i = N - 1; i >= 0; i--) {
      var x = X(i), y = Y(i);
      if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
      pen.fillStyle = i === chosen || near.indexOf(i) >= 0 ? "#d55e00" : green.has(i) ? "#009e73" : "#8db9d6";
      pen.beginPath();
      pen.arc(x, y, green.has(i) || i === chosen ? size + 0.8 : size, 0, 7);
      pen.fill();
    }
    // Labels: the chosen word and its neighbours, then the most frequent first, each only where no other stands.
    var taken = [], order = chosen < 0 ? [] : [chosen].concat(near), first = order.length;
    for (i = 0; i < N; i++) order.push(i);
    var most = first + Math.min(40 + 14 * magnified, 260), written = 0;
    for (var k = 0; k < order.length && written < most; k++) {
      i = order[k];
      var bold = k < first, px = X(i) + 5, py = Y(i) - 5;
      if (px < -40 || py < 0 || px > width || py > height + 8) continue;
      pen.font = (bold ? "bold 13px" : "12px") + " system-ui, sans-serif";
      var long = pen.measureText(data.words[i]).width;
      if (k > 0 && taken.some(function (t) { return px < t[2] && px + long > t[0] && py - 12 < t[3] && py + 3 > t[1]; })) continue;
      taken.push([px - 3, py - 13, px + long + 4, py + 4]);
      pen.fillStyle = bold ? "#8a3c00" : green.has(i) ? "#006b4e" : "#222";
      pen.fillText(data.words[i], px, py);
      written++;
    }
  }
  function choose(i) {
    if (i === chosen && (i >= 0 || says.textContent === help)) return;
    chosen = i;
    says.textContent = i < 0 ? help : "";
    if (i >= 0) {
      add(says, "strong", "", data.words[i]);
      says.appendChild(document.createTextNode(" (number " + (i + 1) + " by frequency). Nearest by all their numbers: " +
        data.near[i].map(function (j) { return data.words[j]; }).join(", ") + "."));
    }
    redraw();
  }
  function at(x, y, reach) {
    var best = -1, nearest = reach * reach;
    for (var i = 0; i < N; i++) {
      var dx = X(i) - x, dy = Y(i) - y, d = dx * dx + dy * dy;
      if (d < nearest) { nearest = d; best = i; }
    }
    return best;
  }
  function show(i) { // bring a word to the middle, near enough to read its surroundings
    scale = Math.max(scale, all() * 6);
    left = data.x[i] - width / 2 / scale;
    top = data.y[i] - height / 2 / scale;
    choose(i);
    redraw();
  }
  field.oninput = function () {
    var wanted = field.value.trim().toLowerCase();
    var i = wanted ? data.words.findIndex(function (word) { return word.toLowerCase() === wanted; }) : -1;
    if (i >= 0) show(i);
    else if (wanted) { chosen = -1; says.textContent = "\u201c" + wanted + "\u201d is not among these " + N + " words."; redraw(); }
  };
  field.onkeydown = function (event) { event.stopPropagation(); };

  var pointers = new Map(), dragged = false;
  canvas.onpointerdown = function (event) {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, spot(canvas, event));
    dragged = false;
  };
  canvas.onpointermove = function (event) {
    var now = spot(canvas, event), before = pointers.get(event.pointerId);
    if (!before) { choose(at(now[0], now[1], 14)); return; }
    if (pointers.size === 1) {
      if (!dragged && Math.hypot(now[0] - before[0], now[1] - before[1]) < 4) return;
      move(now[0] - before[0], now[1] - before[1]);
    } else { // two fingers: the map follows both
      var other;
      pointers.forEach(function (place, id) { if (id !== event.pointerId) other = place; });
      var was = Math.hypot(before[0] - other[0], before[1] - other[1]), is = Math.hypot(now[0] - other[0], now[1] - other[1]);
      if (was > 0) zoom(is / was, (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    }
    dragged = true;
    pointers.set(event.pointerId, now);
  };
  canvas.onpointerup = canvas.onpointercancel = function (event) {
    if (!dragged && event.type === "pointerup") { var p = spot(canvas, event); choose(at(p[0], p[1], 22)); }
    pointers.delete(event.pointerId);
  };
  canvas.addEventListener("wheel", function (event) {
    if (document.activeElement !== canvas && !event.ctrlKey) return; // the page scrolls until the map is clicked
    event.preventDefault();
    var p = spot(canvas, event);
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), p[0], p[1]);
  }, { passive: false });
  canvas.onkeydown = function (event) {
    var key = event.key, step = 60, known = true;
    if (key === "+" || key === "=") zoom(1.4, width / 2, height / 2);
    else if (key === "-") zoom(1 / 1.4, width / 2, height / 2);
    else if (key === "0") { choose(-1); whole(); }
    else if (key === "ArrowLeft") move(step, 0);
    else if (key === "ArrowRight") move(-step, 0);
    else if (key === "ArrowUp") move(0, step);
    else if (key === "ArrowDown") move(0, -step);
    else if (key === "n" || key === "N") {
      for (var k = 1; k <= N; k++) {
        var i = (chosen + k + N) % N;
        if (X(i) >= 0 && Y(i) >= 0 && X(i) <= width && Y(i) <= height) { choose(i); break; }
      }
    } else known = false;
    if (known) { event.preventDefault(); event.stopPropagation(); }
  };

  function fit() {
    var room = canvas.clientWidth;
    if (!room || room === width) return;
    var first = width === 0, cx = left + width / 2 / (scale || 1), cy = top + height / 2 / (scale || 1), sharp = window.devicePixelRatio || 1;
    width = room;
    height = Math.round(Math.min(Math.max(room * 0.75, 300), 680));
    canvas.style.height = height + "px";
    canvas.width = width * sharp;
    canvas.height = height * sharp;
    if (first) whole();
    else { scale = Math.max(scale, all()); left = cx - width / 2 / scale; top = cy - height / 2 / scale; redraw(); }
  }
  if (window.ResizeObserver) new ResizeObserver(fit).observe(box);
  fit();
});
