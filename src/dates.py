"""Dates written in many ways, to be rewritten as 2026-11-23: a task to learn in a minute.

    make_dates(2, seed=0)  # [DatePair("the 5th of May, 1971", "1971-05-05"), ...]
    run = train_dates(model, minutes=1, report=LiveCurve("dates"))
    exact_match(model, make_dates(1000, seed=0, split="test"))
    translate(model, ["23 November 2026"])  # ["2026-11-23"]

Text goes in and comes out character by character. All data are made here, without end; a day
belongs to one split only, however it is written. B: batch, S: characters of the longest
source, T: of the longest target, V: how many different ones.
"""

import functools
import itertools
import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src.batching import batches_by_length, length_grouped
from src.text import Vocabulary, check_text
from src.training import Run, fit, in_eval_mode
from src.training import load_run as load_dates  # noqa: F401, its name in notebooks 03 to 05

Split = Literal["train", "development", "test"]

PAD, START, END = "<pad>", "<start>", "<end>"
CHARACTERS = Vocabulary(
    [PAD, START, END, *" ,-./", *"0123456789", *"abcdefghijklmnopqrstuvwxyz"]
)  # V = 44, both sides
PAD_ID, START_ID, END_ID = (CHARACTERS.ids[name] for name in (PAD, START, END))
TARGET_LENGTH = len("2026-11-23/2026-12-01") + 1  # most characters of an answer, with END

# --- writing a date

FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2099, 12, 31)
# Not `strftime`: its names depend on the machine's language.
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii")
ONES = (
    "", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
IRREGULAR = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth",
    "nine": "ninth", "twelve": "twelfth",
}  # fmt: skip

# Only what can be read in one way: 3/4/2021 is April in London and March in New York.
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
SPANS = ("{} - {}", "{} to {}", "from {} to {}", "between {} and {}")
MOST_CHARACTERS = 72  # of a written date or span


@dataclass(frozen=True)
class DatePair:
    """A date as somebody wrote it, "23 Nov 2026", and in ISO 8601, "2026-11-23"."""

    written: str
    iso: str


