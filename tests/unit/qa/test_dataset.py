"""Loading questions: every source gives the same columns, and one line says what is wrong."""

import json

import datasets
import pytest
from datasets import Dataset, DatasetDict

from src import assets
from src.qa import course_set
from src.qa.dataset import (
    FEATURES,
    SquadFormatError,
    load_data,
    load_split,
    load_squad,
)

CONTEXT = "The 👩‍👩‍👧 family met in Zürich, at the café, and again in Zürich."
PASSAGES = {
    "Oxygen": "Oxygen has the symbol O and its atomic number is 8.",
    "Lake": "The lake is 30 metres deep. It has no name.",
}


MISSING = object()


def file_of(tmp_path, name="questions.json", **changes):
    """A v2.0 file of one question, with some fields of it or around it replaced."""
    qa = {
        "id": "q1",
        "question": "Where?",
        "answers": [{"text": "Zürich", "answer_start": CONTEXT.index("Zürich")}],
        "is_impossible": False,
    }
    paragraph = {"context": CONTEXT, "qas": [qa]}
    article = {"title": "Family", "paragraphs": [paragraph]}
    squad = {"version": "v2.0", "data": [article]}
    for key, value in changes.items():
        for level in (qa, paragraph, article, squad):
            if key in level:
                level[key] = value
                if value is MISSING:
                    del level[key]
    file = tmp_path / name
    file.write_text(json.dumps(squad), encoding="utf-8")
    return file


def refusal(source, **options):
    with pytest.raises(SquadFormatError) as caught:
        load_squad(source, **options)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.fixture
