/* Attention with numbers to change: src/plots/attention.py, explore_numbers; explore.js goes before it. */
begin("numbers", function (box, data) {
  var words = data.words, tables = { query: [], key: [], value: [] };
  box.style.lineHeight = 1.4;

  function number(parent, value, name) {
    var field = add(parent, "input", frame + ";width:3.4em;padding:.15em .3em;margin:.1em");
    field.type = "number";
    field.step = "any";
    field.value = value;
    field.setAttribute("aria-label", name);
    field.oninput = show;
    field.onkeydown = function (event) { event.stopPropagation(); };
    return field;
  }
  var row = add(box, "div", "display:flex;flex-wrap:wrap;gap:.4em 2em;align-items:flex-start");
  ["query", "key", "value"].forEach(function (kind) {
    var part = add(row, "div", "");
    add(part, "strong", "", kind);
    words.forEach(function (word, i) {
      var line = add(part, "div", "white-space:nowrap");
      add(line, "span", "display:inline-block;min-width:5.6em", word);
      tables[kind].push(data[kind][i].map(function (value, j) { return number(line, value, kind + " of " + word + ", number " + (j + 1)); }));
    });
  });
  var below = add(box, "div", "margin:.5em 0"), label = add(below, "label", "");
  label.appendChild(document.createTextNode("scores are divided by "));
  var divisor = number(label, data.divisor, "divisor of the scores");
  var again = add(below, "button", frame + ";padding:.15em .7em;margin-left:1em;width:auto;cursor:pointer", "as it was");
  again.type = "button";
  again.onclick = function () {
    ["query", "key", "value"].forEach(function (kind) {
      tables[kind].forEach(function (fields, i) { fields.forEach(function (field, j) { field.value = data[kind][i][j]; }); });
    });
    divisor.value = data.divisor;
    show();
  };
  var map = add(box, "table", "border-collapse:separate;border-spacing:3px;margin:.3em 0");
  var says = add(box, "div", "min-height:3em");
  says.setAttribute("aria-live", "polite");

  function read(field) { var value = parseFloat(field.value); return isFinite(value) ? value : 0; }
  function short(value) { return String(Math.round(100 * value) / 100); }
  function show() {
    var d = read(divisor) || 1, values = {};
    Object.keys(tables).forEach(function (kind) { values[kind] = tables[kind].map(function (fields) { return fields.map(read); }); });
    map.textContent = "";
    says.textContent = "";
    var head = add(map, "tr", "");
    add(head, "td", "border:0;font-size:.85em;padding-right:.6em;text-align:right", "who looks \u2193   at whom \u2192");
    words.forEach(function (word) { add(head, "th", "border:0;padding:.1em .6em;text-align:center;font-weight:normal", word); });
    values.query.forEach(function (query, i) {
      var scores = values.key.map(function (key) { return query.reduce(function (sum, q, j) { return sum + q * key[j]; }, 0); });
      var highest = Math.max.apply(null, scores.map(function (score) { return score / d; }));
      var shares = scores.map(function (score) { return Math.exp(score / d - highest); });
      var total = shares.reduce(function (sum, share) { return sum + share; }, 0), line = add(map, "tr", "");
      shares = shares.map(function (share) { return share / total; });
      add(line, "th", "border:0;padding:.1em .6em;text-align:right;font-weight:normal", words[i]);
      shares.forEach(function (share, j) {
        var cell = add(line, "td", "border:0;padding:.5em .9em;text-align:center;min-width:9em;background:" +
          data.colours[Math.min(31, Math.floor(share * 32))] + ";color:" + (share < 0.62 ? "#fff" : "#222"));
        add(cell, "strong", "font-size:1.15em", share.toFixed(2));
        add(cell, "div", "font-size:.85em", "score " + short(scores[j]) + ", divided " + short(scores[j] / d));
      });
      var mixed = values.value[0].map(function (_, j) {
        return shares.reduce(function (sum, share, k) { return sum + share * values.value[k][j]; }, 0);
      });
      add(says, "div", "", words[i] + " becomes " + shares.map(function (share, k) {
        return share.toFixed(2) + " \u00d7 [" + values.value[k].map(short).join(", ") + "]";
      }).join(" + ") + " = [" + mixed.map(short).join(", ") + "]");
    });
  }
  show();
});
