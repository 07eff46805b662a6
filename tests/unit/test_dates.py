"""Written dates are true and can be read in one way only; scores and training keep their word."""

import itertools
import math
from collections.abc import Sequence
from datetime import date, timedelta

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
    SPANS,
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
    split_of_day,
    train_dates,
    translate,
    write_date,
    year_words,
)
from src.rnn import EncoderDecoder
from src.runtime import COURSE
from src.training import load_run

# --- writing a date

# Of 1984-12-03, in the order of FORMS.
WRITTEN = """\
19841203
1984/12/3
3.12.1984
3.xii.1984
3 Dec 1984
Dec 3, 1984
December 3, 1984
3rd December 1984
Monday, 3 December 1984
the 3rd of December, 1984
December the third, 1984
the third of December 1984
3 December, nineteen eighty-four
the third of December, nineteen eighty-four
Monday, the third day of December in the year nineteen eighty-four"""
TO_TWENTY = """
first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth
fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth
""".split()  # noqa: SIM905
NTHS = [*TO_TWENTY, *(f"twenty-{nth}" for nth in TO_TWENTY[:9]), "thirtieth", "thirty-first"]


def test_a_day_is_written_as_people_do():
    assert [write_date(date(1984, 12, 3), form) for form in FORMS] == WRITTEN.split("\n")
    days = [date(2000, 1, day) for day in range(1, 32)]
    assert [write_date(day, "{nth_word}") for day in days] == NTHS
    some = [write_date(day, "{nth}") for day in days if day.day % 10 < 5]
    told = "1st 2nd 3rd 4th 10th 11th 12th 13th 14th 20th 21st 22nd 23rd 24th 30th 31st"
    assert " ".join(some) == told
    months = [write_date(date(2000, month, 1), "{roman}") for month in range(1, 13)]
    assert " ".join(months) == "i ii iii iv v vi vii viii ix x xi xii"


@given(st.dates(dates.FIRST_DAY, dates.LAST_DAY))
def test_names_of_days_and_months_are_those_of_the_calendar(day):
    assert write_date(day, "{weekday} {month} {mon} {mm} {dd}") == day.strftime("%A %B %b %m %d")
    for form in ("{jour}", "{}", "{d"):
        with pytest.raises(ValueError, match=r"parts are \{year\}, \{year_words\}"):
            write_date(day, form)


def test_years_are_written_as_they_are_said():
    said = {
        1600: ("sixteen hundred", "sixteen hundred"),
        1705: ("seventeen oh five", "seventeen hundred and five"),
        1984: ("nineteen eighty-four", "nineteen hundred and eighty-four"),
        2000: ("two thousand", "two thousand"),
        2009: ("two thousand and nine", "two thousand and nine"),
        2012: ("twenty twelve", "two thousand and twelve"),
        2099: ("twenty ninety-nine", "two thousand and ninety-nine"),
    }
    found = {year: (year_words(year, long=False), year_words(year, long=True)) for year in said}
    assert found == said
    for long in (False, True):
        assert len({year_words(year, long) for year in range(1600, 2100)}) == 500


# --- pairs and splits


@pytest.fixture(scope="module")
def many() -> dict[str, list[DatePair]]:
    return {split: make_dates(3000, 1, split) for split in ("train", "development", "test")}


def test_a_pair_is_a_written_date_or_span_and_its_iso_form(many):
    for pair in many["train"][:1000]:
        days = list(map(date.fromisoformat, pair.iso.split("/")))
        assert days == sorted(days)
        ways = [[write_date(day, form, long) for day in days] for form in FORMS for long in (0, 1)]
        if len(days) == 1:
            assert [pair.written] in ways
        else:
            assert pair.written in {span.format(*way) for way in ways for span in SPANS}


def test_no_day_is_in_two_splits_and_one_in_ten_is_for_the_test(many):
    days = [{day for pair in pairs for day in pair.iso.split("/")} for pairs in many.values()]
    assert not any(one & other for one, other in itertools.combinations(days, 2))
    splits = [split_of_day(dates.FIRST_DAY + timedelta(i)) for i in range(20_000)]
    for split in ("test", "development"):
        assert splits.count(split) / len(splits) == pytest.approx(0.1, abs=0.01)


def test_the_same_seed_gives_the_same_dates_and_another_seed_others():
    assert make_dates(20, seed=3) == make_dates(50, seed=3)[:20]
    assert make_dates(50, seed=3) != make_dates(50, seed=4)
    with pytest.raises(ValueError, match="development, test"):
        make_dates(1, seed=0, split="validation")


def test_lengths_cover_short_and_long_and_no_written_text_has_two_meanings(many):
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


# --- numbers


def test_a_batch_holds_each_date_with_its_own_answer_and_capitals_do_not_matter():
    pairs = [*make_dates(9, seed=0), DatePair("3 MAY 1871", "1871-05-03")]
    source_ids, mask, target_ids = collate(pairs)
    assert source_ids[~mask].eq(PAD_ID).all() and source_ids[mask].ne(PAD_ID).all()
    rows = [decode_ids(row[None, real])[0] for row, real in zip(source_ids, mask, strict=True)]
    assert rows == [pair.written.lower() for pair in pairs]
    assert decode_ids(target_ids[:, 1:]) == [pair.iso for pair in pairs]
    for text, found in (
        ("3 février 1871", "'é'"),
        ("", "is blank"),
        (1954, "is no text"),
        ("a" * 99, "has 99 char"),
    ):
        with pytest.raises(ValueError, match=found):
            encode_written(["3 May 1871", text])


