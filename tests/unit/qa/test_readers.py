"""Files of questions as people and programs write them, and what is wrong with others."""

import csv
import io
import json
import random
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.qa.dataset import FEATURES, SquadFormatError, load_squad
from src.qa.readers import read_file

CONTEXT = "The 👩‍👩‍👧 family met in Zürich, at the café, and again in Zürich."
NONE = {"text": [], "answer_start": []}
CAFE = {"text": ["café"], "answer_start": [39]}
ROW = {"id": "h1", "title": "T", "context": CONTEXT, "question": "Where?", "answers": CAFE}
QA = {"id": "q1", "question": "Where?", "answers": [{"text": "Zürich", "answer_start": 24}]}
MISSING = object()


def file_of(tmp_path, name, content):
    """A file of bytes, of text, or of JSON."""
    if not isinstance(content, (str, bytes)):
        content = json.dumps(content)
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def jsonl(*rows):
    lines = (r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in rows)
    return "".join(f"{line}\n" for line in lines)


def squad(*qas, title="Family", context=CONTEXT):
    return {"data": [{"title": title, "paragraphs": [{"context": context, "qas": qas}]}]}


def table(*rows, separator=",", ends="\n", quoting=csv.QUOTE_MINIMAL):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator=ends, quoting=quoting).writerows(rows)
    return text.getvalue()


def faq(*answers):
    return table(["question", "answer", "passage"], *(["Where?", a, CONTEXT] for a in answers))


def changed(fields, changes):
    return {name: v for name, v in (fields | changes).items() if v is not MISSING}


def refusal(file, **options):
    """What the error says behind the name of the file."""
    with pytest.raises(SquadFormatError) as caught:
        read_file(file, **options)
    message = str(caught.value)
    assert message.isprintable() and message.startswith(str(file)) and message.endswith(".")
    return message.removeprefix(str(file))


# --- what is read -----------------------------------------------------------------------------


def test_a_squad_file_gives_its_questions_as_they_are(tmp_path):
    blank = {"id": " ", "question": "x", "answers": [{"text": " Zürich,", "answer_start": 23}]}
    first = blank | {"id": " 1 ", "question": "  Where\u00a0? \n"}
    second = QA | {"answers": [], "is_impossible": True}
    content = b"\xef\xbb\xbf" + json.dumps(squad(first, second, title=" F ")).encode()
    dataset = read_file(file_of(tmp_path, "questions.json", content))
    assert dataset.features == FEATURES  # Arrow would call a column of empty lists "null"
    shared = {"title": " F ", "context": CONTEXT}
    answers = {"text": [" Zürich,"], "answer_start": [23]}
    assert dataset.to_list() == [
        shared | {"id": " 1 ", "question": "  Where\u00a0? \n", "answers": answers},
        shared | {"id": "q1", "question": "Where?", "answers": NONE},
    ]


def test_what_annotation_tools_write_is_read(tmp_path):
    # The fields of haystack's annotation tool, in which COVID-QA is published, and of SQuAD 2.0.
    text = "Mother-to-child transmission"
    answer = {"text": text, "answer_start": 0, "answer_end": 28, "answer_category": None}
    none = {"is_impossible": True}
    qas = [
        {"question": "What?", "id": 262, "answers": [answer], "is_impossible": False},
        {"question": "Where?", "id": 10**20, "answers": None, "plausible_answers": None} | none,
        {"question": "When?", "id": "-3", "answer_category": "NONE"} | none,
    ]
    paragraph = {"document_id": 630, "context": f"{text} is the main cause.", "qas": qas}
    plain = {"context": "", "qas": [{"id": 0, "question": "y?", "answers": []} | none]}
    articles = [{"paragraphs": [paragraph]}, {"title": 1984, "paragraphs": [plain]}]
    rows = read_file(file_of(tmp_path, "answers.json", {"data": articles}))
    assert rows["id"][:] == ["262", "100000000000000000000", "-3", "0"]
    assert rows["title"][:] == ["", "", "", "1984"]
    assert rows["answers"][:2] == [{"text": [text], "answer_start": [0]}, NONE]


