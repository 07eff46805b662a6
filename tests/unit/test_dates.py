"""Written dates are true, can be read in one way only, and no day is in two splits; scores and training keep their word."""

from __future__ import annotations

import calendar
import itertools
import math
import re
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from src import dates
from src.dates import (
    CHARACTERS,
    END_ID,
    FORMS,
    LENGTH_EDGES,
    MOST_CHARACTERS,
    PAD_ID,
    START_ID,
    TARGET_LENGTH,
    DatePair,
    collate,
    date_batches,
    decode_ids,
    encode_iso,
    encode_written,
    exact_match,
    exact_match_by_length,
    make_dates,
    ordinal,
    ordinal_words,
    split_of,
    train_dates,
    translate,
    write_date,
    year_words,
)
from src.rnn import EncoderDecoder
from src.runtime import COURSE
from src.text import UnknownWordError
from src.training import load_run

DAYS = st.dates(dates.FIRST_DAY, dates.LAST_DAY)


# --- a reader of dates written independently -----------------------------------------------------------------------------

SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve "
    "thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)  # fmt: skip
UNITS = {word: number for number, word in enumerate(re.findall(r"\w+", SMALL))}
UNITS |= {"oh": 0, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
NTH = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
    "eleventh": 11, "twelfth": 12, "thirteenth": 13, "fourteenth": 14, "fifteenth": 15, "sixteenth": 16, "seventeenth": 17,
    "eighteenth": 18, "nineteenth": 19, "twentieth": 20, "thirtieth": 30,
}  # fmt: skip
MONTH = {name.lower(): i for i, name in enumerate(calendar.month_abbr) if name}
ROMAN = {name: i for i, name in enumerate(["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii"], 1)}


def read_year(words: list[str]) -> int:
    """nineteen eighty four -> 1984, two thousand and six -> 2006"""
    numbers = [UNITS[word] for word in words if word in UNITS]
    if "thousand" in words:
        return 1000 * numbers[0] + sum(numbers[1:])
    century = 2 if words[0] == "twenty" and len(words) > 1 and 0 < UNITS.get(words[1], 0) < 10 else 1
    return 100 * sum(numbers[:century]) + sum(numbers[century:])


def read_date(text: str) -> date:
    """A date in any of the forms, read by rules that share nothing with the templates."""
    tokens = re.findall(r"[a-z]+|\d+", text.lower())
    if len(tokens) == 1:
        return date(int(tokens[0][:4]), int(tokens[0][4:6]), int(tokens[0][6:]))
    if tokens[0].isdigit() and len(tokens[0]) == 4:
        return date(*map(int, tokens))
    if re.fullmatch(r"[\d.]+", text):
        day, month, year = map(int, tokens)
        return date(year, month, day)
    month = next((MONTH[token[:3]] for token in tokens if token[:3] in MONTH and not token.startswith("sund")), 0)
    month = month or next(ROMAN[token] for token in tokens if token in ROMAN)
    small = [int(token) for token in tokens if token.isdigit() and len(token) <= 2]
    nths = [token for token in tokens if token in NTH]
    day = small[0] if small else NTH[nths[0]] + UNITS.get(tokens[tokens.index(nths[0]) - 1], 0)
    years = [int(token) for token in tokens if re.fullmatch(r"\d{4}", token)]
    words = tokens[max(i for i, token in enumerate(tokens) if token[:3] in MONTH or token in NTH or token.isdigit()) + 1 :]
    return date(years[0] if years else read_year([word for word in words if word in UNITS or word in ("hundred", "thousand")]), month, day)


@given(DAYS, st.sampled_from(FORMS), st.booleans())
def test_every_way_of_writing_a_day_is_read_back_as_that_day(day: date, form: str, long_year: bool) -> None:
    assert read_date(write_date(day, form, long_year)) == day


@given(DAYS)
def test_a_weekday_is_that_of_the_calendar(day: date) -> None:
    assert write_date(day, "{weekday}") == day.strftime("%A")
    assert write_date(day, "{month} {mon} {mm} {dd}") == day.strftime("%B %b %m %d")


