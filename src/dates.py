"""Dates written in many ways, to be rewritten as 2026-11-23: a task small enough to learn in a minute (notebooks 03 and 04).

    make_dates(2, seed=0)            # [DatePair("the 5th of May 1871", "1871-05-05"), DatePair("20.xi.2042", "2042-11-20")]
    run = train_dates(model, minutes=1, report=LiveCurve("dates"))
    exact_match(model, make_dates(1000, seed=0, split="test"))
    translate(model, ["23 November 2026"])                                  # ["2026-11-23"]

Text goes in and comes out character by character. All data are made here, so there is as much as one likes; a day belongs to
one split only, however it is written. Every model with the interface `DateModel` can be trained and scored.
"""

from __future__ import annotations

import json
import math
import random
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, get_args

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from src.text import Vocabulary

Split = Literal["train", "development", "test"]

PAD, START, END = "<pad>", "<start>", "<end>"
CHARACTERS = Vocabulary([PAD, START, END, *" ,-./", *"0123456789", *"abcdefghijklmnopqrstuvwxyz"])  # V = 44, both sides
PAD_ID, START_ID, END_ID = CHARACTERS.ids[PAD], CHARACTERS.ids[START], CHARACTERS.ids[END]
TARGET_LENGTH = len("2026-11-23") + 1  # characters of an answer, with END: what greedy decoding needs at most

# --- writing a date ------------------------------------------------------------------------------------------------------

FIRST_DAY, LAST_DAY = date(1600, 1, 1), date(2099, 12, 31)  # today's calendar began in 1582
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
    "{weekday} the {nth} of {month} {year}",
    "the {nth} day of {month} in the year {year}",
    "{month} the {nth_word}, {year}",
    "{d} {month}, {year_words}",
    "the {nth_word} of {month} {year_words}",
    "in {year_words}, on {month} the {nth_word}",
    "on the {nth_word} day of {month} in {year_words}",
    "in the year {year_words}, on the {nth_word} of {month}",
    "{weekday}, the {nth_word} day of {month}, {year_words}",
    "{weekday}, the {nth_word} of {month} in the year {year_words}",
    "on {weekday}, the {nth_word} day of {month} in the year {year_words}",
)


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