def test_a_jsonl_of_the_hubs_rows_gives_these_rows(tmp_path):
    rows = [ROW, ROW | {"id": "h2", "answers": NONE}]
    odd = [*rows, ROW | {"id": "h3", "context": "a\u2028b", "answers": NONE}]
    crlf = "\ufeff" + jsonl(*odd, "", " ").replace("\n", "\r\n")
    assert read_file(file_of(tmp_path, "crlf.NDJSON", crlf)).to_list() == odd
    first = file_of(tmp_path, "first.jsonl", jsonl(*rows))
    read_file(first).to_json(str(tmp_path / "datasets.jsonl"))
    pd.DataFrame(rows).to_json(tmp_path / "pandas.jsonl", orient="records", lines=True)
    for name in ("first", "datasets", "pandas"):
        assert read_file(tmp_path / f"{name}.jsonl").to_list() == rows


def test_squads_own_questions_a_line_each_are_read(tmp_path):
    answers = [{"text": "café", "answer_start": 39}]
    first = {"id": 7, "context": CONTEXT, "question": "Where?", "answers": answers}
    second = {"context": CONTEXT, "question": "Why?", "answers": None, "is_impossible": True}
    file = file_of(tmp_path, "q.jsonl", jsonl(first, second | {"title": None}))
    shared = {"title": "", "context": CONTEXT}
    assert read_file(file).to_list() == [
        shared | {"id": "7", "question": "Where?", "answers": CAFE},
        shared | {"id": "q.jsonl:2", "question": "Why?", "answers": NONE},
    ]


def test_a_table_of_questions_answers_and_passages_is_read(tmp_path):
    dataset = read_file(file_of(tmp_path, "faq.csv", faq("café", "")))
    assert dataset.features == FEATURES
    shared = {"title": "", "context": CONTEXT, "question": "Where?"}
    assert dataset.to_list() == [
        shared | {"id": "faq.csv:2", "answers": CAFE},
        shared | {"id": "faq.csv:3", "answers": NONE},
    ]


def test_cells_are_taken_as_they_are(tmp_path):
    header = ["ID", " Title ", "Context", "is_impossible", "Question", "Answer", "Answer_Start"]
    cells = [
        ("007", "NA", "Zürich", "58"),
        ("7", "", "Zürich", "24.0"),  # as pandas writes whole numbers of a column with gaps
        ("null", "1984", " café", " 38 "),
        ("1e3", "NaN", "", ""),
    ]
    rows = [[qid, title, CONTEXT, "x", "Where?", *answer] for qid, title, *answer in cells]
    found = read_file(file_of(tmp_path, "faq.csv", table(header, *rows)))
    assert found["id"][:] == ["007", "7", "null", "1e3"]
    assert found["title"][:] == ["NA", "", "1984", "NaN"]
    assert [a["answer_start"] for a in found["answers"]] == [[58], [24], [38], []]
    assert found["answers"][2]["text"] == [" café"]
    words = ["NA", "null", "NaN", "None", "0", "True", "1,5", "#N/A"]
    rows = [["Which?", word, f"It is {word}."] for word in words]
    found = read_file(file_of(tmp_path, "na.csv", table(["question", "answer", "passage"], *rows)))
    assert [a["text"] for a in found["answers"]] == [[word] for word in words]


TABLE = [
    ["question", "answer", "passage"],
    ["Who, or\nwhat?", 'the "café"; tea', 'At the "café"; tea,\tcake'],
    ["Why?", "", "x"],
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tabs.tsv", table(*TABLE, separator="\t")),
        ("commas.tsv", table(*TABLE)),
        ("crlf.csv", "\ufeff" + table(*TABLE, separator=";", ends="\r\n")),
        ("cr.csv", table(*TABLE, ends="\r")),
        ("quoted.csv", table(*TABLE, quoting=csv.QUOTE_ALL)),
        ("sep.csv", "sep=;\r\n" + table(*TABLE, separator=";", ends="\r\n")),
        ("blank.CSV", "\n\n" + table(*TABLE) + "\n\n"),
        ("wide.csv", table(*([*row, "", ""] for row in [*TABLE, ["", " ", ""]]), separator=";")),
    ],
)
def test_every_dialect_gives_the_same_questions(tmp_path, name, content):
    rows = read_file(file_of(tmp_path, name, content)).to_list()
    assert [[r["question"], "".join(r["answers"]["text"]), r["context"]] for r in rows] == TABLE[1:]