def test_years_are_written_as_they_are_said() -> None:
    said = {
        1600: ("sixteen hundred", "sixteen hundred"),
        1705: ("seventeen oh five", "seventeen hundred and five"),
        1984: ("nineteen eighty-four", "nineteen hundred and eighty-four"),
        2000: ("two thousand", "two thousand"),
        2009: ("two thousand and nine", "two thousand and nine"),
        2012: ("twenty twelve", "two thousand and twelve"),
        2099: ("twenty ninety-nine", "two thousand and ninety-nine"),
    }
    assert {year: (year_words(year, long=False), year_words(year, long=True)) for year in said} == said
    every = [year_words(year, long) for long in (False, True) for year in range(1600, 2100)]
    assert len(set(every[:500])) == len(set(every[500:])) == 500


def test_ordinals_are_written_as_they_are_said() -> None:
    said = {1: "1st first", 2: "2nd second", 3: "3rd third", 5: "5th fifth", 8: "8th eighth", 9: "9th ninth", 11: "11th eleventh"}
    said |= {12: "12th twelfth", 13: "13th thirteenth", 20: "20th twentieth", 21: "21st twenty-first", 23: "23rd twenty-third"}
    said |= {30: "30th thirtieth", 31: "31st thirty-first"}
    assert {number: f"{ordinal(number)} {ordinal_words(number)}" for number in said} == said


# --- pairs and splits ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many() -> dict[str, list[DatePair]]:
    return {split: make_dates(3000, seed=1, split=split) for split in ("train", "development", "test")}


def test_a_pair_is_a_written_date_and_its_iso_form_also_for_spans(many: dict[str, list[DatePair]]) -> None:
    for pair in many["train"]:
        first, slash, last = pair.iso.partition("/")
        if not slash:
            assert read_date(pair.written).isoformat() == pair.iso
            continue
        parts = re.fullmatch(r"(?:from |between )?(.+?)(?: - | to | and (?=[A-Z\d]|the |(?:\w+day)))(.+)", pair.written)
        assert parts, pair
        assert [read_date(part).isoformat() for part in parts.groups()] == [first, last], pair
        assert first <= last


def test_no_day_is_in_two_splits_however_it_is_written(many: dict[str, list[DatePair]]) -> None:
    days = {split: {day for pair in pairs for day in pair.iso.split("/")} for split, pairs in many.items()}
    assert not days["train"] & days["test"]
    assert not days["train"] & days["development"]
    assert not days["development"] & days["test"]


def test_one_day_in_ten_is_for_the_test() -> None:
    splits = [split_of(dates.FIRST_DAY + timedelta(i)) for i in range(20_000)]
    assert splits.count("test") / len(splits) == pytest.approx(0.1, abs=0.01)
    assert splits.count("development") / len(splits) == pytest.approx(0.1, abs=0.01)


def test_the_same_seed_gives_the_same_dates_and_another_seed_others() -> None:
    assert make_dates(50, seed=3) == make_dates(50, seed=3)
    assert make_dates(20, seed=3) == make_dates(50, seed=3)[:20]
    assert make_dates(50, seed=3) != make_dates(50, seed=4)
    with pytest.raises(ValueError, match="development, test"):
        make_dates(1, seed=0, split="validation")  # type: ignore[arg-type]


def test_lengths_cover_short_and_long_and_no_written_text_has_two_meanings(many: dict[str, list[DatePair]]) -> None:
    pairs = [pair for split in many.values() for pair in split]
    lengths = [len(pair.written) for pair in pairs]
    assert min(lengths) == LENGTH_EDGES[0]
    assert max(lengths) == MOST_CHARACTERS == LENGTH_EDGES[-1] - 1
    for low, high in itertools.pairwise(LENGTH_EDGES):
        assert sum(low <= length < high for length in lengths) > 300
    meanings: dict[str, set[str]] = {}
    for pair in pairs:
        meanings.setdefault(pair.written.lower(), set()).add(pair.iso)
    assert all(len(isos) == 1 for isos in meanings.values())


