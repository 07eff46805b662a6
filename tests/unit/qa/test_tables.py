"""Questions in tables: JSONL and CSV as people and programs write them, and what is wrong."""

import csv
import io
import json
import random
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.qa.dataset import FEATURES, SquadFormatError, load_data, load_split, load_squad

CONTEXT = "The 👩‍👩‍👧 family met in Zürich, at the café, and again in Zürich."
NONE = {"text": [], "answer_start": []}


def written(tmp_path, name, content):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def rows_of(file, **options):
    return load_split(file, **options).to_list()


def refusal(file, **options):
    """What the error says behind the name of the file."""
    with pytest.raises(SquadFormatError) as caught:
        load_split(file, **options)
    message = str(caught.value)
    assert message.isprintable() and message.startswith(str(file)) and message.endswith(".")
    return message.removeprefix(str(file))


# --- JSONL ------------------------------------------------------------------------------------

GOOD = {
    "id": "h1",
    "title": "T",
    "context": CONTEXT,
    "question": "Where?",
    "answers": {"text": ["café"], "answer_start": [39]},
}


def jsonl(*rows):
    return "".join(
        (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n"
        for row in rows
    )


def test_a_jsonl_with_the_hubs_rows_gives_these_rows_under_train(tmp_path):
    rows = [
        GOOD,
        GOOD | {"id": "h2", "answers": NONE},
        GOOD | {"id": "h3", "context": "a\u2028b", "answers": NONE},
    ]
    splits = load_squad(written(tmp_path, "questions.jsonl", jsonl(*rows)))
    assert list(splits) == ["train"]
    assert splits["train"].features == FEATURES
    assert splits["train"].to_list() == rows
    assert (
        load_squad(
            written(tmp_path, "crlf.ndjson", "\ufeff" + jsonl(*rows, "", " ").replace("\n", "\r\n"))
        )["train"].to_list()
        == rows
    )
    assert load_squad(written(tmp_path, "questions.JSONL", jsonl(*rows)), version="v1")["train"][
        "id"
    ][:] == ["h1"]


def test_what_pandas_and_datasets_write_as_jsonl_comes_back(tmp_path):
    rows = [GOOD, GOOD | {"id": "h2", "answers": NONE}]
    file = written(tmp_path, "first.jsonl", jsonl(*rows))
    load_squad(file)["train"].to_json(str(tmp_path / "datasets.jsonl"))
    pd.DataFrame(rows).to_json(tmp_path / "pandas.jsonl", orient="records", lines=True)
    assert rows_of(tmp_path / "datasets.jsonl") == rows_of(tmp_path / "pandas.jsonl") == rows


def test_squads_own_questions_a_line_each_are_read(tmp_path):
    first = {
        "id": 7,
        "context": CONTEXT,
        "question": "Where?",
        "answers": [{"text": "café", "answer_start": 39}],
        "is_impossible": False,
    }
    second = {
        "context": CONTEXT,
        "question": "Why?",
        "answers": None,
        "is_impossible": True,
        "title": None,
    }
    assert rows_of(written(tmp_path, "questions.jsonl", jsonl(first, second))) == [
        {
            "id": "7",
            "title": "",
            "context": CONTEXT,
            "question": "Where?",
            "answers": {"text": ["café"], "answer_start": [39]},
        },
        {
            "id": "questions.jsonl:2",
            "title": "",
            "context": CONTEXT,
            "question": "Why?",
            "answers": NONE,
        },
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            '{"id": "h2", "con',
            "not JSON (Unterminated string starting at column 14); each line is one whole",
        ),
        ("[1]", "found a list where an object belongs; a line has `question`"),
        ("7", "found 7 where an object belongs"),
        (jsonl(GOOD).strip() * 2, "not JSON (Extra data at column"),
        (
            '{"id": "a", "id": "b"}',
            "the field 'id' is given twice in one object (the one with id 'a')",
        ),
        ('{"id": NaN}', "NaN is not a JSON number"),
        ("[" * 100_000, "lists and objects nested too deeply"),
        ('{"id": ' + "9" * 5000 + "}", "holds a number of thousands of digits"),
        ("\0", "not JSON"),
        (GOOD | {"id": "first"}, "this id is already in line 1"),
        (GOOD | {"id": ""}, "`id` is empty"),
        (GOOD | {"id": 7.0}, "`id` is 7.0; make it text"),
        (GOOD | {"question": None}, "`question` is null; make it text"),
        (GOOD | {"question": "\t"}, "`question` is empty"),
        (GOOD | {"context": 12}, "`context` is 12; make it text"),
        (
            json.dumps(GOOD | {"question": "a\ud83db"}),
            "`question` holds half of a character, '\\ud83d', at offset 1",
        ),
        (GOOD | {"title": []}, "`title` is a list; make it text"),
        ({key: GOOD[key] for key in GOOD if key != "context"}, "the field `context` is missing"),
        (
            {key: GOOD[key] for key in GOOD if key != "answers"},
            "the field `answers` is missing; give the question its answers",
        ),
        (GOOD | {"answers": None}, "has no answers; give one, or set `is_impossible` to true"),
        (GOOD | {"answers": []}, "has no answers; give one, or set `is_impossible` to true"),
        (
            GOOD | {"answers": NONE, "is_impossible": False},
            "has no answers; give one, or set `is_impossible` to true",
        ),
        (GOOD | {"is_impossible": True}, "`is_impossible` is true, yet it has answers"),
        (
            GOOD | {"answers": {"text": ["café"], "answer_start": []}},
            "1 answer texts, 0 offsets; pair them",
        ),
        (
            GOOD | {"answers": {"text": "café", "answer_start": 39}},
            "`text` is 'café'; make it a list",
        ),
        (
            GOOD | {"answers": {"text": [None], "answer_start": [39]}},
            "answer 1: `text` is null; make it text",
        ),
        (
            GOOD | {"answers": {"text": ["café"], "answer_start": [39.0]}},
            "answer 1: `answer_start` is 39.0; make it a whole number",
        ),
        (
            GOOD | {"answers": {"text": ["café"], "answer_start": ["39"]}},
            "answer 1: `answer_start` is '39'; make it a whole number",
        ),
        (
            GOOD | {"answers": {"text": ["café"], "answer_start": [38]}},
            "answer 1: the answer 'café' is not at offset 38",
        ),
        (GOOD | {"answers": "café"}, "`answers` is 'café'; make it a list"),
    ],
)
def test_a_line_of_a_jsonl_that_is_not_right_is_named(tmp_path, line, says):
    message = refusal(written(tmp_path, "questions.jsonl", jsonl(GOOD | {"id": "first"}, "", line)))
    assert message.startswith(", line 3")
    assert says in message