def number_words(number: int) -> str:
    """A number from 1 to 99 in words: 23 is "twenty-three"."""
    if number < 20:
        return ONES[number]
    return "-".join(filter(None, (TENS[number // 10], ONES[number % 10])))


@functools.cache
def ordinal_words(number: int) -> str:
    """An ordinal from 1 to 99 in words: 23 is "twenty-third"."""
    tens, dash, last = number_words(number).rpartition("-")
    regular = f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"
    return tens + dash + IRREGULAR.get(last, regular)


def ordinal(number: int) -> str:
    """An ordinal in digits: 23 is "23rd", 11 is "11th"."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ending}"


@functools.cache
def year_words(year: int, long: bool) -> str:
    """A year from 1100 to 2099 in words.

    1984 is "nineteen eighty-four", or long "nineteen hundred and eighty-four".
    """
    century, rest = divmod(year, 100)
    if year // 10 == 200 or (long and century == 20):  # nobody says "twenty oh five"
        start, link = "two thousand", " and "
    elif long or not rest:
        start, link = f"{number_words(century)} hundred", " and "
    else:
        start, link = number_words(century), " " if rest > 9 else " oh "
    return start + (link + number_words(rest) if rest else "")


def write_date(day: date, form: str, long_year: bool = False) -> str:
    """The date in a form such as FORMS; for `long_year` see `year_words`."""
    month = MONTHS[day.month - 1]
    parts = dict(
        year=day.year,
        year_words=year_words(day.year, long_year),
        m=day.month,
        mm=f"{day.month:02}",
        mon=month[:3],
        month=month,
        roman=ROMAN[day.month - 1],
        d=day.day,
        dd=f"{day.day:02}",
        nth=ordinal(day.day),
        nth_word=ordinal_words(day.day),
        weekday=WEEKDAYS[day.weekday()],
    )
    try:
        return form.format(**parts)
    except (KeyError, IndexError, ValueError) as error:
        found = f"{form!r} is no form of a date ({error})"
        raise ValueError(f"{found}; its parts are {{{'}, {'.join(parts)}}}.") from None


def split_of_day(day: date) -> Split:
    """The split of a day, always the same: one in ten is for the test, one for development."""
    place = zlib.crc32(day.isoformat().encode()) % 10
    return {0: "test", 1: "development"}.get(place, "train")


def make_dates(n: int, seed: int, split: Split = "train") -> list[DatePair]:
    """Draw n days of a split, each written in a way drawn from FORMS.

    Every second one is a span of two days, "1 May 1971 to 3 May 1972"; ISO 8601 puts a slash
    between them. The same seed gives the same pairs; a day may come twice.
    """
    if split not in get_args(Split):
        raise ValueError(f"there is no split {split!r}; there are {', '.join(get_args(Split))}.")
    rng = random.Random(f"{split} {seed}")
    pairs: list[DatePair] = []
    while len(pairs) < n:
        days = sorted(_draw_day(rng, split) for _ in range(rng.choice((1, 2))))
        form, long_year = rng.choice(FORMS), rng.random() < 0.5
        written = [write_date(day, form, long_year) for day in days]
        text = written[0] if len(days) == 1 else rng.choice(SPANS).format(*written)
        if len(text) <= MOST_CHARACTERS:
            pairs.append(DatePair(text, "/".join(day.isoformat() for day in days)))
    return pairs


def _draw_day(rng: random.Random, split: Split) -> date:
    while True:
        day = FIRST_DAY + timedelta(rng.randrange((LAST_DAY - FIRST_DAY).days + 1))
        if split_of_day(day) == split:
            return day


# --- from characters to numbers and back


def _padded(rows: list[list[int]]) -> Tensor:
    tensors = [torch.tensor(row) for row in rows]
    return nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=PAD_ID)


def encode_written(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Texts as numbers int64[B, S], and a mask bool[B, S], True on characters.

    Capitals count as small letters.

    Raises:
        ValueError: a character is not in CHARACTERS, or a text is blank or longer than those of the
            training.
    """
    for text in texts:
        check_text(text, "a date", MOST_CHARACTERS)
    if strange := sorted({*"".join(texts).lower()} - {*CHARACTERS}):
        found = ", ".join(map(repr, strange))
        raise ValueError(f"dates have a to z, 0 to 9, blanks and , - . /; found {found}.")
    source_ids = _padded([CHARACTERS.encode(text.lower()) for text in texts])
    return source_ids, source_ids != PAD_ID


def encode_iso(isos: Sequence[str]) -> Tensor:
    """Answers as numbers int64[B, T], between START and END."""
    return _padded([[START_ID, *CHARACTERS.encode(iso), END_ID] for iso in isos])


def collate(pairs: Sequence[DatePair]) -> tuple[Tensor, Tensor, Tensor]:
    """A batch: source ids and mask of `encode_written`, target ids of `encode_iso`."""
    written = encode_written([pair.written for pair in pairs])
    return (*written, encode_iso([pair.iso for pair in pairs]))


def decode_ids(token_ids: Tensor) -> list[str]:
    """Numbers int64[B, T], without START, back to texts, each up to its first END."""
    texts = []
    for row in token_ids.tolist():
        kept = itertools.takewhile(lambda token_id: token_id != END_ID, row)
        texts.append("".join(CHARACTERS.decode(kept)))
    return texts


# --- scoring a model


class DateModel(Protocol):
    """What a module must offer to be trained and scored here.

    Attributes:
        settings: the arguments of its constructor.
    """

    settings: dict[str, Any]

    def __call__(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> Tensor:
        """int64[B, S], bool[B, S], the right answer from START on int64[B, T] -> [B, T, V].

        Logits for the character after each place.
        """

    def greedy_decode(self, source_ids: Tensor, source_mask: Tensor, max_length: int) -> Tensor:
        """Write the likeliest character, read it back in, and so on.

        Returns int64[B, T], T at most `max_length`, without START; what follows END does not
        count.
        """


def translate(model: DateModel, texts: Sequence[str], characters: int = 8192) -> list[str]:
    """The model's answers to written dates, in their order."""
    answers: list[str] = [""] * len(texts)
    with in_eval_mode(model):
        for places in batches_by_length([len(str(text)) for text in texts], characters):
            source = encode_written([texts[i] for i in places])
            written = model.greedy_decode(*source, TARGET_LENGTH)
            for i, answer in zip(places, decode_ids(written), strict=True):
                answers[i] = answer
    return answers


def exact_match(model: DateModel, pairs: Sequence[DatePair]) -> float:
    """The share of dates, 0 to 1, that are right to the last character."""
    return sum(_is_right(model, pairs)) / len(pairs)


def _is_right(model: DateModel, pairs: Sequence[DatePair]) -> list[bool]:
    answers = translate(model, [pair.written for pair in pairs])
    return [answer == pair.iso for answer, pair in zip(answers, pairs, strict=True)]


LENGTH_EDGES = (8, 16, 24, 32, 40, 48, 60, MOST_CHARACTERS + 1)  # characters


def exact_match_by_length(
    model: DateModel, pairs: Sequence[DatePair], edges: Sequence[int] = LENGTH_EDGES
) -> dict[tuple[int, int], tuple[int, int]]:
    """Right answers by the length of the written date: {(low, high): (right, count)}.

    A bin holds low <= characters < high; bins without any date are left out.
    """
    right = _is_right(model, pairs)
    found = {}
    for low, high in itertools.pairwise(edges):
        inside = [low <= len(pair.written) < high for pair in pairs]
        if any(inside):
            found[low, high] = sum(itertools.compress(right, inside)), sum(inside)
    return found


# --- training

DEVELOPMENT = 256  # dates that the scores on the way are taken on


def date_batches(batch_size: int, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of fresh training dates without end, each of about one length, as of `collate`."""
    rng = random.Random(seed)
    while True:
        pairs = make_dates(64 * batch_size, seed=rng.getrandbits(32))
        for batch in length_grouped(pairs, lambda pair: len(pair.written), batch_size, rng):
            yield collate(batch)


def train_dates(
    model: nn.Module,
    minutes: float | None,
    seed: int = 0,
    batch_size: int = 32,
    learning_rate: float = 3e-3,
    **options: Any,
) -> Run:
    """Teach a `DateModel`, in place, to rewrite dates, by teacher forcing.

    The history's loss is per character, ln 44 for a model that guesses; its `exact_match`, 0
    to 1, is that of development dates. For arguments and options see `src.training.fit`.
    """
    development = make_dates(DEVELOPMENT, seed=0, split="development")

    def loss_of(batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        source_ids, source_mask, target_ids = batch
        logits = model(source_ids, source_mask, target_ids[:, :-1])  # [B, T - 1, V]
        targets = target_ids[:, 1:].flatten()
        return F.cross_entropy(logits.flatten(0, 1), targets, ignore_index=PAD_ID)

    return fit(
        model,
        date_batches(batch_size, seed),
        loss_of,
        minutes,
        score=("exact_match", lambda: exact_match(model, development)),
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        unit="dates",
        **options,
    )