# --- numbers -------------------------------------------------------------------------------------------------------------


def test_texts_come_back_from_their_numbers_and_capitals_do_not_matter() -> None:
    source_ids, mask = encode_written(["3 May 1871", "3 MAY 1871", "1.1.1700"])
    assert torch.equal(source_ids[0], source_ids[1])
    assert mask.sum(1).tolist() == [10, 10, 8]
    assert source_ids[2, 8:].tolist() == [PAD_ID, PAD_ID]
    assert decode_ids(source_ids[:2]) == ["3 may 1871"] * 2
    with pytest.raises(UnknownWordError, match="é"):
        encode_written(["3 février 1871"])


def test_answers_stand_between_start_and_end_and_are_read_up_to_the_end() -> None:
    target_ids = encode_iso(["1871-05-03", "1871-05-03/1872-01-01"])
    assert target_ids.shape == (2, 1 + TARGET_LENGTH)
    assert target_ids[:, 0].tolist() == [START_ID, START_ID]
    assert target_ids[0, 11:].tolist() == [END_ID] + [PAD_ID] * 11
    assert decode_ids(target_ids[:, 1:]) == ["1871-05-03", "1871-05-03/1872-01-01"]
    assert decode_ids(torch.tensor([[*CHARACTERS.encode("18"), END_ID, *CHARACTERS.encode("99")], [*CHARACTERS.encode("12345")]])) == [
        "18",
        "12345",
    ]


def test_a_batch_holds_each_date_with_its_own_answer() -> None:
    pairs = make_dates(9, seed=0)
    source_ids, source_mask, target_ids = collate(pairs)
    assert [decode_ids(row[None, mask])[0] for row, mask in zip(source_ids, source_mask, strict=True)] == [
        pair.written.lower() for pair in pairs
    ]
    assert decode_ids(target_ids[:, 1:]) == [pair.iso for pair in pairs]


def test_training_batches_hold_dates_of_one_length_and_all_lengths_come() -> None:
    batches = date_batches(8, seed=0)
    shapes = [next(batches)[0].shape for _ in range(64)]
    assert all(rows == 8 for rows, _ in shapes)
    assert min(S for _, S in shapes) < 10 < 60 < max(S for _, S in shapes)
    padding = sum((~next(batches)[1]).sum().item() for _ in range(64)) / sum(rows * S for rows, S in shapes)
    assert padding < 0.05


# --- scores --------------------------------------------------------------------------------------------------------------


class Oracle(nn.Module):
    """Knows the right answers, or gives a wrong last digit for texts of `wrong_from` characters or more."""

    def __init__(self, pairs: Sequence[DatePair], wrong_from: int = 10**6):
        super().__init__()
        self.answers = {pair.written.lower(): pair.iso for pair in pairs}
        self.wrong_from = wrong_from

    def greedy_decode(self, source_ids: Tensor, source_mask: Tensor, max_length: int) -> Tensor:
        rows = []
        for row, mask in zip(source_ids, source_mask, strict=True):
            text = decode_ids(row[None, mask])[0]
            iso = self.answers[text]
            if len(text) >= self.wrong_from:
                iso = iso[:-1] + ("1" if iso[-1] != "1" else "2")
            rows.append(iso)
        return encode_iso(rows)[:, 1 : 1 + max_length]


def test_translations_come_in_the_order_of_the_texts() -> None:
    pairs = make_dates(60, seed=5)
    assert translate(Oracle(pairs), [pair.written for pair in pairs], batch_size=7) == [pair.iso for pair in pairs]
    assert translate(Oracle(pairs), []) == []