def test_the_lines_of_a_jsonl_with_the_same_trouble_are_told_together(tmp_path):
    rows = [
        GOOD,
        *[GOOD | {"id": f"q{n}", "question": ""} for n in range(2)],
        "{",
        *[GOOD | {"id": f"r{n}", "question": ""} for n in range(5)],
    ]
    assert refusal(written(tmp_path, "questions.jsonl", jsonl(*rows))) == (
        ", line 2: `question` is empty; fill it in (also lines 3, 5, 6, 7 and 2 more). "
        "Also line 4: not JSON (Expecting property name enclosed in double quotes at column 2); "
        "each line is one whole JSON object (a SQuAD file ends in .json)."
    )


# --- CSV --------------------------------------------------------------------------------------


def test_a_table_of_questions_answers_and_passages_is_read(tmp_path):
    file = written(
        tmp_path,
        "faq.csv",
        f'question,answer,passage\nWhere?,café,"{CONTEXT}"\nWhy?,,"{CONTEXT}"\n',
    )
    assert list(load_squad(file)) == ["train"]
    assert load_squad(file)["train"].features == FEATURES
    assert rows_of(file) == [
        {
            "id": "faq.csv:2",
            "title": "",
            "context": CONTEXT,
            "question": "Where?",
            "answers": {"text": ["café"], "answer_start": [39]},
        },
        {"id": "faq.csv:3", "title": "", "context": CONTEXT, "question": "Why?", "answers": NONE},
    ]