def test_answers_are_between_start_and_end_and_are_read_up_to_the_end():
    target_ids = encode_iso(["1871-05-03", "1871-05-03/1872-01-01"])
    assert target_ids.shape == (2, 1 + TARGET_LENGTH)
    assert target_ids[:, 0].tolist() == [START_ID, START_ID]
    assert target_ids[0, 11:].tolist() == [END_ID] + [PAD_ID] * 11
    early = [*CHARACTERS.encode("18"), END_ID, *CHARACTERS.encode("99")]
    assert decode_ids(torch.tensor([early, CHARACTERS.encode("12345")])) == ["18", "12345"]


def test_training_batches_hold_dates_of_one_length_and_all_lengths_come():
    masks = [mask for _, mask, _ in itertools.islice(date_batches(8, seed=0), 64)]
    assert all(len(mask) == 8 for mask in masks)
    widths = [mask.shape[1] for mask in masks]
    assert min(widths) < 10 < 60 < max(widths)
    assert sum(int((~mask).sum()) for mask in masks) < 0.05 * 8 * sum(widths)


# --- scores


class Oracle(nn.Module):
    """Right answers, with a wrong last digit for texts of `wrong_from` characters or more."""

    def __init__(self, pairs: Sequence[DatePair], wrong_from: int = 10**6):
        super().__init__()
        self.answers = {pair.written.lower(): pair.iso for pair in pairs}
        self.wrong_from = wrong_from

    def greedy_decode(self, source_ids: Tensor, mask: Tensor, max_length: int) -> Tensor:
        rows = []
        for row, real in zip(source_ids, mask, strict=True):
            text = decode_ids(row[None, real])[0]
            iso = self.answers[text]
            if len(text) >= self.wrong_from:
                iso = iso[:-1] + ("1" if iso[-1] != "1" else "2")
            rows.append(iso)
        return encode_iso(rows)[:, 1 : 1 + max_length]


def test_translations_come_in_the_order_of_the_texts_and_count_when_their_last_digit_is_right():
    pairs = make_dates(200, seed=5)
    written, isos = zip(*((pair.written, pair.iso) for pair in pairs), strict=True)
    assert translate(Oracle(pairs), written, characters=90) == list(isos)
    assert translate(Oracle(pairs), []) == []
    wrong = sum(len(pair.written) >= 30 for pair in pairs)
    assert exact_match(Oracle(pairs), pairs) == 1
    oracle = Oracle(pairs, wrong_from=30)
    assert exact_match(oracle, pairs) == 1 - wrong / 200
    found = exact_match_by_length(oracle, pairs, edges=(8, 30, 97, 200))
    assert found == {(8, 30): (200 - wrong, 200 - wrong), (30, 97): (0, wrong)}


# --- training


def test_training_keeps_its_time_learns_and_comes_back_from_disk(tmp_path, ticking_clock):
    torch.manual_seed(0)
    ticking_clock.tick = 0.006
    run = train_dates(EncoderDecoder(D=32), minutes=6 / 60, folder=tmp_path / "run")
    assert run.seconds == pytest.approx(6, abs=0.05) and run.finished
    losses = [entry["loss"] for entry in run.history if "loss" in entry]
    assert losses[0] == pytest.approx(math.log(len(CHARACTERS)), abs=0.5)
    assert losses[-1] < 0.5 * losses[0]
    assert 8 <= sum("exact_match" in entry for entry in run.history) <= 11
    again = load_run(tmp_path / "run", EncoderDecoder)
    assert again.history == run.history
    for name, weights in run.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], weights, rtol=1e-3, atol=1e-6)


def test_the_same_seed_takes_the_same_steps_and_leaves_the_readers_random_numbers_alone(
    ticking_clock,
):
    losses, drawn = [], []
    for train in (True, True, False):
        torch.manual_seed(0)
        model = EncoderDecoder(D=8)
        if train:
            run = train_dates(model, minutes=1 / 60, batch_size=4)
            losses.append([entry.get("loss") for entry in run.history])
        drawn.append(torch.rand(3).tolist())
    assert losses[0] == losses[1] and len(losses[0]) > 10
    assert drawn[0] == drawn[1] == drawn[2]


# --- what is shipped


def test_the_released_model_scores_what_its_card_says_and_falls_with_length():
    released = load_run(COURSE / "weights" / "dates-rnn", EncoderDecoder)
    pairs = make_dates(4000, seed=0, split="test")
    by_length = exact_match_by_length(released.model, pairs)
    right = sum(right for right, _ in by_length.values())
    assert right / 4000 == pytest.approx(released.card["scores"]["exact_match"], abs=0.002)
    shares = [right / count for right, count in by_length.values()]
    assert shares[0] > 0.9 and shares[-1] < shares[0] - 0.1
