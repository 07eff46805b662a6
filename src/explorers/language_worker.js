// Two language models beside the page: the small GPT and n-grams, as src.transformer and src.ngrams compute them.
"use strict";

(function (E) {
  const START = 0; // the token that begins and ends every text

  // --- byte-pair encoding, as src.subwords.BytePairTokenizer ------------------------------------

  // Letters that are newer than Unicode 15 are none to the library; all else is cut as there.
  const WORDS = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

  class BytePairs {
    constructor({ model: { vocab, merges } }) {
      this.ids = vocab;
      this.ranks = new Map(merges.map((pair, rank) => [pair.join(" "), rank]));
      // Each byte has a letter: those that can be read stand for themselves, the others come after them.
      this.letters = [];
      let next = 256;
      for (let byte = 0; byte < 256; byte++) {
        const plain = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
        this.letters.push(String.fromCharCode(plain ? byte : next++));
      }
      const bytes = new Map(this.letters.map((letter, byte) => [letter, byte]));
      this.bytes = []; // of each token
      for (const [piece, id] of Object.entries(vocab)) this.bytes[id] = id === START ? [] : [...piece].map((letter) => bytes.get(letter));
      this.known = new Map();
    }

    encode(text) {
      const tokens = [];
      for (const [word] of text.matchAll(WORDS)) {
        if (!this.known.has(word)) this.known.set(word, this.word(word));
        tokens.push(...this.known.get(word));
      }
      return tokens;
    }

    word(word) {
      const parts = Array.from(new TextEncoder().encode(word), (byte) => this.letters[byte]);
      for (;;) {
        let best = -1, lowest = Infinity;
        for (let i = 0; i + 1 < parts.length; i++) {
          const rank = this.ranks.get(`${parts[i]} ${parts[i + 1]}`);
          if (rank < lowest) [best, lowest] = [i, rank];
        }
        if (best < 0) return parts.map((part) => this.ids[part]);
        parts.splice(best, 2, parts[best] + parts[best + 1]);
      }
    }

    decode(ids) {
      return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(ids.flatMap((id) => this.bytes[id])));
    }
  }

  // --- the GPT ---------------------------------------------------------------------------------

  // Where a window of `most` tokens begins that predicts the token after `place`; as src.language_models.window_start.
  function windowStart(place, most) {
    const step = Math.max(1, most >> 1);
    return place < most ? 0 : (Math.floor((place - most) / step) + 1) * step;
  }

  // Reads one token after another, and keeps keys and values of those before.
  class GPT {
    constructor(tensors, heads) {
      this.weights = {};
      for (const [name, { data, shape }] of Object.entries(tensors)) {
        if (name.endsWith(".scale")) continue;
        const scales = tensors[`${name}.scale`];
        this.weights[name] = scales ? restored(data, scales.data) : data;
        if (name === "positions.weight") [this.most, this.D] = shape;
      }
      this.heads = heads;
      this.blocks = [];
      while (this.weights[`blocks.${this.blocks.length}.attention_norm.weight`]) this.blocks.push(`blocks.${this.blocks.length}.`);
      this.forget(0);
    }

    forget(start) {
      this.start = start;
      this.read = [];
      this.kept = this.blocks.map(() => ({ keys: [], values: [] }));
    }

    // ids: the whole text from START on. Logits of the next token, Float32Array[V].
    logits(ids) {
      const start = windowStart(ids.length - 1, this.most), window = ids.slice(start);
      let same = 0;
      while (same < this.read.length && same < window.length - 1 && this.read[same] === window[same]) same++;
      if (start !== this.start) {
        this.forget(start);
        same = 0;
      }
      this.read.length = same;
      for (const { keys, values } of this.kept) keys.length = values.length = same;
      let x;
      for (const id of window.slice(same)) x = this.token(id);
      return product(this.norm(x, "norm"), this.weights["words.weight"]);
    }

    token(id) {
      const { D, weights } = this, position = this.read.push(id) - 1, x = new Float32Array(D);
      for (let i = 0; i < D; i++) x[i] = Math.sqrt(D) * (weights["words.weight"][id * D + i] + weights["positions.weight"][position * D + i]);
      this.blocks.forEach((name, layer) => {
        add(x, this.attention(this.norm(x, `${name}attention_norm`), `${name}attention.`, this.kept[layer]));
        const hidden = this.linear(this.norm(x, `${name}feed_forward_norm`), `${name}feed_forward.expand`);
        add(x, this.linear(hidden.map(gelu), `${name}feed_forward.contract`));
      });
      return x;
    }

    attention(x, name, { keys, values }) {
      const depth = this.D / this.heads, mixed = new Float32Array(this.D), query = this.linear(x, `${name}W_q`);
      keys.push(this.linear(x, `${name}W_k`));
      values.push(this.linear(x, `${name}W_v`));
      for (let first = 0; first < this.D; first += depth) {
        const scores = keys.map((key) => {
          let sum = 0;
          for (let i = first; i < first + depth; i++) sum += query[i] * key[i];
          return sum / Math.sqrt(depth);
        });
        E.softmax(scores, 1).forEach((share, j) => {
          for (let i = first; i < first + depth; i++) mixed[i] += share * values[j][i];
        });
      }
      return this.linear(mixed, `${name}W_o`);
    }

    linear(x, name) {
      return add(product(x, this.weights[`${name}.weight`]), this.weights[`${name}.bias`]);
    }

    norm(x, name) {
      const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
      const spread = Math.sqrt(x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length + 1e-5);
      const scale = this.weights[`${name}.weight`], bias = this.weights[`${name}.bias`];
      return x.map((value, i) => ((value - mean) / spread) * scale[i] + bias[i]);
    }
  }

  function restored(numbers, scales) {
    const made = new Float32Array(numbers.length), block = numbers.length / scales.length;
    for (let i = 0; i < made.length; i++) made[i] = numbers[i] * scales[Math.floor(i / block)];
    return made;
  }

  function add(x, more) {
    for (let i = 0; i < x.length; i++) x[i] += more[i];
    return x;
  }

  // float[D] times the rows of a matrix, float[N, D]: float[N].
  function product(x, matrix) {
    const D = x.length, made = new Float32Array(matrix.length / D);
    for (let row = 0, at = 0; row < made.length; row++) {
      let a = 0, b = 0, c = 0, d = 0; // four sums, which need not wait for one another
      for (let i = 0; i < D; i += 4, at += 4) {
        a += x[i] * matrix[at];
        b += x[i + 1] * matrix[at + 1];
        c += x[i + 2] * matrix[at + 2];
        d += x[i + 3] * matrix[at + 3];
      }
      made[row] = a + b + c + d;
    }
    return made;
  }

  const gelu = (x) => (x * (1 + erf(x / Math.SQRT2))) / 2;

  // Abramowitz and Stegun, 7.1.26: at most 1.5e-7 off.
  function erf(x) {
    const t = 1 / (1 + 0.3275911 * Math.abs(x));
    const sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return Math.sign(x) * (1 - sum * Math.exp(-x * x));
  }

  // --- n-grams ---------------------------------------------------------------------------------

  // Interpolated Kneser-Ney, as src.ngrams.NgramModel: but nothing is counted before it is asked for.
  class Ngrams {
    // stream: the training texts as tokens, START before and after each.
    constructor(stream, V, discounts) {
      Object.assign(this, { stream, V, discounts, bases: {} });
    }

    // ids: the whole text from START on; n: the length of the runs. The probability of each token,
    // and how often the last 0, 1, ... n - 1 tokens occur in the texts.
    after(ids, n) {
      const before = Array.from({ length: n - 1 }, (_, i) => ids[ids.length - 1 - i] ?? START); // the last one first
      let probs = new Float64Array(this.V).fill(1 / this.V), places = null;
      const seen = [];
      for (let m = 1; m <= n; m++) {
        if (m > 1) places = this.narrowed(places, before, m - 1);
        const counts = m > 1 ? this.counted(places, before, m, n) : this.base(n);
        seen.push(places?.length ?? this.stream.length - 1);
        probs = this.mixed(counts, probs, m, n);
      }
      return { probs, seen };
    }

    // Of places, those with before[far - 1] `far` tokens earlier. Before a text there is nothing but START.
    narrowed(places, before, far) {
      const { stream } = this, wanted = before[far - 1];
      if (far > 1 && before[far - 2] === START) return places;
      if (places) return places.filter((i) => stream[i - far] === wanted);
      const found = [];
      for (let i = 1; i < stream.length; i++) if (stream[i - 1] === wanted) found.push(i);
      return found;
    }

    // How often each token follows; for shorter runs than the longest, after how many different tokens.
    counted(places, before, m, n) {
      const { stream, V } = this, counts = new Float64Array(V), known = new Set();
      for (const i of places) {
        if (m < n) {
          const pair = (before[m - 2] === START ? START : stream[i - m]) * V + stream[i];
          if (known.has(pair)) continue;
          known.add(pair);
        }
        counts[stream[i]]++;
      }
      return counts;
    }

    // The same for runs of one token: all places, so it is done once.
    base(n) {
      const { stream, V, bases } = this, kind = n === 1 ? "longest" : "shorter";
      if (bases[kind]) return bases[kind];
      const counts = (bases[kind] = new Float64Array(V)), known = new Uint8Array(n === 1 ? 0 : V * V);
      for (let i = 1; i < stream.length; i++) {
        const pair = stream[i - 1] * V + stream[i];
        if (n > 1 && known[pair]) continue;
        known[pair] = 1;
        counts[stream[i]]++;
      }
      return counts;
    }

    mixed(counts, shorter, m, n) {
      let total = 0, types = 0;
      for (const count of counts) {
        total += count;
        types += count > 0;
      }
      if (!total) return shorter;
      const discount = this.discounts[m < n ? "shorter" : "longest"][m - 1];
      return shorter.map((prob, id) => (Math.max(counts[id] - discount, 0) + discount * types * prob) / total);
    }
  }

  // ---------------------------------------------------------------------------------------------

  let tokenizer, gpt, ngrams;

  E.tasks = {
    ...E.tasks,

    async language({ files, settings: { heads, discounts } }) {
      const tensors = E.tensors(files["gpt.safetensors"]), stream = files["texts.gz"];
      tokenizer = new BytePairs(JSON.parse(new TextDecoder().decode(files["bpe.json"])));
      gpt = new GPT(tensors, heads);
      ngrams = new Ngrams(new Uint16Array(stream.buffer), tensors["words.weight"].shape[0], discounts);
    },

    async pieces() {
      return tokenizer.bytes.map((_, id) => tokenizer.decode([id]));
    },

    async encode({ texts }) {
      return texts.map((text) => tokenizer.encode(text));
    },

    async decode({ ids }) {
      return tokenizer.decode(ids);
    },

    // The next token after START and these, by "gpt" or, with n, by "ngram": its logits.
    async next({ model, ids, n }) {
      const began = performance.now(), all = [START, ...ids];
      const made = model === "gpt" ? { logits: gpt.logits(all) } : ngrams.after(all, n);
      if (made.probs) made.logits = made.probs.map(Math.log);
      return { ...made, milliseconds: performance.now() - began };
    },
  };
})((globalThis.Explorers ??= {}));
