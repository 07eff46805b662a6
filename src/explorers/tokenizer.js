// WordPiece as BERT's tokenizer does it, with the place of every token in the text.
"use strict";

(function (E) {
  const SPECIAL = /\[(?:PAD|UNK|CLS|SEP|MASK)\]/g;
  const LONGEST_WORD = 100; // characters; a longer one is unknown
  const DROPPED = /[\p{Cc}\p{Cf}\p{Co}\uFFFD]/u; // controls, and what stands for a broken character
  const BLANK = /[\s\u0085]/u;
  const MARK = /\p{Mn}/u;
  const PUNCTUATION = /[\p{P}$+<=>^`|~]/u;
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
        const end = start + character.length;
        for (const made of this.normalised(character)) {
          if (BLANK.test(made)) flush();
          else if (PUNCTUATION.test(made)) {
            flush();
            this.addPieces([[made, start, end]], tokens);
          } else word.push([made, start, end]);
        }
        start = end;
      }
      flush();
    }

    // The characters that one becomes: none, small letters without accents, or one between blanks.
    normalised(character) {
      let made = this.known.get(character);
      if (made === undefined) {
        const code = character.codePointAt(0);
        if (BLANK.test(character)) made = [" "];
        else if (DROPPED.test(character) || (code >= 0xd800 && code <= 0xdfff)) made = [];
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

  function plain(character) {
    return [...character.normalize("NFD")]
      .filter((part) => !MARK.test(part))
      .flatMap((part) => [...part.toLowerCase()]);
  }

  E.Tokenizer = Tokenizer;
})((globalThis.Explorers ??= {}));