def test_ids_titles_and_offsets_are_taken_from_their_columns_as_they_are(tmp_path):
    text = "ID, Title ,Context,note,Question,Answer,Answer_Start\n" + "".join(
        f'{qid},{title},"{CONTEXT}",x,Where?,{answer},{start}\n'
        for qid, title, answer, start in [
            ("007", "NA", "Zürich", "58"),
            ("7", "", "Zürich", "24.0"),  # as pandas writes whole numbers of a column with gaps
            ("null", "1984", " café", " 38 "),
            ("1e3", "NaN", "", ""),
        ]
    )
    rows = rows_of(written(tmp_path, "faq.csv", text))
    assert [row["id"] for row in rows] == ["007", "7", "null", "1e3"]
    assert [row["title"] for row in rows] == ["NA", "", "1984", "NaN"]
    assert [row["answers"]["answer_start"] for row in rows] == [[58], [24], [38], []]
    assert rows[2]["answers"]["text"] == [" café"]


def test_answers_that_look_like_nothing_stay_text(tmp_path):
    words = ["NA", "null", "NaN", "None", "0", "True", "1,5", "#N/A"]
    rows = "".join(f'Which?,"{word}","It is {word}."\n' for word in words)
    assert [
        row["answers"]["text"]
        for row in rows_of(written(tmp_path, "faq.csv", "question,answer,passage\n" + rows))
    ] == [[word] for word in words]


TABLE = [
    ["question", "answer", "passage"],
    ["Who, or\nwhat?", 'the "café"; tea', 'At the "café"; tea,\tcake'],
    ["Why?", "", "x"],
]


def table(separator=",", ends="\n", quoting=csv.QUOTE_MINIMAL, rows=TABLE):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator=ends, quoting=quoting).writerows(rows)
    return text.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("commas.csv", table()),
        ("semicolons.csv", table(";")),
        ("tabs.tsv", table("\t")),
        ("tabs.csv", table("\t")),
        ("commas.tsv", table()),
        ("crlf.csv", table(ends="\r\n")),
        ("cr.csv", table(ends="\r")),
        ("mark.csv", "\ufeff" + table(";", "\r\n")),
        ("quoted.csv", "\ufeff" + table(quoting=csv.QUOTE_ALL)),
        ("sep.csv", "sep=;\r\n" + table(";", "\r\n")),
        ("blank.CSV", "\n\n" + table() + "\n\n"),
        ("empty_columns.csv", table(";", rows=[[*row, "", ""] for row in [*TABLE, ["", " ", ""]]])),
    ],
)
def test_every_dialect_gives_the_same_questions(tmp_path, name, content):
    rows = rows_of(written(tmp_path, name, content))
    assert [(row["question"], row["answers"]["text"], row["context"]) for row in rows] == [
        ("Who, or\nwhat?", ['the "café"; tea'], 'At the "café"; tea,\tcake'),
        ("Why?", [], "x"),
    ]


CELLS = st.text(alphabet='ab ",;\t\né👩', max_size=12)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5),
    separator=st.sampled_from(",;\t"),
    ends=st.sampled_from(["\n", "\r\n"]),
)
def test_cells_are_those_that_pandas_reads(tmp_path, rows, separator, ends):
    text = table(
        separator,
        ends,
        rows=[["question", "passage"], *[(f"q{question}", context) for question, context in rows]],
    )
    expected = pd.read_csv(
        io.StringIO(text, newline=""), sep=separator, dtype=str, keep_default_na=False
    )
    found = rows_of(written(tmp_path, "faq.csv", text), answers=False)
    assert [row["question"] for row in found] == expected["question"].tolist()
    assert [row["context"] for row in found] == expected["passage"].tolist()


