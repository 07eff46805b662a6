"""Dates written in many ways, to be rewritten as 2026-11-23: a task small enough to learn in a minute (notebooks 03 and 04).

    make_dates(2, seed=0)            # [DatePair("the 5th of May, 1971", "1971-05-05"), DatePair("20.xi.2042", "2042-11-20")]
    run = train_dates(model, minutes=1, report=LiveCurve("dates"))
    exact_match(model, make_dates(1000, seed=0, split="test"))
    translate(model, ["23 November 2026"])                                  # ["2026-11-23"]

Text goes in and comes out character by character. All data are made here, so there is as much as one likes; a day belongs to
one split only, however it is written. Every model with the interface `DateModel` can be trained and scored.
"""

from __future__ import annotations

import functools
import itertools
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src.text import Vocabulary
from src.training import Run, fit, in_eval_mode
from src.training import load_run as load_dates  # noqa: F401, notebooks 03 and 04 know it by this name

Split = Literal["train", "development", "test"]

PAD, START, END = "<pad>", "<start>", "<end>"
CHARACTERS = Vocabulary([PAD, START, END, *" ,-./", *"0123456789", *"abcdefghijklmnopqrstuvwxyz"])  # V = 44, both sides
PAD_ID, START_ID, END_ID = CHARACTERS.ids[PAD], CHARACTERS.ids[START], CHARACTERS.ids[END]
TARGET_LENGTH = len("2026-11-23/2026-12-01") + 1  # characters of an answer, with END: what greedy decoding needs at most

# --- writing a date ------------------------------------------------------------------------------------------------------

FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2099, 12, 31)
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii")
ONES = (
    "", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
IRREGULAR = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth", "twelve": "twelfth"}

# Only ways that can be read in one way: 3/4/2021 is April in London and March in New York, so it is not among them.
FORMS = (
    "{year}{mm}{dd}",
    "{year}/{m}/{d}",
    "{d}.{m}.{year}",
    "{d}.{roman}.{year}",
    "{d} {mon} {year}",
    "{mon} {d}, {year}",
    "{month} {d}, {year}",
    "{nth} {month} {year}",
    "{weekday}, {d} {month} {year}",
    "the {nth} of {month}, {year}",
    "{month} the {nth_word}, {year}",
    "the {nth_word} of {month} {year}",
    "{d} {month}, {year_words}",
    "the {nth_word} of {month}, {year_words}",
    "{weekday}, the {nth_word} day of {month} in the year {year_words}",
)
SPANS = ("{first} - {last}", "{first} to {last}", "from {first} to {last}", "between {first} and {last}")
MOST_CHARACTERS = 72  # of a written date or span


@dataclass(frozen=True)
class DatePair:
    """A date as somebody wrote it, and as ISO 8601 has it: "23 Nov 2026" and "2026-11-23"."""

    written: str
    iso: str


def number_words(number: int) -> str:
    """A number from 1 to 99 in words: 23 is "twenty-three"."""
    if number < 20:
        return ONES[number]
    return TENS[number // 10] + (f"-{ONES[number % 10]}" if number % 10 else "")


@functools.cache
def ordinal_words(number: int) -> str:
    """The place in a row, from 1 to 99, in words: 23 is "twenty-third"."""
    tens, dash, last = number_words(number).rpartition("-")
    return tens + dash + IRREGULAR.get(last, f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")


def ordinal(number: int) -> str:
    """The place in a row in digits: 23 is "23rd", 11 is "11th"."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


@functools.cache
def year_words(year: int, long: bool) -> str:
    """A year from 1100 to 2099 in words: 1984 is "nineteen eighty-four", or long "nineteen hundred and eighty-four"."""
    century, rest = divmod(year, 100)
    if year // 10 == 200 or (long and century == 20):  # nobody says "twenty oh five"
        start, link = "two thousand", " and "
    elif long or not rest:
        start, link = f"{number_words(century)} hundred", " and "
    else:
        start, link = number_words(century), " " if rest > 9 else " oh "
    return start + (link + number_words(rest) if rest else "")


def write_date(day: date, form: str, long_year: bool = False) -> str:
    """The date written in one way.   form: one of FORMS   long_year: see `year_words`"""
    return form.format(
        year=day.year,
        year_words=year_words(day.year, long_year),
        m=day.month,
        mm=f"{day.month:02}",
        mon=MONTHS[day.month - 1][:3],
        month=MONTHS[day.month - 1],
        roman=ROMAN[day.month - 1],
        d=day.day,
        dd=f"{day.day:02}",
        nth=ordinal(day.day),
        nth_word=ordinal_words(day.day),
        weekday=WEEKDAYS[day.weekday()],
    )


def split_of(day: date) -> Split:
    """The split that a day belongs to, always the same: one day in ten is for the test, one for development."""
    return {0: "test", 1: "development"}.get(zlib.crc32(day.isoformat().encode()) % 10, "train")


def make_dates(n: int, seed: int, split: Split = "train") -> list[DatePair]:
    """Draw n days of a split, each written in a way drawn from FORMS; the same seed gives the same pairs.

    Every second one is a span of two days, "1 May 1971 to 3 May 1972", written in the same way: ISO 8601 puts a slash between them.
    A day may come twice, but no day of one split is ever in another. Raises ValueError for another split.
    """
    if split not in get_args(Split):
        raise ValueError(f"there is no split {split!r}; there are {', '.join(get_args(Split))}.")
    rng = random.Random(f"{split} {seed}")
    pairs: list[DatePair] = []
    while len(pairs) < n:
        days = sorted(draw_day(rng, split) for _ in range(rng.choice((1, 2))))
        form, long_year = rng.choice(FORMS), rng.random() < 0.5
        written = [write_date(day, form, long_year) for day in days]
        text = written[0] if len(days) == 1 else rng.choice(SPANS).format(first=written[0], last=written[1])
        if len(text) <= MOST_CHARACTERS:
            pairs.append(DatePair(text, "/".join(day.isoformat() for day in days)))
    return pairs


def draw_day(rng: random.Random, split: Split) -> date:
    """Any day of a split, each as likely as the others."""
    while True:
        day = FIRST_DAY + timedelta(rng.randrange((LAST_DAY - FIRST_DAY).days + 1))
        if split_of(day) == split:
            return day


# --- from characters to numbers and back ---------------------------------------------------------------------------------


def encode_written(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Texts as numbers, filled up on the right to the longest of them.

    Returns source_ids int64[B, S] and source_mask bool[B, S], True on characters. Capitals count as small letters.
    Raises UnknownWordError, a KeyError, for a character that is not in CHARACTERS.
    """
    rows = [torch.tensor(CHARACTERS.encode(text.lower())) for text in texts]
    source_ids = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD_ID)
    return source_ids, source_ids != PAD_ID


def encode_iso(isos: Sequence[str]) -> Tensor:
    """Answers as numbers between START and END.   Returns int64[B, T]."""
    rows = [torch.tensor([START_ID, *CHARACTERS.encode(iso), END_ID]) for iso in isos]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD_ID)


def collate(pairs: Sequence[DatePair]) -> tuple[Tensor, Tensor, Tensor]:
    """A batch: source_ids int64[B, S], source_mask bool[B, S] (True on characters), target_ids int64[B, T] (START .. END)."""
    return (*encode_written([pair.written for pair in pairs]), encode_iso([pair.iso for pair in pairs]))


def decode_ids(token_ids: Tensor) -> list[str]:
    """Numbers back to texts, each up to its first END, which is left out.   token_ids: int64[B, T], without START"""
    texts = []
    for row in token_ids.tolist():
        until = row.index(END_ID) if END_ID in row else len(row)
        texts.append("".join(CHARACTERS.decode(row[:until])))
    return texts


# --- scoring a model -----------------------------------------------------------------------------------------------------


class DateModel(Protocol):
    """What a model must offer to be trained and scored here; besides, it is an nn.Module.

    settings: the arguments of its constructor.
    model(source_ids, source_mask, target_ids): int64[B, S], bool[B, S] True on characters, int64[B, T] the right answer up to
        each place, from START on.   Returns logits float[B, T, V] for the character after each place.
    greedy_decode(source_ids, source_mask, max_length): writes the likeliest character, reads it back in, and so on; returns
        int64[B, T], T at most max_length, without START; what follows END in a row does not count.
    """

    settings: dict[str, Any]

    def __call__(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> Tensor: ...

    def greedy_decode(self, source_ids: Tensor, source_mask: Tensor, max_length: int) -> Tensor: ...


def translate(model: DateModel, texts: Sequence[str], batch_size: int = 256) -> list[str]:
    """What the model makes of written dates, in their order. Raises UnknownWordError for a character it has no number for."""
    answers: list[str] = [""] * len(texts)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # texts of about one length together: less padding
    with in_eval_mode(model):
        for begin in range(0, len(order), batch_size):
            batch = order[begin : begin + batch_size]
            written = model.greedy_decode(*encode_written([texts[i] for i in batch]), TARGET_LENGTH)
            for i, answer in zip(batch, decode_ids(written), strict=True):
                answers[i] = answer
    return answers


def exact_match(model: DateModel, pairs: Sequence[DatePair]) -> float:
    """The share of dates, in [0, 1], of which every character is right."""
    return sum(is_right(model, pairs)) / len(pairs)


def is_right(model: DateModel, pairs: Sequence[DatePair]) -> list[bool]:
    """For each pair whether the model's answer is the right one to the last character."""
    answers = translate(model, [pair.written for pair in pairs])
    return [answer == pair.iso for answer, pair in zip(answers, pairs, strict=True)]


LENGTH_EDGES = (8, 16, 24, 32, 40, 48, 60, MOST_CHARACTERS + 1)  # characters: the bins in which exact match is reported


def exact_match_by_length(
    model: DateModel, pairs: Sequence[DatePair], edges: Sequence[int] = LENGTH_EDGES
) -> dict[tuple[int, int], tuple[int, int]]:
    """Right answers by the length of the written date: {(low, high): (right, count)}, low <= characters < high.

    edges: in rising order; bins without any date are left out.
    """
    bins = {(low, high): [0, 0] for low, high in itertools.pairwise(edges)}
    for pair, right in zip(pairs, is_right(model, pairs), strict=True):
        for (low, high), counts in bins.items():
            if low <= len(pair.written) < high:
                counts[0] += right
                counts[1] += 1
    return {edge: (right, count) for edge, (right, count) in bins.items() if count}


# --- training ------------------------------------------------------------------------------------------------------------

CHUNK = 64  # batches made at a time, cut from dates in the order of their length
DEVELOPMENT = 256  # dates that the scores on the way are taken on


def date_batches(batch_size: int, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of fresh training dates without end, each of about one length, as `collate` gives them."""
    rng = random.Random(seed)
    while True:
        pairs = make_dates(CHUNK * batch_size, seed=rng.getrandbits(32))
        pairs.sort(key=lambda pair: len(pair.written))
        begins = list(range(0, len(pairs), batch_size))
        rng.shuffle(begins)
        for begin in begins:
            yield collate(pairs[begin : begin + batch_size])


def train_dates(
    model: nn.Module,
    minutes: float,
    seed: int = 0,
    folder: str | Path | None = None,
    report: Callable[[dict], None] | None = None,
    batch_size: int = 32,
    learning_rate: float = 3e-3,
    clip: float = 1.0,
) -> Run:
    """Teach a model to rewrite dates, by teacher forcing, for so many minutes from the call on, or until Ctrl-C.

    model: has the interface `DateModel`; it is trained in place   folder: where to keep the result, if at all (see `save_run`)
    report: called with every new entry of the history (`LiveCurve` is one)   learning_rate: its peak, see `learning_rate_at`
    batch_size: dates per step   clip: longest gradient; a longer one is scaled down to it
    The history's loss is per character, ln 44 for a model that guesses; its `exact_match`, in [0, 1], is that of development dates.
    """
    development = make_dates(DEVELOPMENT, seed=0, split="development")

    def loss_of(batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        source_ids, source_mask, target_ids = batch
        logits = model(source_ids, source_mask, target_ids[:, :-1])  # [B, T - 1, V]
        return F.cross_entropy(logits.flatten(0, 1), target_ids[:, 1:].flatten(), ignore_index=PAD_ID)

    return fit(
        model,
        date_batches(batch_size, seed),
        loss_of,
        minutes,
        score=("exact_match", lambda: exact_match(model, development)),
        batch_size=batch_size,
        learning_rate=learning_rate,
        clip=clip,
        seed=seed,
        unit="dates",
        report=report,
        folder=folder,
    )