def small_course(tmp_path, monkeypatch):
    """A course set of two articles, in place of the real one and its passages."""
    (tmp_path / "chemistry.yaml").write_text(
        "- title: Oxygen\n  split: train\n  questions:\n"
        "    - {q: 'What is the atomic number of oxygen?', a: 8}\n"
        "    - {q: 'Who discovered oxygen?', near: O}\n",
        encoding="utf-8",
    )
    (tmp_path / "water.yaml").write_text(
        "- title: Lake\n  split: test\n  questions:\n"
        "    - {q: 'How deep is the lake?', a: [30 metres, '30']}\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(course_set, "FOLDER", tmp_path)
    passages = {title: assets.Passage(title, text, "", "") for title, text in PASSAGES.items()}
    monkeypatch.setattr(assets, "load_passages", lambda: passages)


# --- what loads -------------------------------------------------------------------------------


def test_a_json_file_gives_all_its_questions_under_train(tmp_path):
    splits = load_squad(file_of(tmp_path))
    assert list(splits) == ["train"]
    assert splits["train"].features == FEATURES
    assert splits["train"][0] == {
        "id": "q1",
        "title": "Family",
        "context": CONTEXT,
        "question": "Where?",
        "answers": {"text": ["Zürich"], "answer_start": [24]},
    }


def test_v1_and_v2_files_are_told_apart_by_their_questions(tmp_path):
    v2 = load_squad(file_of(tmp_path, answers=[], is_impossible=True))["train"]
    assert v2[0]["answers"] == {"text": [], "answer_start": []}
    assert v2.features == FEATURES  # Arrow would call a column of empty lists "null"
    squad = json.loads(file_of(tmp_path).read_text())
    del squad["version"], squad["data"][0]["paragraphs"][0]["qas"][0]["is_impossible"]
    (tmp_path / "v1.json").write_text(json.dumps(squad))
    assert len(load_squad(tmp_path / "v1.json")["train"]) == 1


def test_nothing_is_stripped_or_repaired(tmp_path):
    start = CONTEXT.index(" Zürich,")
    part = load_squad(
        file_of(
            tmp_path,
            question="  Where\u00a0? \n",
            title=" Family ",
            answers=[{"text": " Zürich,", "answer_start": start}],
        )
    )
    row = part["train"][0]
    assert (row["question"], row["title"], row["answers"]["text"]) == (
        "  Where\u00a0? \n",
        " Family ",
        [" Zürich,"],
    )


def test_what_annotation_tools_write_is_read(tmp_path):
    # The fields of haystack's annotation tool, in which COVID-QA is published, and of SQuAD 2.0.
    text = "Mother-to-child transmission"
    answer = {"text": text, "answer_start": 0, "answer_end": 28, "answer_id": 263}
    answer |= {"document_id": 630, "question_id": 262, "answer_category": None}
    none = {"is_impossible": True}
    qas = [
        {"question": "What?", "id": 262, "answers": [answer], "is_impossible": False},
        {"question": "Where?", "id": 10**20, "answers": None, "plausible_answers": None} | none,
        {"question": "When?", "id": "-3", "answer_category": "NONE"} | none,
    ]
    paragraph = {"document_id": 630, "context": f"{text} is the main cause.", "qas": qas}
    plain = {"context": "x", "qas": [{"id": 0, "question": "y?", "answers": []} | none]}
    articles = [{"paragraphs": [paragraph]}, {"title": None, "paragraphs": [plain]}]
    articles.append({"title": 1984, "paragraphs": []})
    file = tmp_path / "answers.json"
    file.write_text(json.dumps({"data": articles}))
    rows = load_squad(file)["train"]
    assert rows["id"][:] == ["262", "100000000000000000000", "-3", "0"]
    assert rows["title"][:] == [""] * 4
    assert rows["answers"][:2] == [
        {"text": [text], "answer_start": [0]},
        {"text": [], "answer_start": []},
    ]
    assert load_squad(file_of(tmp_path, title=1984))["train"]["title"][:] == ["1984"]


def test_a_number_and_its_text_are_the_same_id(tmp_path):
    squad = json.loads(file_of(tmp_path, id=7).read_text())
    squad["data"][0]["paragraphs"].append(
        json.loads(file_of(tmp_path, id="7").read_text())["data"][0]["paragraphs"][0]
    )
    file = tmp_path / "twice.json"
    file.write_text(json.dumps(squad))
    assert (
        "question '7': this id is already in article 1 'Family', paragraph 1, question '7'"
        in refusal(file)
    )


def test_all_kinds_of_problems_are_told_at_once(tmp_path):
    def question(number, **changes):
        return {
            "id": f"q{number}",
            "question": "Where?",
            "answers": [{"text": "Zürich", "answer_start": 24}],
        } | changes

    misplaced = [question(n, answers=[{"text": "Zürich", "answer_start": n}]) for n in range(12)]
    others = [
        question(20, question=" "),
        question(21, answers=[]),
        question(22),
        question(22),
        question(23, question=""),
        "q24",
    ]
    paragraphs = [
        {"context": CONTEXT, "qas": misplaced},
        {"context": 3, "qas": []},
        {"context": CONTEXT, "qas": others},
    ]
    file = tmp_path / "questions.json"
    file.write_text(
        json.dumps({"data": [{"title": "A", "paragraphs": paragraphs}, {"title": 2.5}]})
    )
    place, also = "article 1 'A', paragraph", "Also article 1 'A', paragraph"
    assert refusal(file) == (
        f"{file}, {place} 1, question 'q0', answer 1: the answer 'Zürich' is not at offset 0, "
        "where there is 'The 👩\\u200d'; "
        "it occurs at 24, 58: set `answer_start` to the one meant (and 11 more like it). "
        f"{also} 2: `context` is 3; make it text. "
        f"{also} 3, question 'q20' (number 1): `question` is empty; fill it in "
        "(and 1 more like it). "
        f"{also} 3, question 'q21': has no answers; give one, "
        "or set `is_impossible` to true (SQuAD v2.0); "
        "`python -m src.qa answer` needs none. "
        f"{also} 3, question 'q22': this id is already in {place} 3, question 'q22'; "
        "give every question its own. "
        "And problems of 2 more kinds."
    )


def test_an_empty_passage_is_legal_where_it_answers_nothing(tmp_path):
    assert (
        load_squad(file_of(tmp_path, context="", answers=[], is_impossible=True))["train"][0][
            "context"
        ]
        == ""
    )


def test_a_byte_order_mark_is_no_trouble(tmp_path):
    file = file_of(tmp_path)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert len(load_squad(str(file))["train"]) == 1


def test_the_course_set_comes_in_three_splits_of_the_same_columns(small_course):
    splits = load_squad("course")
    assert list(splits) == ["train", "test"]
    assert all(part.features == FEATURES for part in splits.values())
    assert splits["train"]["answers"][:] == [
        {"text": ["8"], "answer_start": [49]},
        {"text": [], "answer_start": []},
    ]
    assert splits["test"][0]["answers"]["text"] == ["30 metres", "30"]


def test_v1_is_the_answerable_part(small_course, tmp_path):
    assert load_squad("course", version="v1")["train"]["question"][:] == [
        "What is the atomic number of oxygen?"
    ]
    assert "version='v2'" in refusal(
        file_of(tmp_path, answers=[], is_impossible=True), version="v1"
    )
    with pytest.raises(ValueError, match="'v3'"):
        load_squad("course", version="v3")


@pytest.mark.parametrize("layout", ["parquet", "json"])
def test_a_folder_in_the_hubs_layout_keeps_its_splits(small_course, tmp_path, layout):
    course = load_squad("course")
    folder = tmp_path / "hub"
    folder.mkdir()
    for split, part in (("train", course["train"]), ("validation", course["test"])):
        getattr(part, f"to_{layout}")(str(folder / f"{split}-00000-of-00001.{layout}"))
    splits = load_squad(folder)
    assert splits["train"].to_list() == course["train"].to_list()
    assert splits["validation"].to_list() == course["test"].to_list()
    assert all(part.features == FEATURES for part in splits.values())


def test_hub_names_go_through_load_dataset_under_their_present_address(small_course, monkeypatch):
    asked = []

    def load_dataset(name):
        asked.append(name)
        return DatasetDict(
            {"train": course["train"].add_column("extra", [1, 2]), "validation": course["test"]}
        )

    course = load_squad("course")
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    splits = load_squad("squad_v2")
    assert list(splits) == ["train", "validation"]
    assert splits["train"].features == FEATURES
    assert len(load_squad("squad", version="v1")["train"]) == 1
    assert asked == ["rajpurkar/squad_v2", "rajpurkar/squad"]


def test_a_hub_out_of_reach_is_one_line(monkeypatch):
    def load_dataset(name):
        raise ConnectionError("Couldn't reach it\nat all.")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert (
        refusal("squad") == "squad: cannot be had from the Hub here (Couldn't reach it at all); "
        "use 'course' or a SQuAD JSON file."
    )


# --- several sources --------------------------------------------------------------------------


def test_several_sources_are_joined_split_by_split(small_course, tmp_path):
    file = file_of(tmp_path)
    joined = load_data(["course", file])
    assert {split: len(part) for split, part in joined.items()} == {"train": 3, "test": 1}
    assert joined["train"]["id"][2] == "q1"
    assert load_data(str(file))["train"].to_list() == load_squad(file)["train"].to_list()


def test_data_sets_in_hand_are_sources_too(small_course, tmp_path):
    course = load_squad("course")
    assert load_data(course)["test"].to_list() == course["test"].to_list()
    assert len(load_data([course["train"], file_of(tmp_path)])["train"]) == 3
    assert len(load_data(course, version="v1")["train"]) == 1


def test_the_same_questions_twice_are_an_error_naming_both_sources(tmp_path):
    first, second = file_of(tmp_path, "a.json"), file_of(tmp_path, "b.json")
    with pytest.raises(SquadFormatError, match=r"'q1' is in .*a\.json and in .*b\.json"):
        load_data([first, second])
    with pytest.raises(SquadFormatError, match=r"a\.json: is given twice; leave one of them out"):
        load_data([first, second, tmp_path / "." / ".." / tmp_path.name / "a.json"])
    with pytest.raises(SquadFormatError, match=r"course: is given twice"):
        load_split(["course", "course"])
    with pytest.raises(SquadFormatError, match="no data"):
        load_data([])


def test_evaluation_takes_the_split_asked_for_or_a_whole_file(small_course, tmp_path):
    file = file_of(tmp_path)
    assert load_split("course", "test")["question"][:] == ["How deep is the lake?"]
    assert load_split(file, "test")["id"][:] == ["q1"]
    assert len(load_split(["course", file], "test")) == 2
    with pytest.raises(SquadFormatError, match="no split 'validation'; choose one of train, test"):
        load_split("course")


def test_questions_without_answers_are_loaded_to_be_answered(small_course, tmp_path):
    none = {"text": [], "answer_start": []}
    for changes in (
        {"answers": MISSING},
        {"answers": MISSING, "is_impossible": MISSING, "title": MISSING},
        {"answers": None},
    ):
        file = file_of(tmp_path, **changes)
        (row,) = load_split(file, answers=False).to_list()
        assert (row["id"], row["question"], row["context"], row["answers"]) == (
            "q1",
            "Where?",
            CONTEXT,
            none,
        )
        assert "`python -m src.qa answer` needs none" in refusal(file)
    # Known answers, right or not, are of no account.
    assert load_split(file_of(tmp_path, answers=[{"text": "Paris"}]), answers=False)["answers"][
        :
    ] == [none]
    assert load_split("course", "test", answers=False).to_list() == [
        load_squad("course")["test"][0] | {"answers": none}
    ]
    rows = Dataset.from_dict({"id": [7, 8], "context": ["x", "y"], "question": ["a?", "b?"]})
    assert load_split(rows, answers=False).to_list() == [
        {"id": "7", "title": "", "context": "x", "question": "a?", "answers": none},
        {"id": "8", "title": "", "context": "y", "question": "b?", "answers": none},
    ]
    assert load_split(load_squad("course"), "test", answers=False).features == FEATURES
    with pytest.raises(SquadFormatError, match="`context` is missing"):
        load_split(file_of(tmp_path, answers=MISSING, context=MISSING), answers=False)


def test_a_folder_needs_no_titles_and_takes_numbers_as_ids(tmp_path):
    rows = [
        {
            "id": n,
            "context": "Oxygen",
            "question": "What?",
            "answers": {"text": ["Oxygen"], "answer_start": [0]},
        }
        for n in (5, 6)
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    part = load_squad(tmp_path)["train"]
    assert (part.features, part["id"][:], part["title"][:]) == (FEATURES, ["5", "6"], ["", ""])
    assert part["answers"][0] == rows[0]["answers"]


# --- what does not load -----------------------------------------------------------------------

PLACE = "article 1 'Family', paragraph 1, question 'q1'"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            {"text": "Zürich", "answer_start": 23},
            "not at offset 23, where there is ' Züric'; it occurs at 24, 58: set",
        ),
        ({"text": "Zürich", "answer_start": -1}, "not at offset -1 (below zero)"),
        (
            {"text": "Zürich.", "answer_start": -7},
            "not at offset -7 (below zero); it occurs at 58",
        ),  # where Python counts from the end
        ({"text": "Zürich", "answer_start": 10**40}, "(the passage has 65 characters)"),
        (
            {"text": "Paris", "answer_start": 0},
            "where there is 'The 👩', nor anywhere in the passage; copy it",
        ),
        ({"text": "Zu\u0308rich", "answer_start": 22}, "(capitals, accents or look-alikes differ)"),
        (
            {"text": "café", "answer_start": 42},
            "not bytes or UTF-16 units: set `answer_start` to 39",
        ),
        ({"text": " ", "answer_start": 3}, "the answer ' ' is blank"),
        (
            {"text": "Zürich", "answer_start": True},
            "`answer_start` is true; make it a whole number",
        ),
        (
            {"text": "Zürich", "answer_start": 22.0},
            "`answer_start` is 22.0; make it a whole number",
        ),
        (
            {"text": "Zürich", "answer_start": "22"},
            "`answer_start` is '22'; make it a whole number",
        ),
        ({"text": 8, "answer_start": 22}, "`text` is 8; make it text"),
        ({"text": "Zürich"}, "the field `answer_start` is missing"),
        ("Zürich", "found 'Zürich' where an object belongs"),
    ],
)
def test_an_answer_that_is_not_right_is_named_with_its_place(tmp_path, answer, says):
    file = file_of(tmp_path, answers=[answer])
    message = refusal(file)
    assert message.startswith(f"{file}, {PLACE}, answer 1: ")
    assert says in message


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"answers": []}, f"{PLACE}: has no answers; give one, or set `is_impossible`"),
        ({"is_impossible": True}, f"{PLACE}: `is_impossible` is true, yet it has answers"),
        ({"is_impossible": None}, f"{PLACE}: `is_impossible` is null"),
        ({"is_impossible": 0}, f"{PLACE}: `is_impossible` is 0"),
        ({"question": " \n"}, f"{PLACE} (number 1): `question` is empty"),
        ({"question": None}, f"{PLACE}: `question` is null; make it text"),
        (
            {"question": "a\ud83db"},
            f"{PLACE}: `question` holds half of a character, '\\ud83d', at offset 1",
        ),
        ({"id": ""}, "question '' (number 1): `id` is empty"),
        ({"id": 7.0}, "article 1 'Family', paragraph 1, question 1: `id` is 7.0; make it text"),
        ({"id": True}, "article 1 'Family', paragraph 1, question 1: `id` is true; make it text"),
        ({"id": None}, "article 1 'Family', paragraph 1, question 1: `id` is null; make it text"),
        ({"id": MISSING}, "article 1 'Family', paragraph 1, question 1: the field `id` is missing"),
        ({"id": "a\ud83d"}, "question 1: `id` holds half of a character"),
        ({"answers": None}, f"{PLACE}: has no answers; give one, or set `is_impossible`"),
        (
            {"answers": MISSING},
            "the field `answers` is missing; give the question its answers (`python -m src.qa",
        ),
        ({"answers": {}}, f"{PLACE}: `answers` is an object; make it a list"),
        ({"context": ""}, "the answer 'Zürich' is not at offset 24 (the passage has 0 characters)"),
        ({"context": ["x"]}, "article 1 'Family', paragraph 1: `context` is a list; make it text"),
        ({"qas": {}}, "article 1 'Family', paragraph 1: `qas` is an object; make it a list"),
        ({"title": ["x"]}, "article 1: `title` is a list; make it text"),
        ({"title": True}, "article 1: `title` is true; make it text"),
        (
            {"title": "two\nlines\u2028here", "paragraphs": None},
            "article 1 'two\\nlines\\u2028here': `paragraphs` is null",
        ),
        ({"data": []}, "holds no question"),
        ({"data": "x"}, "`data` is 'x'; make it a list"),
    ],
)
def test_a_field_that_is_not_right_is_named_with_its_place(tmp_path, changes, says):
    file = file_of(tmp_path, **changes)
    assert refusal(file).startswith(str(file))
    assert says in refusal(file)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "is empty"),
        (b" \n\xef\xbb\xbf", "not JSON (Expecting value at line 2, column 1)"),
        (b"\xef\xbb\xbf\n", "is empty"),
        (
            b'{"data": []}\n{"data": []}',
            "not JSON (Extra data at line 2, column 1); where each line is an object of its own",
        ),
        (b"\x1f\x8b\x08\x00", "is packed with gzip; unpack it first."),
        (b"PK\x03\x04", "is an Excel workbook or another zip archive"),
        (b"PAR1", "is a parquet file; put it in a folder and give the folder."),
        (b'{"data":\n "\xe9"}', "not UTF-8 text (byte 11, in line 2); save it as UTF-8"),
        (b'{"data": []}\x00', "not JSON (Extra data at line 1, column 13)"),
        (b'{"data": [', "not JSON"),
        (b"\xff\xfe{\x00", "not UTF-8 text (UTF-16)"),
        (b"[]", "found a list where an object belongs"),
        (b"null", "found null where an object belongs"),
        (b'{"version": "1.1"}', "the field `data` is missing"),
        (b'{"data": [], "data": []}', "the field 'data' is given twice in one object"),
        (b'{"data": NaN}', "NaN is not a JSON number"),
        (b'{"data": ' + b"9" * 5000 + b"}", "holds a number of thousands of digits"),
        (b"[" * 200_000, "lists and objects nested too deeply"),
    ],
)
def test_a_file_that_is_no_squad_file_is_one_line(tmp_path, raw, says):
    file = tmp_path / "bad.json"
    file.write_bytes(raw)
    assert refusal(file).startswith(f"{file}: {says}")