def ordinal_words(number: int) -> str:
    """The place in a row, from 1 to 99, in words: 23 is "twenty-third"."""
    tens, dash, last = number_words(number).rpartition("-")
    return tens + dash + IRREGULAR.get(last, f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")


def ordinal(number: int) -> str:
    """The place in a row in digits: 23 is "23rd", 11 is "11th"."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


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

    A day may come twice, but no day of one split is ever in another. Raises ValueError for another split.
    """
    if split not in get_args(Split):
        raise ValueError(f"there is no split {split!r}; there are {', '.join(get_args(Split))}.")
    rng = random.Random(f"{split} {seed}")
    days = (LAST_DAY - FIRST_DAY).days + 1
    pairs: list[DatePair] = []
    while len(pairs) < n:
        day = FIRST_DAY + timedelta(rng.randrange(days))
        if split_of(day) == split:
            pairs.append(DatePair(write_date(day, rng.choice(FORMS), long_year=rng.random() < 0.5), day.isoformat()))
    return pairs


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
    """Answers as numbers between START and END.   Returns int64[B, T]; T is 12 for dates."""
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


Model = TypeVar("Model", bound=nn.Module)


@contextmanager
def in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Without dropout and gradients; afterwards the model is as it was."""
    training = model.training
    try:
        with torch.no_grad():
            yield model.eval()
    finally:
        model.train(training)


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


LENGTH_EDGES = (8, 16, 24, 36, 48, 60, 72, 96)  # characters: the bins in which exact match is reported


def exact_match_by_length(
    model: DateModel, pairs: Sequence[DatePair], edges: Sequence[int] = LENGTH_EDGES
) -> dict[tuple[int, int], tuple[int, int]]:
    """Right answers by the length of the written date: {(low, high): (right, count)}, low <= characters < high.

    edges: in rising order; bins without any date are left out.
    """
    bins = {(low, high): [0, 0] for low, high in zip(edges, edges[1:], strict=False)}
    for pair, right in zip(pairs, is_right(model, pairs), strict=True):
        for (low, high), counts in bins.items():
            if low <= len(pair.written) < high:
                counts[0] += right
                counts[1] += 1
    return {edge: (right, count) for edge, (right, count) in bins.items() if count}


# --- training ------------------------------------------------------------------------------------------------------------

CHUNK = 64  # batches made at a time, cut from dates in the order of their length
WARM_UP = 0.1  # the learning rate rises for this share of a run
LOGS, SCORES = 100, 10  # entries of a history; how many of them have a score
DEVELOPMENT = 256  # dates that these scores are taken on


@dataclass
class DateRun:
    """A trained model for dates.

    model: as it is at the end, on the CPU, in eval mode   seconds: from the call to the end, scores included
    history: one dict per log: step, seconds, planned_seconds, loss (mean per character since the last log; ln V before anything is
    learned), learning_rate, examples_per_second, unit, phase; where it was measured also exact_match, in [0, 1], on development dates.
    settings: what it was trained with   finished: False after Ctrl-C, which leaves the model as it is then
    """

    model: nn.Module
    history: list[dict]
    seconds: float
    settings: dict
    finished: bool = True
    card: dict = field(default_factory=dict)


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


def learning_rate_at(done: float, peak: float) -> float:
    """The learning rate when the share `done` of a run is over: up to `peak` in a straight line, then down to zero along a cosine."""
    if done < WARM_UP:
        return peak * done / WARM_UP
    return peak * (1 + math.cos(math.pi * min(1.0, (done - WARM_UP) / (1 - WARM_UP)))) / 2


def train_dates(
    model: Model,
    minutes: float,
    seed: int = 0,
    folder: str | Path | None = None,
    report: Callable[[dict], None] | None = None,
    batch_size: int = 128,
    learning_rate: float = 4e-3,
    clip: float = 1.0,
) -> DateRun:
    """Teach a model to rewrite dates, by teacher forcing, for so many minutes from the call on.

    folder: where to keep the result (see `save_dates`)   report: called with every new entry of the history (`LiveCurve` is one)
    batch_size: dates per step   learning_rate: its peak, see `learning_rate_at`   clip: longest gradient, see `clip_grad_norm_`
    The model is trained in place. Ctrl-C ends it early. Raises ValueError for no time at all and for a loss that is no number.
    """
    if minutes <= 0:
        raise ValueError(f"minutes is {minutes}; give it more than 0.")
    began = time.perf_counter()
    settings = {"minutes": minutes, "seed": seed, "batch_size": batch_size, "learning_rate": learning_rate, "clip": clip}
    log = _Log(began, 60 * minutes, batch_size, make_dates(DEVELOPMENT, seed=0, split="development"), report)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    model.train()
    finished = True
    with torch.random.fork_rng(devices=[]):  # the reader's own random numbers go on as if nothing had been drawn
        torch.manual_seed(seed)  # for dropout
        try:
            for source_ids, source_mask, target_ids in date_batches(batch_size, seed):
                if (done := log.done()) >= 1:
                    break
                rate = optimizer.param_groups[0]["lr"] = learning_rate_at(done, learning_rate)
                logits = model(source_ids, source_mask, target_ids[:, :-1])  # [B, T - 1, V]
                loss = F.cross_entropy(logits.flatten(0, 1), target_ids[:, 1:].flatten(), ignore_index=PAD_ID)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), clip)
                optimizer.step()
                log.add(model, loss.item(), rate)
        except KeyboardInterrupt:
            finished = False
    log.write(model, "finished" if finished else "stopped", score=True)
    run = DateRun(model.eval(), log.history, log.seconds(), settings, finished)
    if folder is not None:
        save_dates(run, folder)
    return run


class _Log:
    """Keeps the history of a run and its clock."""

    def __init__(self, began: float, planned: float, batch_size: int, pairs: list[DatePair], report: Callable[[dict], None] | None):
        """began: by time.perf_counter   planned: seconds   pairs: development dates for the scores"""
        self.began, self.planned, self.batch_size, self.pairs, self.report = began, planned, batch_size, pairs, report
        self.history: list[dict] = []
        self.losses: list[float] = []
        self.step = 0

    def seconds(self) -> float:
        return time.perf_counter() - self.began

    def done(self) -> float:
        """The share of the time that is over."""
        return self.seconds() / self.planned

    def add(self, model: nn.Module, loss: float, rate: float) -> None:
        """Count a step; write an entry if it is time to."""
        self.step += 1
        self.losses.append(loss)
        if not math.isfinite(loss):
            raise ValueError(f"the loss is {loss} at step {self.step}; train with a learning_rate below {rate:g}.")
        entries, scores = len(self.history), sum("exact_match" in entry for entry in self.history)
        if self.done() >= entries / LOGS:
            self.write(model, "training", score=self.done() >= (scores + 1) / SCORES, learning_rate=rate)

    def write(self, model: nn.Module, phase: str, score: bool, **more: float) -> None:
        """Add an entry to the history, with the mean loss since the last one, and a score where that is asked for."""
        seconds = self.seconds()
        entry = {"step": self.step, "seconds": seconds, "planned_seconds": self.planned, **more}
        if self.losses:
            entry["loss"] = sum(self.losses) / len(self.losses)
            self.losses.clear()
        entry |= {"examples_per_second": self.step * self.batch_size / seconds, "unit": "dates", "phase": phase}
        if score:
            entry["exact_match"] = exact_match(model, self.pairs)
        self.history.append(entry)
        if self.report is not None:
            self.report(entry)


# --- keeping a run -------------------------------------------------------------------------------------------------------


def save_dates(run: DateRun, folder: str | Path) -> None:
    """Write a run: `load_dates` reads it again.

    model.safetensors: the weights, half precision.   history.json: the history.   run.json: the model's class and settings and the
    rest.   card.json: the card, if there is one.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: weights.half().contiguous() for name, weights in run.model.state_dict().items()}, folder / "model.safetensors")
    about = {"finished": run.finished, "model": type(run.model).__name__, "model_settings": run.model.settings}
    about |= {"settings": run.settings, "seconds": run.seconds}
    files = {"history.json": run.history, "run.json": about} | ({"card.json": run.card} if run.card else {})
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load_dates(folder: str | Path, model_class: type[Model]) -> DateRun:
    """Read what `save_dates` wrote, the weights back in float32.   model_class: the class of the model, such as EncoderDecoder

    Raises FileNotFoundError, naming what is missing, and ValueError where the folder holds a model of another class.
    """
    folder = Path(folder)
    for name in ("run.json", "history.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} holds no {name}; name a folder that save_dates wrote, as weights/dates-rnn.")
    about, history = (json.loads((folder / name).read_text(encoding="utf-8")) for name in ("run.json", "history.json"))
    if about["model"] != model_class.__name__:
        raise ValueError(f"{folder} holds a model of the class {about['model']}, not {model_class.__name__}.")
    model = model_class(**about["model_settings"])
    model.load_state_dict({name: weights.float() for name, weights in load_file(folder / "model.safetensors").items()})
    card_file = folder / "card.json"
    card = json.loads(card_file.read_text(encoding="utf-8")) if card_file.is_file() else {}
    return DateRun(model.eval(), history, about["seconds"], about["settings"], about["finished"], card)