def test_a_passage_longer_than_the_csv_modules_limit_is_read_and_the_limit_left_as_it_was(tmp_path):
    passage = "oxygen " * 100_000 + "tin"
    file = written(tmp_path, "long.csv", f"question,answer,passage\nWhich?,tin,{passage}\n")
    before = csv.field_size_limit(131_072)
    try:
        (row,) = rows_of(file)
        assert csv.field_size_limit() == 131_072
    finally:
        csv.field_size_limit(before)
    assert row["answers"] == {"text": ["tin"], "answer_start": [700_000]}


def test_an_answer_is_found_where_it_occurs_once_and_else_all_lines_are_told(tmp_path):
    answers = ["café", *["Paris"] * 7, "Zürich", "zürich", "CAFÉ", "café "]
    text = "question,answer,passage\n" + "".join(
        f'Where?,{answer},"{CONTEXT}"\n' for answer in answers
    )
    assert refusal(written(tmp_path, "faq.csv", text)) == (
        ", line 3: the answer 'Paris' is not in the passage; copy it from there letter for letter "
        "(also lines 4, 5, 6, 7 and 5 more). "
        "Also line 10: the answer 'Zürich' occurs 2 times, at 24, 58; "
        "write the one meant in a column answer_start."
    )


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            "zürich",
            "the answer 'zürich' is not in the passage in these very characters (capitals, accents",
        ),
        (
            "café ",
            "the answer 'café ' is not in the passage (it is there without the blanks around it);",
        ),
        (" ", "the answer ' ' is blank; copy it from the passage, or empty it"),
        (
            "n",
            "the answer 'n' occurs 4 times, at 22, 46, 53 and on; write the one meant in a column",
        ),
        ("e", "the answer 'e' occurs 3 times, at 2, 18, 37; write"),
    ],
)
def test_an_answer_that_is_not_once_in_its_passage_is_named(tmp_path, answer, says):
    text = f'question,answer,passage\nWhere?,{answer},"{CONTEXT}"\n'
    assert refusal(written(tmp_path, "faq.csv", text)).startswith(f", line 2: {says}")


def test_places_that_overlap_are_two(tmp_path):
    file = written(tmp_path, "faq.csv", "question,answer,passage\nWhich?,aa,baaa\n")
    assert "the answer 'aa' occurs 2 times, at 1, 2; write" in refusal(file)


@pytest.mark.parametrize(
    ("start", "says"),
    [
        ("23", "is not at offset 23, where there is ' Züric'; it occurs at 24, 58: set"),
        ("-1", "the answer 'Zürich' is not at offset -1 (below zero)"),
        ("900", "(the passage has 65 characters)"),
        ("24.5", "answer_start is '24.5'; make it a whole number"),
        ("2_4", "answer_start is '2_4'; make it a whole number"),
        ("٢٤", "answer_start is '٢٤'; make it a whole number"),
        ("nan", "answer_start is 'nan'; make it a whole number"),
        ("9" * 5000, "answer_start is '99999"),
    ],
)
def test_an_offset_that_is_not_right_is_named(tmp_path, start, says):
    text = f'question,answer,answer_start,passage\nWhere?,Zürich,{start},"{CONTEXT}"\n'
    message = refusal(written(tmp_path, "faq.csv", text))
    assert message.startswith(", line 2: ") and says in message


def test_an_offset_without_an_answer_is_named(tmp_path):
    file = written(tmp_path, "faq.csv", "question,answer,answer_start,passage\nWhere?,,0,x\n")
    assert refusal(file).startswith(
        ", line 2: the answer '' is blank; copy it from the passage, or empty it and answer_start"
    )


