"""The table of model sizes: pandas reads it, years rise, and every count has its source."""

import re

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def table(course) -> pd.DataFrame:
    return pd.read_csv(course / "data" / "model_sizes.csv")


def test_pandas_reads_whole_numbers_and_no_gaps(table):
    assert list(table.columns) == ["year", "model", "parameters", "tokens", "source", "checked"]
    assert table.drop(columns="tokens").notna().all().all()
    assert pd.api.types.is_integer_dtype(table["year"])
    assert pd.api.types.is_integer_dtype(table["parameters"]), (
        "a count in digits, without a unit or an exponent"
    )
    assert table["model"].is_unique


def test_years_rise_without_a_gap_from_elmo_to_today(table):
    assert table["year"].is_monotonic_increasing
    assert set(table["year"]) == set(range(2018, 2027))


def test_every_row_names_authors_year_title_and_address(table):
    for row in table.itertuples():
        found = re.search(r"^\w.* (20\d\d), \w.+, https://[\w.]+/\S+$", row.source)
        assert found, f"{row.model}: authors year, title, address; got {row.source}"
        assert abs(int(found[1]) - row.year) <= 1, f"{row.model}: its source is of another time"


def test_the_count_that_was_seen_is_the_one_in_the_table(table):
    units = {"M": 1e6, "million": 1e6, "B": 1e9, "billion": 1e9, "T": 1e12, "trillion": 1e12}
    for row in table.itertuples():
        seen = [
            float(number) * units[unit]
            for number, unit in re.findall(rf"(\d[\d.]*) ?({'|'.join(units)})\b", row.checked)
        ]
        for stated in (row.parameters, row.tokens):
            assert pd.isna(stated) or pytest.approx(stated) in seen, f"{row.model}: {stated}"


def test_a_mixture_of_experts_is_called_one(table):
    """Their parameters are not all used for a token, so a chart must be able to mark them."""
    mixtures = table["checked"].str.contains("of which a token uses")
    assert (table["model"].str.contains("(mixture of experts)", regex=False) == mixtures).all()