CELLS = st.text(alphabet='ab ",;\t\né👩', max_size=12)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5),
    separator=st.sampled_from(",;\t"),
    ends=st.sampled_from(["\n", "\r\n"]),
)
def test_cells_are_those_that_pandas_reads(tmp_path, rows, separator, ends):
    rows = [("question", "passage"), *((f"q{question}", context) for question, context in rows)]
    text = table(*rows, separator=separator, ends=ends)
    options = {"sep": separator, "dtype": str, "keep_default_na": False}
    expected = pd.read_csv(io.StringIO(text, newline=""), **options)
    found = read_file(file_of(tmp_path, "faq.csv", text), answers=False)
    assert found["question"][:] == expected["question"].tolist()
    assert found["context"][:] == expected["passage"].tolist()


def test_a_passage_longer_than_the_csv_modules_limit_is_read(tmp_path):
    text = f"question,answer,passage\nWhich?,tin,{'oxygen ' * 100_000}tin\n"
    (answers,) = read_file(file_of(tmp_path, "long.csv", text))["answers"]
    assert answers == {"text": ["tin"], "answer_start": [700_000]}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("faq.csv", "id,question,answer,passage\n1,Who?,Charles,Bob and Ann\n"),
        ("faq.csv", "id,question,passage\n1,Who?,Bob and Ann\n"),
        ("faq.jsonl", jsonl({"id": 1, "question": "Who?", "context": "Bob and Ann"})),
        ("faq.json", squad({"id": 1, "question": "Who?", "answers": None}, context="Bob and Ann")),
        ("faq.json", squad(QA | {"id": 1, "question": "Who?"}, context="Bob and Ann")),
    ],
)
def test_questions_to_be_answered_need_no_answers_and_wrong_ones_do_not_hinder(
    tmp_path, name, content
):
    file = file_of(tmp_path, name, content)
    (row,) = read_file(file, answers=False).to_list()
    wanted = {"id": "1", "context": "Bob and Ann", "question": "Who?", "answers": NONE}
    assert {field: row[field] for field in wanted} == wanted
    refused = refusal(file)
    assert "`python -m src.qa answer` needs none" in refused or "in the passage" in refused


# --- what is wrong with a question ------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"id": "first"}, "this id is already in line 1; give every question its own"),
        ({"id": ""}, "`id` is empty; fill it in"),
        ({"id": 7.0}, "`id` is 7.0; make it text"),
        ({"id": "a\ud83d"}, "`id` holds half of a character, '\\ud83d', at offset 1"),
        ({"context": MISSING}, "the field `context` is missing"),
        ({"context": ""}, "the answer 'café' is not at offset 39 (the passage has 0 characters)"),
        ({"question": None}, "`question` is null; make it text"),
        ({"question": " \t\n"}, "`question` is empty; fill it in"),
        ({"answers": MISSING}, "has no `answers`; give it one, or set `is_impossible` to true"),
        ({"answers": NONE, "is_impossible": False}, "has no `answers`; give it one"),
        ({"is_impossible": True}, "`is_impossible` is true, yet it has answers; empty them"),
        ({"is_impossible": 0}, "`is_impossible` is 0; make it true or false"),
        ({"answers": "café"}, "`answers` is 'café'; make it a list"),
        ({"answers": ["café"]}, "found 'café' where an object belongs; an answer has `text`"),
        ({"answers": {}}, "the field `text` is missing"),
        ({"answers": CAFE | {"text": "café"}}, "`text` is 'café'; make it a list"),
        ({"answers": CAFE | {"answer_start": []}}, "1 answer texts, 0 offsets; pair them"),
        ({"answers": CAFE | {"text": [None]}}, "answer 1: `text` is null; make it text"),
        ({"answers": CAFE | {"answer_start": [True]}}, "`answer_start` is true; make it a whole"),
        ({"answers": CAFE | {"answer_start": [float("nan")]}}, "`answer_start` is NaN; make it a"),
        ({"answers": [{"text": "café"}]}, "answer 1: the field `answer_start` is missing"),
    ],
)
def test_a_question_that_is_not_right_is_named_with_its_line(tmp_path, changes, says):
    rows = jsonl(ROW | {"id": "first"}, "", json.dumps(changed(ROW, changes)))
    message = refusal(file_of(tmp_path, "questions.jsonl", rows))
    assert message.startswith(", line 3") and says in message