def test_exact_match_counts_a_date_only_when_its_last_digit_is_right_too() -> None:
    pairs = make_dates(200, seed=5)
    wrong = sum(len(pair.written) >= 30 for pair in pairs)
    assert exact_match(Oracle(pairs), pairs) == 1
    assert exact_match(Oracle(pairs, wrong_from=30), pairs) == 1 - wrong / 200
    found = exact_match_by_length(Oracle(pairs, wrong_from=30), pairs, edges=(8, 30, 97, 200))
    assert found == {(8, 30): (200 - wrong, 200 - wrong), (30, 97): (0, wrong)}


# --- training ------------------------------------------------------------------------------------------------------------


def test_training_keeps_its_time_learns_and_comes_back_from_disk(tmp_path: Path, ticking_clock: SimpleNamespace) -> None:
    torch.manual_seed(0)
    model, told = EncoderDecoder(D=32), []
    ticking_clock.tick = 0.006
    run = train_dates(model, minutes=6 / 60, folder=tmp_path / "run", report=told.append)
    assert run.seconds == pytest.approx(6, abs=0.05)
    assert run.finished
    assert told == run.history
    losses = [entry["loss"] for entry in run.history if "loss" in entry]
    assert losses[0] == pytest.approx(math.log(len(CHARACTERS)), abs=0.5)
    assert losses[-1] < 0.5 * losses[0]
    assert 8 <= sum("exact_match" in entry for entry in run.history) <= 11
    again = load_run(tmp_path / "run", EncoderDecoder)
    assert (again.history, again.settings, again.finished) == (run.history, run.settings, True)
    for name, weights in run.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], weights, rtol=1e-3, atol=1e-6)


def test_training_with_the_same_seed_takes_the_same_steps(ticking_clock: SimpleNamespace) -> None:
    """By the clock two runs end at different steps; with a clock of steps they are equal to the bit."""
    losses = []
    for _ in range(2):
        torch.manual_seed(0)
        run = train_dates(EncoderDecoder(D=8), minutes=1 / 60, batch_size=4)
        losses.append([entry.get("loss") for entry in run.history])
    assert losses[0] == losses[1]
    assert len(losses[0]) > 10


def test_ctrl_c_ends_the_training_with_what_was_learned(tmp_path: Path) -> None:
    def stop(entry: dict) -> None:
        if entry["phase"] == "training" and entry["step"] >= 3:
            raise KeyboardInterrupt

    run = train_dates(EncoderDecoder(D=8), minutes=1, report=stop, batch_size=4, folder=tmp_path)
    assert not run.finished
    assert run.history[-1]["phase"] == "stopped"
    assert not load_run(tmp_path, EncoderDecoder).finished


def test_training_leaves_the_readers_random_numbers_alone(ticking_clock: SimpleNamespace) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    model = EncoderDecoder(D=8)
    torch.manual_seed(7)
    train_dates(model, minutes=0.2 / 60, batch_size=4)
    assert torch.equal(torch.rand(3), expected)


def test_no_time_and_a_loss_that_is_no_number_are_told() -> None:
    with pytest.raises(ValueError, match="minutes is 0 and steps is None; give one of them, a number above zero"):
        train_dates(EncoderDecoder(D=8), minutes=0)
    broken = EncoderDecoder(D=8)
    with torch.no_grad():
        broken.output.bias[0] = math.nan
    with pytest.raises(ValueError, match="the loss is nan at step 1"):
        train_dates(broken, minutes=0.1)


# --- what is shipped -----------------------------------------------------------------------------------------------------


def test_the_released_model_scores_what_its_card_says_and_falls_with_length() -> None:
    released = load_run(COURSE / "weights" / "dates-rnn", EncoderDecoder)
    by_length = exact_match_by_length(released.model, make_dates(4000, seed=0, split="test"))
    right, count = (sum(counts) for counts in zip(*by_length.values(), strict=True))
    assert right / count == pytest.approx(released.card["scores"]["exact_match"], abs=0.002)
    shares = [right / count for right, count in by_length.values()]
    assert shares[0] > 0.9 and shares[-1] < shares[0] - 0.1  # the one-vector bottleneck, which notebooks 03 and 04 show
    assert released.finished and not released.model.training