HEADER = "question,answer,passage\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", ": is empty"),
        ("\ufeff\n\n", ": is empty"),
        (HEADER, ": has a header and no question below it."),
        (HEADER + ",,\n", ": has a header and no question below it."),
        (
            "Who?,Bob,Bob and Ann\n",
            ", line 1: has no column question or passage (found 'Who?', 'Bob', 'Bob and Ann');",
        ),
        ("question,answer\nq,a\n", ", line 1: has no column passage (found 'question', 'answer')"),
        ("passage,answer\nq,a\n", ", line 1: has no column question (found"),
        (
            "question,passage\nq,a\n",
            ", line 1: has no column answer; add it, empty for a question that the passage does",
        ),
        (
            "question,Answer,answer,passage\n",
            ", line 1: 2 columns hold the answer ('Answer', 'answer'); leave one of them.",
        ),
        (
            "\nquestion,answer,passage,context\n",
            ", line 2: 2 columns hold the context ('passage', 'context')",
        ),
        (
            HEADER + "q,a,b,c\n",
            ", line 2: has 4 cells, the header 3; put a text that holds ',' in quotes.",
        ),
        (HEADER + "q,a\n", ", line 2: has 2 cells, the header 3"),
        (HEADER + '\n"q\nr",,x\nq,a\n', ", line 5: has 2 cells, the header 3"),
        (
            HEADER + 'q,a,b\nq,"a,b\nc',
            ", line 3: not CSV (unexpected end of data); close every quote",
        ),
        (HEADER + 'q,"a" b,b\n', ", line 2: not CSV (',' expected after '\"'); close every quote"),
        ("sep=;\nquestion;answer;passage\n;a;a\n", ", line 3: `question` is empty; fill it in."),
        ("id,question,answer,passage\n,q,,x\n", ", line 2: `id` is empty; fill it in."),
        (
            "id,question,answer,passage\n1,q,,x\n1,r,,x\n",
            ", line 3: this id is already in line 2; give every question its own.",
        ),
        (HEADER + "q,\0,b\n", ", line 2: holds a NUL, as UTF-16 and damaged files do"),
        (
            HEADER.encode("utf-16"),
            ": not UTF-8 text (UTF-16); save it as UTF-8 (in Excel, 'CSV UTF-8').",
        ),
        (HEADER.encode("utf-16-le"), ", line 1: holds a NUL"),
        (
            (HEADER + "Where?,café,café").encode("cp1252"),
            ": not UTF-8 text (byte 34, in line 2); save it as UTF-8 (in Excel, 'CSV UTF-8').",
        ),
        (
            b"PK\x03\x04\x14\x00",
            ": is an Excel workbook or another zip archive; save it as 'CSV UTF-8', or unpack it.",
        ),
        ("x" * 300_000, ", line 1: has no column question or passage (found 'xxx"),
    ],
)
def test_a_table_that_is_not_right_is_one_line_with_its_place(tmp_path, content, says):
    assert refusal(written(tmp_path, "faq.csv", content)).startswith(says)


def test_a_table_without_answers_can_be_answered(tmp_path):
    file = written(tmp_path, "faq.csv", "question,passage\nWho?,Bob and Ann\n")
    (row,) = rows_of(file, answers=False)
    assert row == {
        "id": "faq.csv:2",
        "title": "",
        "context": "Bob and Ann",
        "question": "Who?",
        "answers": NONE,
    }
    assert "(`python -m src.qa answer` needs none)" in refusal(file)
    # Answers that are in no passage do not hinder.
    file = written(
        tmp_path, "free.csv", "id,question,answer,passage\n1,Who?,Charles,Bob and Ann\n2,Who?,,\n"
    )
    assert [(row["id"], row["answers"]) for row in rows_of(file, answers=False)] == [
        ("1", NONE),
        ("2", NONE),
    ]
    file = written(
        tmp_path,
        "questions.jsonl",
        jsonl(
            {"question": "Who?", "context": "Bob"},
            {"question": "Why?", "context": "", "answers": 3},
        ),
    )
    assert [row["id"] for row in rows_of(file, answers=False)] == [
        "questions.jsonl:1",
        "questions.jsonl:2",
    ]