@pytest.mark.parametrize(
    ("text", "start", "says"),
    [
        ("Zürich", 23, "not at offset 23, where there is ' Züric'; it occurs at 24, 58: set"),
        ("Zürich", -1, "not at offset -1 (below zero); it occurs at 24, 58: set"),
        ("Zürich.", -7, "not at offset -7 (below zero); it occurs at 58: set `answer_start`"),
        ("Zürich", 10**40, "(the passage has 65 characters)"),
        ("e", 0, "it occurs at 2, 18, 37: set `answer_start` to the one meant"),
        ("Paris", 0, "where there is 'The 👩', nor anywhere in the passage; copy it from there"),
        ("Zu\u0308rich", 22, "in these very characters (capitals, accents or look-alikes differ)"),
        ("café ", 39, "(it is there without the blanks around it)"),
        ("café", 42, "not bytes or UTF-16 units: set `answer_start` to 39"),  # units
        ("café", len(CONTEXT[:39].encode()), "not bytes or UTF-16 units: set `answer_start` to 39"),
        (" ", 3, "the answer ' ' is blank; copy it from the passage, or leave it out"),
    ],
)
def test_an_answer_that_is_not_at_its_offset_is_told_where_it_is(tmp_path, text, start, says):
    qa = QA | {"answers": [{"text": text, "answer_start": start}]}
    message = refusal(file_of(tmp_path, "questions.json", squad(qa)))
    assert message.startswith(", article 1 'Family', paragraph 1, question 1 'q1', answer 1: the ")
    assert says in message


PARAGRAPH = {"context": CONTEXT, "qas": [QA]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], ": found [] where an object belongs; a SQuAD file is an object with a list `data`"),
        ({"version": "1.1"}, ": the field `data` is missing"),
        ({"data": "x"}, ": `data` is 'x'; make it a list"),
        ({"data": []}, ": holds no question."),
        ({"data": ["x"]}, ", article 1: found 'x' where an object belongs; an article has"),
        ({"data": [{"title": "a\nb\u2028"}]}, ", article 1 'a\\nb\\u2028': the field `paragraphs`"),
        ({"data": [{"paragraphs": [{"context": 3, "qas": []}]}]}, ", article 1, paragraph 1: `con"),
        ({"data": [{"paragraphs": [{"context": "", "qas": {}}]}]}, ", article 1, paragraph 1: `qa"),
        (
            {"data": [{"paragraphs": [PARAGRAPH, {"context": CONTEXT, "qas": [QA]}]}]},
            ", article 1, paragraph 2, question 1 'q1': this id is already in article 1, paragraph",
        ),
        (squad(QA, QA | {"id": 7}, QA | {"id": "7"}), "question 3 '7': this id is already in art"),
        (squad("Where?"), ", article 1 'Family', paragraph 1, question 1: found 'Where?' where an"),
        (squad(changed(QA, {"id": MISSING})), "paragraph 1, question 1: the field `id` is missing"),
        (squad(QA, title=["x"]), "question 1 'q1': `title` is [\"x\"]; make it text"),
    ],
)
def test_the_place_of_a_problem_is_named_by_article_paragraph_and_question(tmp_path, content, says):
    assert says in refusal(file_of(tmp_path, "questions.json", content))


