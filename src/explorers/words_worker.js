// Word vectors beside the page: nearest words and equations, as src.embeddings computes them.
"use strict";

(function (E) {
  const KINDS = { I8: Int8Array, U16: Uint16Array, F32: Float32Array };

  // The arrays of a safetensors file by name, and their shapes: {name: {data, shape}}.
  E.tensors = function (bytes) {
    const head = Number(new DataView(bytes.buffer).getBigUint64(0, true)), made = {};
    const table = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + head)));
    for (const [name, { dtype, shape, data_offsets: [begin, end] }] of Object.entries(table)) {
      if (name === "__metadata__") continue;
      const kind = KINDS[dtype];
      made[name] = { shape, data: new kind(bytes.buffer, 8 + head + begin, (end - begin) / kind.BYTES_PER_ELEMENT) };
    }
    return made;
  };

  let words, ids, units, V, D, map, mapped;

  // A word in any capitalisation, as src.text.Vocabulary finds it; undefined where it is unknown.
  const find = (word) => ids.get(word) ?? ids.get(word.toLowerCase());
  const clean = (word) => word.trim().normalize("NFC");
  const unit = (id) => units.subarray(id * D, (id + 1) * D);

  // The n rows among the first `among` that point most nearly as the vector does.
  function nearest(vector, n, leaveOut = [], among = V) {
    const length = Math.hypot(...vector) || 1, out = new Set(leaveOut), best = [];
    for (let id = 0, at = 0; id < among; id++) {
      let sum = 0;
      for (let i = 0; i < D; i++, at++) sum += vector[i] * units[at];
      if (best.length === n && sum <= best[n - 1].sum) continue;
      if (out.has(id)) continue;
      let place = best.length;
      while (place > 0 && best[place - 1].sum < sum) place--;
      best.splice(place, 0, { id, sum });
      if (best.length > n) best.pop();
    }
    return best.map(({ id, sum }) => ({ id, word: words[id], cosine: sum / length }));
  }

  // Where a word is on the map: its own place, or that of the nearest word which has one.
  function place(id) {
    const own = id < mapped, at = own ? id : nearest(unit(id), 1, [id], mapped)[0].id;
    return { own, x: map[2 * at], y: map[2 * at + 1] };
  }

  // Of the ten nearest by the vectors, how many are among the ten nearest dots: words with a place.
  function kept(id) {
    const far = Array.from({ length: mapped }, (_, i) => [(map[2 * i] - map[2 * id]) ** 2 + (map[2 * i + 1] - map[2 * id + 1]) ** 2, i]);
    const dots = new Set(far.filter(([, i]) => i !== id).sort((a, b) => a[0] - b[0]).slice(0, 10).map(([, i]) => i));
    return nearest(unit(id), 10, [id], mapped).filter((one) => dots.has(one.id)).length;
  }

  // Letters to put in, leave out or change from one word to the other; 3 where it is more than 2.
  function edits(a, b) {
    if (Math.abs(a.length - b.length) > 2) return 3;
    let row = Array.from({ length: b.length + 1 }, (_, j) => j);
    for (let i = 1; i <= a.length; i++) {
      const next = [i];
      for (let j = 1; j <= b.length; j++) next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] !== b[j - 1]));
      if (Math.min(...next) > 2) return 3;
      row = next;
    }
    return Math.min(row[b.length], 3);
  }

  function unknown(word) {
    const low = word.toLowerCase();
    const close = words.map((one) => [edits(low, one), one]).filter(([count]) => count < 3);
    return { unknown: word, close: close.sort((a, b) => a[0] - b[0]).slice(0, 3).map(([, one]) => one) };
  }

  E.tasks = {
    ...E.tasks,

    async words({ files }) {
      words = new TextDecoder().decode(files["glove.txt.gz"]).split("\n");
      ids = new Map(words.map((word, id) => [word, id]));
      const all = E.tensors(files["glove.safetensors"]);
      map = all.map.data;
      mapped = all.map.shape[0];
      [V, D] = all.vectors.shape;
      units = Float32Array.from(all.vectors.data);
      for (let id = 0; id < V; id++) {
        const row = unit(id), length = Math.hypot(...row) || 1;
        for (let i = 0; i < D; i++) row[i] /= length;
      }
    },

    async drawn() {
      return { words: words.slice(0, mapped), map };
    },

    // {word, id, place, kept, near: [{word, id, cosine, place}]}, or {unknown, close}.
    async similar({ word, n = 10 }) {
      const asked = clean(word), id = find(asked);
      if (id === undefined) return unknown(asked);
      const near = nearest(unit(id), n, [id]).map((one) => ({ ...one, place: place(one.id) }));
      return { word: words[id], id, place: place(id), kept: id < mapped ? kept(id) : null, near };
    },

    // a is to b as c is to ...: nearest to b - a + c, without these three and with them.
    async analogy({ given, n = 5 }) {
      const asked = given.map(clean), found = asked.map(find), wrong = found.indexOf(undefined);
      if (wrong >= 0) return unknown(asked[wrong]);
      const [a, b, c] = found.map(unit), vector = b.map((value, i) => value - a[i] + c[i]);
      return { words: found.map((id) => words[id]), without: nearest(vector, n, found), all: nearest(vector, n) };
    },
  };
})((globalThis.Explorers ??= {}));