# --- both -------------------------------------------------------------------------------------


def test_files_of_all_kinds_are_joined(tmp_path):
    first = written(tmp_path, "a.csv", table())
    second = written(tmp_path, "b.csv", table(";"))
    third = written(tmp_path, "c.jsonl", jsonl(GOOD))
    ids = load_data([first, second, third])["train"]["id"][:]
    assert ids == ["a.csv:2", "a.csv:4", "b.csv:2", "b.csv:4", "h1"]
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(SquadFormatError, match=r"'a\.csv:2' is in .*a\.csv and in .*other.a\.csv"):
        load_data([first, written(other, "a.csv", table())])


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.csv", "a.tsv"])
def test_a_file_that_may_not_be_read_is_one_line(tmp_path, name, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    file = written(tmp_path, name, "x")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert (
        refusal(file) == ": cannot be read (Permission denied); check the path and its permissions."
    )


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz", "a.csv", "a.jsonl"])
def test_a_packed_file_is_one_line(tmp_path, name):
    assert (
        refusal(written(tmp_path, name, b"\x1f\x8b\x08\x00"))
        == ": is packed with gzip; unpack it first."
    )


def test_a_table_under_another_name_says_what_names_are_for(tmp_path):
    assert "let its name say what it is: .json, .jsonl, .csv or .tsv" in refusal(
        written(tmp_path, "faq.txt", table())
    )
    assert "let the file end in .jsonl" in refusal(
        written(tmp_path, "rows.json", jsonl(GOOD, GOOD))
    )


def test_a_folder_with_the_name_of_a_table_is_taken_for_a_folder(tmp_path):
    (tmp_path / "a.csv").mkdir()
    assert "`datasets` cannot read this folder" in refusal(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["questions.csv", "questions.jsonl"])
def test_a_mutated_table_loads_whole_or_gives_one_line(tmp_path, name):
    rows = [GOOD | {"id": f"h{n}", "question": f"Whé{n}, 👩?"} for n in range(4)]
    cells = [
        ["id", "question", "answer", "answer_start", "passage"],
        *[[r["id"], r["question"], "café", "39", CONTEXT] for r in rows],
    ]
    whole = (jsonl(*rows) if name.endswith("l") else table(rows=cells)).encode()
    bits = [
        b"\xff",
        b"\0",
        b'"',
        b"{",
        b",",
        b"\n",
        b"\r",
        b"\\u00",
        b"\xed\xa0\x80",
        b";",
        b"NaN",
        b"\xef\xbb\xbf",
    ]
    outcomes = []
    for seed in range(400):
        rng = random.Random(seed)
        data = whole
        for _ in range(rng.choice([1, 1, 2])):
            at, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
            end = min(end, at + 40)
            data = rng.choice(
                [
                    data[:at],
                    data[:at] + data[end:],
                    data[:at] + rng.choice(bits) + data[at:],
                    data + data[at:],
                ]
            )
        file = written(tmp_path, name, data)
        try:
            loaded = rows_of(file)
        except SquadFormatError as error:
            message = str(error)
            assert (
                message.isprintable() and message.startswith(str(file)) and len(message) < 2_000
            ), f"seed {seed}: {message!r}"
            outcomes.append("refused")
            continue
        outcomes.append("loaded")
        for row in loaded:
            for text, start in zip(
                row["answers"]["text"], row["answers"]["answer_start"], strict=True
            ):
                assert row["context"][start : start + len(text)] == text
        if name.endswith("l"):  # each line with something in it is a question
            assert [
                json.loads(line)["question"]
                for line in data.decode("utf-8-sig").split("\n")
                if line.strip()
            ] == [row["question"] for row in loaded]
        else:
            expected = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
            assert [
                row["question"] for row in expected if any(cell.strip() for cell in row.values())
            ] == [row["question"] for row in loaded]
    assert {"loaded", "refused"} == set(outcomes)