def test_all_kinds_of_problems_are_told_at_once(tmp_path):
    misplaced = [
        QA | {"id": f"q{n}", "answers": [{"text": "Zürich", "answer_start": n}]} for n in range(7)
    ]
    blank, none = QA | {"id": "q20", "question": ""}, QA | {"id": "q21", "answers": []}
    twice = QA | {"id": "q22"}
    paragraphs = [
        {"context": CONTEXT, "qas": misplaced},
        {"context": 3, "qas": []},
        {"context": CONTEXT, "qas": [blank, blank, none, twice, twice, "q24"]},
    ]
    articles = [{"title": "A", "paragraphs": paragraphs}, {"title": 2.5}]
    message = refusal(file_of(tmp_path, "questions.json", {"data": articles}))
    first, *others, last = message.split(" Also article 1 'A', paragraph ")
    assert first.startswith(", article 1 'A', paragraph 1, question 1 'q0', answer 1: the answer")
    assert first.endswith("question 5 'q4', answer 1 and 2 more).")
    context, question, none = others
    assert context == "2: `context` is 3; make it text."
    assert question.endswith("is empty; fill it in (also paragraph 3, question 2 'q20').")
    assert (
        "has no `answers`" in none and "already in article 1 'A', paragraph 3, question 4" in last
    )
    assert last.endswith(" And problems of 2 more kinds.")


# --- what is wrong with a file ----------------------------------------------------------------

HEADER = "question,answer,passage\n"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        *((f"empty{end}", "\ufeff\n\n", ": is empty") for end in (".json", ".jsonl", ".csv")),
        ("a.jsonl.gz", b"\x1f\x8b\x08\x00", ": is packed with gzip; unpack it first."),
        ("a.csv", b"PK\x03\x04", ": is an Excel workbook or another zip archive; save it as"),
        ("a.json", b"PAR1", ": is a parquet file; put it in a folder and give the folder."),
        ("a.csv", HEADER.encode("utf-16"), ": not UTF-8 text (UTF-16); save it as UTF-8 (in Exc"),
        ("a.json", b'{"data":\n "\xe9"}', ": not UTF-8 text (byte 11, in line 2); save it as UTF"),
        ("a.json", '{"data": [\n', ": not JSON (Expecting value: line 2, column 1); correct it"),
        ("a.json", jsonl(ROW, ROW), ": not JSON (Extra data: line 2, column 1); correct it, or"),
        ("a.txt", HEADER, "a name in .json is for SQuAD, in .jsonl for an object a line, in .csv"),
        ("a.json", '{"data": [], "data": []}', ": the field 'data' is given twice in one object"),
        ("a.json", f'{{"data": {"9" * 5000}}}', ": not JSON (Exceeds the limit (4300 digits)"),
        ("a.json", "[" * 200_000, ": not JSON (maximum recursion depth exceeded"),
        ("a.jsonl", jsonl(ROW, "{"), ", line 2: not JSON (Expecting property name enclosed in"),
        ("a.jsonl", jsonl("[1]"), ", line 1: found [1] where an object belongs"),
        ("a.jsonl", '{"id": 7, "q": 1, "q": 2}', "the field 'q' is given twice in one object (the"),
        ("a.csv", HEADER + ",,\n", ": holds no question."),
        ("a.csv", HEADER.encode("utf-16-le"), ", line 1: has no column question or passage"),
        ("a.csv", "Who?,Bob,Bob and Ann\n", "(found 'Who?', 'Bob', 'Bob and Ann'); the first line"),
        ("a.csv", "x" * 300_000, ", line 1: has no column question or passage (found 'xxx"),
        ("a.csv", "question,answer\nq,a\n", ", line 1: has no column passage (found 'question', "),
        ("a.csv", "question,passage\nq,a\n", ", line 1: has no column answer; add it, empty for"),
        ("a.csv", "\nquestion,passage,context\n", ", line 2: 2 columns hold the context; leave"),
        ("a.csv", HEADER + "q,a,b,c\n", ", line 2: has 4 cells, the header 3; put a text that ho"),
        ("a.csv", HEADER + '\n"q\nr",,x\nq,a\n', ", line 5: has 2 cells, the header 3"),
        ("a.csv", HEADER + 'q,a,b\nq,"a,b\nc', ", line 3: not CSV (unexpected end of data); close"),
        ("a.csv", HEADER + 'q,"a" b,b\n', ", line 2: not CSV (',' expected after '\"'); close eve"),
        ("a.csv", "sep=;\nquestion;answer;passage\n;a;a\n", ", line 3: `question` is empty; fill"),
        ("a.csv", "id,question,answer,passage\n,q,,x\n", ", line 2: `id` is empty; fill it in."),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path, name, content, says):
    assert says in refusal(file_of(tmp_path, name, content))


