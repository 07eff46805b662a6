"""Loading questions: every source gives the same columns, and one line says what is wrong."""

import json

import datasets
import pytest
from datasets import Dataset, DatasetDict

from src import assets
from src.qa import course_set
from src.qa.dataset import FEATURES, SquadFormatError, load_data, load_split, load_squad

PASSAGES = {
    "Oxygen": "Oxygen has the symbol O and its atomic number is 8.",
    "Lake": "The lake is 30 metres deep. It has no name.",
}
NONE = {"text": [], "answer_start": []}
ROW = {"id": "h1", "title": "O", "context": "Oxygen", "question": "What?"}
ROW |= {"answers": {"text": ["Oxygen"], "answer_start": [0]}}


def refusal(source, load=load_squad, **options):
    with pytest.raises(SquadFormatError) as caught:
        load(source, **options)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.fixture
def file(tmp_path):
    """A JSONL of one question."""
    file = tmp_path / "file.jsonl"
    file.write_text(json.dumps(ROW))
    return file


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course set of two articles, in place of the real one and its passages."""
    folder = tmp_path / "course"
    folder.mkdir()
    (folder / "chemistry.yaml").write_text(
        "- title: Oxygen\n  split: train\n  questions:\n"
        "    - {q: 'What is the atomic number of oxygen?', a: 8}\n"
        "    - {q: 'Who discovered oxygen?', near: O}\n"
        "- title: Lake\n  split: test\n  questions:\n"
        "    - {q: 'How deep is the lake?', a: [30 metres, '30']}\n"
    )
    monkeypatch.setattr(course_set, "FOLDER", folder)
    passages = {title: assets.Passage(title, text, "", "") for title, text in PASSAGES.items()}
    monkeypatch.setattr(assets, "load_passages", lambda: passages)
    return load_squad("course")


# --- one source -------------------------------------------------------------------------------


def test_the_course_set_comes_in_its_splits(course):
    assert list(course) == ["train", "test"]
    assert all(part.features == FEATURES for part in course.values())
    assert course["train"]["answers"][:] == [{"text": ["8"], "answer_start": [49]}, NONE]
    assert course["test"]["answers"][0]["text"] == ["30 metres", "30"]


def test_v1_is_the_answerable_part(course):
    answerable = load_squad("course", version="v1")["train"]
    assert answerable["question"][:] == ["What is the atomic number of oxygen?"]
    with pytest.raises(ValueError, match="'v3'"):
        load_squad("course", version="v3")


def test_a_file_gives_its_questions_under_train(file):
    assert load_squad(str(file))["train"].to_list() == [ROW]
    assert list(load_squad(file)) == ["train"]


@pytest.mark.parametrize("layout", ["parquet", "json"])
def test_a_folder_in_the_hubs_layout_keeps_its_splits(course, tmp_path, layout):
    folder = tmp_path / "hub.csv"  # a folder, whatever its name
    folder.mkdir()
    for split, part in (("train", course["train"]), ("validation", course["test"])):
        getattr(part, f"to_{layout}")(str(folder / f"{split}-00000-of-00001.{layout}"))
    splits = load_squad(folder)
    assert splits["train"].to_list() == course["train"].to_list()
    assert splits["validation"].to_list() == course["test"].to_list()
    assert all(part.features == FEATURES for part in splits.values())


def test_hub_names_go_through_load_dataset_under_their_present_address(course, monkeypatch):
    asked = []

    def load_dataset(name):
        asked.append(name)
        return DatasetDict({"train": course["train"].add_column("extra", [1, 2])})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert load_squad("squad_v2")["train"].to_list() == course["train"].to_list()
    assert len(load_squad("squad", version="v1")["train"]) == 1
    assert asked == ["rajpurkar/squad_v2", "rajpurkar/squad"]


def test_what_cannot_be_found_or_loaded_is_one_line(tmp_path, monkeypatch):
    assert "one of course, squad, squad_v2" in refusal(tmp_path / "none.json")
    assert "no such file or folder" in refusal("Course")
    assert "no such file or folder" in refusal("x" * 5000)
    assert refusal("two\nlines.json").startswith("'two\\nlines.json': no such file")
    assert "`datasets` cannot load it here" in refusal(tmp_path)

    def load_dataset(name):
        raise ConnectionError("Couldn't reach it\nat all.")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    found = "squad: `datasets` cannot load it here (Couldn't reach it at all)"
    advice = "use 'course' or a SQuAD JSON file, or go online with COURSE_ONLINE=1"
    assert refusal("squad") == f"{found}; {advice}."


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"answers": {"text": ["Oxygen"], "answer_start": [3]}},
            "answer 1: the answer 'Oxygen' is",
        ),
        ({"answers": {"text": ["Oxygen"], "answer_start": []}}, "1 answer texts, 0 offsets"),
        ({"id": "h0"}, "this id is already in row 0 'h0'; give every question its own"),
    ],
)
def test_a_row_of_a_set_that_is_not_right_is_named(tmp_path, changes, says):
    rows = [ROW | {"id": "h0"}, ROW | changes]
    (tmp_path / "train.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    message = refusal(tmp_path)
    assert f"split 'train', row 1 '{rows[1]['id']}'" in message and says in message


def test_a_column_that_is_missing_is_named():
    text = Dataset.from_dict({"text": ["x"]})
    assert refusal(text, load_data).startswith(
        "the Dataset given, split 'train', row 0: the field `id` is missing"
    )


# --- several sources --------------------------------------------------------------------------


def test_several_sources_are_joined_split_by_split(course, file):
    joined = load_data(["course", file])
    assert {split: len(part) for split, part in joined.items()} == {"train": 3, "test": 1}
    assert joined["train"]["id"][2] == "h1"


def test_data_sets_in_hand_are_sources_too(course, file):
    assert load_data(course)["test"].to_list() == course["test"].to_list()
    assert len(load_data([course["train"], file])["train"]) == 3
    # Titles may be missing, and ids be numbers.
    columns = {"id": [7], "context": ["x"], "question": ["a?"]}
    rows = Dataset.from_dict(columns | {"answers": [{"text": ["x"], "answer_start": [0]}]})
    (row,) = load_data(rows)["train"].to_list()
    assert (row["id"], row["title"], row["answers"]["text"]) == ("7", "", ["x"])
    (row,) = load_split(Dataset.from_dict(columns), answers=False).to_list()
    assert row == {"id": "7", "title": "", "context": "x", "question": "a?", "answers": NONE}


def test_the_same_questions_twice_are_an_error_naming_both_sources(tmp_path, file):
    other = tmp_path / "other.jsonl"
    other.write_text(file.read_text())
    message = refusal([file, other], load_data)
    assert message == f"question 'h1' is in {file} and in {other}; leave one of them out."
    assert "is in course and in course" in refusal(["course", "course"], load_split, split="test")
    assert "no data given" in refusal([], load_data)


def test_evaluation_takes_the_split_asked_for_or_a_whole_file(course, file):
    assert load_split("course", "test")["question"][:] == ["How deep is the lake?"]
    assert load_split(file, "test")["id"][:] == ["h1"]
    assert len(load_split(["course", file], "test")) == 2
    message = refusal("course", load_split)
    assert message == "course: has no split 'validation'; choose one of train, test."
    assert load_split(course, "test", answers=False)["answers"][:] == [NONE]