def test_a_path_that_leads_nowhere_says_what_could_be_given(tmp_path):
    assert "one of course, squad, squad_v2" in refusal(tmp_path / "none.json")
    assert "no such file" in refusal("Course")
    assert "not a usable path" in refusal("x" * 5000)
    assert refusal("two\nlines.json").startswith("'two\\nlines.json': no such file")
    assert "cannot read this folder" in refusal(tmp_path)


HUB_ROW = {"id": "h1", "title": "O", "context": "Oxygen", "question": "What?"}
HUB_ROW |= {"answers": {"text": ["Oxygen"], "answer_start": [0]}}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"answers": {"text": ["Oxygen"], "answer_start": [3]}}, "'Oxygen' is not at offset 3"),
        ({"answers": {"text": ["Oxygen"], "answer_start": []}}, "1 answer texts, 0 offsets"),
        (
            {"answers": {"text": ["O", None], "answer_start": [0, 0]}},
            "`text` is null; make it text",
        ),
        ({"answers": {"text": ["O", " "], "answer_start": [0, 0]}}, "the answer ' ' is blank"),
        ({"question": None}, "`question` is null; make it text"),
        ({"question": 5}, "`question` is 5; make it text"),
        ({"context": None}, "`context` is null; make it text"),
    ],
)
def test_a_row_of_the_hubs_layout_that_is_not_right_is_named(tmp_path, row, says):
    (tmp_path / "train.jsonl").write_text(json.dumps(HUB_ROW | row) + "\n")
    message = refusal(tmp_path)
    assert "split 'train', row 0, question 'h1'" in message and says in message


def test_rows_with_a_column_missing_or_an_id_twice_are_named(tmp_path):
    file = tmp_path / "train.jsonl"
    file.write_text(2 * (json.dumps(HUB_ROW) + "\n"))
    assert "row 1, question 'h1': this id is already in row 0" in refusal(tmp_path)
    for missing, says in (
        ("context", "has no column context"),
        (
            "answers",
            "has no column answers; it needs id, title, context, question, answers (`python",
        ),
    ):
        file.write_text(json.dumps({key: HUB_ROW[key] for key in HUB_ROW if key != missing}))
        assert says in refusal(tmp_path)
    for number in (5.5, None):
        file.write_text(json.dumps(HUB_ROW | {"id": number}) + "\n")
        assert "`id` is " in refusal(tmp_path)
    with pytest.raises(SquadFormatError, match="the Dataset given, split 'train': has no column"):
        load_data(Dataset.from_dict({"text": ["x"]}))