def test_a_file_that_may_not_be_opened_is_one_line(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    says = ": cannot be read (Permission denied); check the path and its permissions."
    assert refusal(file_of(tmp_path, "a.csv", "x")) == says


@pytest.mark.parametrize(
    ("answer", "start", "says"),
    [
        (
            "zürich",
            "",
            "'zürich' is not in the passage in these very characters (capitals, accents",
        ),
        ("café ", "", "'café ' is not in the passage (it is there without the blanks around it);"),
        ("n", "", "'n' occurs 4 times, at 22, 46, 53 and on; write the one meant in a column"),
        (" ", "", "the answer ' ' is blank"),
        ("", "0", "the answer '' is blank"),
        ("Zürich", "23", "is not at offset 23, where there is ' Züric'; it occurs at 24, 58: set"),
        ("Zürich", "٢٤", "`answer_start` is '٢٤'; make it a whole number"),
        ("Zürich", "9" * 5000, "`answer_start` is '9999"),
    ],
)
def test_an_answer_of_a_table_that_is_not_right_is_named(tmp_path, answer, start, says):
    header = ["question", "answer", "answer_start", "passage"]
    file = file_of(tmp_path, "faq.csv", table(header, ["Where?", answer, start, CONTEXT]))
    message = refusal(file)
    assert message.startswith(", line 2") and says in message


@pytest.mark.parametrize("name", ["questions.csv", "questions.jsonl"])
def test_a_mutated_table_loads_whole_or_gives_one_line(tmp_path, name):
    rows = [ROW | {"id": f"h{n}", "question": f"Whé{n}, 👩?"} for n in range(4)]
    cells = [["id", "question", "answer", "answer_start", "passage"]]
    cells += [[row["id"], row["question"], "café", "39", CONTEXT] for row in rows]
    whole = (jsonl(*rows) if name.endswith("l") else table(*cells)).encode()
    bits = [b"\xff", b"\0", b'"', b"{", b",", b"\n", b"\r", b"\\u00", b"\xed\xa0\x80", b";", b"NaN"]
    outcomes = set()
    for seed in range(150):
        rng = random.Random(seed)
        at, end = sorted(rng.randrange(len(whole) + 1) for _ in range(2))
        cut = whole[:at] + whole[min(end, at + 40) :]
        insert = whole[:at] + rng.choice(bits) + whole[at:]
        data = rng.choice([whole[:at], cut, insert, whole + whole[at:]])
        file = file_of(tmp_path, name, data)
        try:
            loaded = load_squad(file)["train"]
        except SquadFormatError as error:
            assert str(error).isprintable() and len(str(error)) < 2_000, f"seed {seed}: {error!r}"
            outcomes.add("refused")
            continue
        outcomes.add("loaded")
        for row in loaded:
            for text, start in zip(*row["answers"].values(), strict=True):
                assert row["context"][start : start + len(text)] == text
        text = data.decode("utf-8-sig")
        if name.endswith("l"):  # each line with something in it is a question
            expected = [json.loads(line) for line in text.split("\n") if line.strip()]
        else:
            found = csv.DictReader(io.StringIO(text, newline=""))
            expected = [row for row in found if any(cell.strip() for cell in row.values())]
        assert [row["question"] for row in expected] == loaded["question"][:]
    assert outcomes == {"loaded", "refused"}
