// WordPiece as BERT's tokenizer does it, with the place of every token in the text.
"use strict";

(function (E) {
  const SPECIAL = /\[(?:PAD|UNK|CLS|SEP|MASK)\]/g;
  const LONGEST_WORD = 100; // characters; a longer one is unknown
  const BLANK = /[\t\n\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;
  // The library's tables are those of an older Unicode, browsers' are newer: these differ, and were
  // found by comparing all 1,112,064 characters. To the library they are letters like others ...
  const NEWER = ranges(
    "61d 7fd 890-891 897-89f 8ca-8e2 9fd-9fe a76 afa-aff b55 c04 c3c c77 c84 d00 d3b-d3c d81 eba ece 180f 1885-1886 " +
    "1abf-1add 1ae0-1aeb 1b4e-1b4f 1b7d-1b7f 1df6-1dfb 2e43-2e4f 2e52-2e5d a82c a8c5 a8ff a9bd 10d24-10d27 " +
    "10d69-10d6e 10eab-10ead 10ed0 10efa-10eff 10f46-10f50 10f55-10f59 10f82-10f89 11070 11073-11074 110c2 110cd " +
    "111cf 1123e 11241 1133b 113bb-113c0 113ce 113d0 113d2 113d4-113d5 113d7-113d8 113e1-113e2 11438-1143f " +
    "11442-11444 11446 1144b-1144f 1145a-1145b 1145d-1145e 11660-1166c 116b9 1182f-11837 11839-1183b 1193b-1193c " +
    "1193e 11943-11946 119d4-119d7 119da-119db 119e0 119e2 11a01-11a0a 11a33-11a38 11a3b-11a47 11a51-11a56 " +
    "11a59-11a5b 11a8a-11a96 11a98-11a9c 11a9e-11aa2 11b00-11b09 11b60 11b62-11b64 11b66 11be1 11c30-11c36 " +
    "11c38-11c3d 11c3f 11c41-11c45 11c70-11c71 11c92-11ca7 11caa-11cb0 11cb2-11cb3 11cb5-11cb6 11d31-11d36 11d3a " +
    "11d3c-11d3d 11d3f-11d45 11d47 11d90-11d91 11d95 11d97 11ef3-11ef4 11ef7-11ef8 11f00-11f01 11f36-11f3a 11f40 " +
    "11f42-11f4f 11f5a 11fff 12ff1-12ff2 13430-13440 13447-13455 1611e-16129 1612d-1612f 16d6d-16d6f 16e97-16e9a " +
    "16f4f 16fe2 16fe4 1cf00-1cf2d 1cf30-1cf46 1e000-1e006 1e008-1e018 1e01b-1e021 1e023-1e024 1e026-1e02a 1e08f " +
    "1e130-1e136 1e2ae 1e2ec-1e2ef 1e4ec-1e4ef 1e5ee-1e5ef 1e5ff 1e6e3 1e6e6 1e6ee-1e6ef 1e6f5 1e944-1e94a " +
    "1e95e-1e95f",
  );
  // ... and four have changed their kind since.
  const isOf = (kind) => (character) => kind.test(character) && !NEWER.has(character.codePointAt(0));
  const isDropped = isOf(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\uFFFD]/u); // controls, and what is put for a broken character
  const isMark = isOf(/(?!\u{111c9})[\p{Mn}\u1734\u{1171e}]/u);
  const isPunctuation = isOf(/[\p{P}$+<=>^`|~\u166d\u{111c9}]/u);
  // Not dropped as marks are, but put before some of them when a text is brought into Unicode's order.
  const MOVES = /[\u302e\u302f\u{16ff0}\u{16ff1}\u{1d165}\u{1d166}\u{1d16d}-\u{1d172}]/u;
  const CHINESE = [
    [0x4e00, 0x9fff], [0x3400, 0x4dbf], [0x20000, 0x2a6df], [0x2a700, 0x2b73f],
    [0x2b740, 0x2b81f], [0x2b920, 0x2ceaf], [0xf900, 0xfaff], [0x2f800, 0x2fa1f],
  ];
  // What Python's str.strip takes away.
  const ENDS = /^[\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+|[\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/g;

  const isChinese = (code) => CHINESE.some(([first, last]) => first <= code && code <= last);

  class Tokenizer {
    // pieces: the vocabulary, in the order of its ids.
    constructor(pieces) {
      this.pieces = pieces;
      this.ids = new Map(pieces.map((piece, id) => [piece, id]));
      this.unknown = this.ids.get("[UNK]");
      this.known = new Map(); // character -> what it becomes
    }

    // The tokens of a text, without [CLS] and [SEP]: {id, start, end}, in UTF-16 units of the text.
    encode(text) {
      const tokens = [];
      let done = 0;
      for (const special of text.matchAll(SPECIAL)) {
        this.addWords(text, done, special.index, tokens);
        done = special.index + special[0].length;
        tokens.push({ id: this.ids.get(special[0]), start: special.index, end: done });
      }
      this.addWords(text, done, text.length, tokens);
      return tokens;
    }

    addWords(text, from, to, tokens) {
      let word = []; // [character, start, end]
      const flush = () => {
        if (word.length) this.addPieces(word, tokens);
        word = [];
      };
      for (let start = from; start < to; ) {
        const character = String.fromCodePoint(text.codePointAt(start));
        const next = start + character.length;
        const [first, end] = MOVES.test(character) ? moved(text, from, start, next) : [start, next];
        for (const made of this.normalised(character)) {
          if (BLANK.test(made)) flush();
          else if (isPunctuation(made)) {
            flush();
            this.addPieces([[made, first, end]], tokens);
          } else word.push([made, first, end]);
        }
        start = next;
      }
      flush();
    }

    // The characters that one becomes: none, small letters without accents, or one between blanks.
    normalised(character) {
      let made = this.known.get(character);
      if (made === undefined) {
        const code = character.codePointAt(0);
        if (BLANK.test(character)) made = [" "];
        else if (isDropped(character)) made = [];
        else if (isChinese(code)) made = [" ", ...plain(character), " "];
        else made = plain(character);
        this.known.set(character, made);
      }
      return made;
    }

    // The longest pieces first, from left to right; a word that cannot be made of pieces is unknown.
    addPieces(word, tokens) {
      const found = [];
      let first = 0;
      while (first < word.length && word.length <= LONGEST_WORD) {
        let last = word.length, id;
        for (; last > first; last--) {
          const letters = word.slice(first, last).map(([letter]) => letter).join("");
          id = this.ids.get(first ? `##${letters}` : letters);
          if (id !== undefined) break;
        }
        if (id === undefined) break;
        found.push({ id, start: word[first][1], end: word[last - 1][2] });
        first = last;
      }
      if (first === word.length) tokens.push(...found);
      else tokens.push({ id: this.unknown, start: word[0][1], end: word[word.length - 1][2] });
    }

    // One text by itself: [CLS] text [SEP], at most `longest` tokens; `cut` says whether it was longer.
    sentence(text, longest) {
      const tokens = this.encode(text), cut = tokens.length > longest - 2;
      const ids = ["[CLS]", "[SEP]"].map((mark) => this.ids.get(mark));
      ids.splice(1, 0, ...tokens.slice(0, longest - 2).map((token) => token.id));
      return { ids, types: ids.map(() => 0), pieces: ids.map((id) => this.pieces[id]), cut };
    }

    // --- questions with passages ----------------------------------------------------------------

    // Windows [CLS] question [SEP] part of the passage [SEP], as src.qa.features cuts them. Each has
    // ids, types and, for tokens of the passage, their starts and ends in it; -1 for others.
    windows(question, passage, maxLength, docStride) {
      const limit = Math.min(64, Math.floor(maxLength / 3));
      const asked = this.encode(this.shortened(question.replace(ENDS, ""), limit));
      const read = this.encode(passage);
      const room = maxLength - asked.length - 3;
      const windows = [];
      for (let first = 0; ; first += room - docStride) {
        windows.push(this.window(asked, read.slice(first, first + room)));
        if (first + room >= read.length) return windows;
      }
    }

    window(asked, part) {
      const cls = { id: this.ids.get("[CLS]") }, sep = { id: this.ids.get("[SEP]") };
      const row = [cls, ...asked, sep, ...part, sep];
      const from = asked.length + 2, to = from + part.length;
      const within = (i) => from <= i && i < to;
      return {
        ids: row.map((token) => token.id),
        types: row.map((_, i) => Number(i >= from)),
        starts: row.map((token, i) => (within(i) ? token.start : -1)),
        ends: row.map((token, i) => (within(i) ? token.end : -1)),
        pieces: row.map((token) => this.pieces[token.id]),
      };
    }

    shortened(question, limit) {
      const tokens = this.encode(question);
      if (tokens.length <= limit) return question;
      let end = tokens[limit - 1].end;
      // A character of several tokens, as in Hangul, goes altogether or stays.
      while (this.encode(question.slice(0, end)).length > limit) {
        end -= /[\uDC00-\uDFFF]/.test(question[end - 1]) ? 2 : 1;
      }
      return question.slice(0, end);
    }
  }

  function ranges(text) {
    const codes = new Set();
    for (const [first, last = first] of text.split(" ").map((range) => range.split("-").map((code) => parseInt(code, 16)))) {
      for (let code = first; code <= last; code++) codes.add(code);
    }
    return codes;
  }

  // The place that a character takes in that order: of the first mark that it is put before.
  function moved(text, from, start, end) {
    const character = text.slice(start, end);
    let place = [start, end];
    while (place[0] > from) {
      const [before] = text.slice(from, place[0]).match(/.$/su);
      if (!(before + character).normalize("NFD").startsWith(character)) break;
      place = [place[0] - before.length, place[0]];
    }
    return place;
  }

  function plain(character) {
    return [...character.normalize("NFD")]
      .filter((part) => !isMark(part))
      .flatMap((part) => [...part.toLowerCase()]);
  }

  E.Tokenizer = Tokenizer;
})((globalThis.Explorers ??= {}));
