"""Two thousand broken SQuAD files: each loads whole or gives one line that names the file. Nothing else may happen."""

import copy
import json
import random

import pytest

from src.qa.dataset import FEATURES, SquadFormatError, load_squad

FILES = 2_000
PER_CASE = 100


def answer(context, text):
    return {"text": text, "answer_start": context.index(text)}


def small_files():
    """Valid v1.1 and v2.0 files with the characters that offsets trip over: emoji, combining marks, joined families, NUL."""
    family = "The 👩‍👩‍👧‍👦 family went to the cafe\u0301 in Zu\u0308rich\u2028 on 3 May; e\u0301 is not é.\u0000"
    oxygen = "Oxygen is a chemical element; it has the symbol O and its atomic number is 8."
    turkish = "İstanbul'da 15.840.900 kişi yaşıyor 🏙️."
    v1 = {
        "version": "1.1",
        "data": [
            {
                "title": "Family",
                "paragraphs": [
                    {
                        "context": family,
                        "qas": [
                            {
                                "id": "f1",
                                "question": "Who went to the café? 🙂",
                                "answers": [answer(family, "👩‍👩‍👧‍👦 family"), answer(family, "family")],
                            },
                            {"id": "f2", "question": "  When was it?", "answers": [answer(family, "3 May")]},
                        ],
                    },
                    {"context": turkish, "qas": [{"id": "t1", "question": "Kaç kişi?", "answers": [answer(turkish, "15.840.900")]}]},
                ],
            },
            {
                "title": "Oxygen",
                "paragraphs": [{"context": oxygen, "qas": [{"id": "o1", "question": "Number?", "answers": [answer(oxygen, "8")]}]}],
            },
        ],
    }
    v2 = copy.deepcopy(v1) | {"version": "v2.0"}
    for article in v2["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                qa["is_impossible"] = False
    v2["data"][1]["paragraphs"].append(
        {
            "context": "",
            "qas": [{"id": "n1", "question": "What now?", "answers": [], "is_impossible": True, "plausible_answers": []}],
        }
    )
    return [v1, v2]


SEEDS = small_files()

# Stand-ins that become raw JSON text, since json.dumps would refuse them.
RAW = {
    "@deep@": "[" * 100_000 + "]" * 100_000,
    "@unclosed@": '{"a":' * 50_000,
    "@digits@": "9" * 5_000,
    "@inf@": "1e999",
    "@nan@": "NaN",
    "@minus@": "-Infinity",
    "@lone@": r'"a\ud83db"',
    "@twice@": '{"id": "x", "id": "y"}',
}
VALUES = [
    None,
    True,
    False,
    0,
    1,
    -1,
    3.0,
    10**30,
    -(2**63),
    "",
    " ",
    "\n",
    "\u2028",
    "f1",
    "8",
    "👩",
    [],
    {},
    [[]],
    [None],
    {"text": "8"},
    *RAW,
]


def nodes(tree):
    """Every (container, key) of a JSON tree."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in pairs:
        yield tree, key
        if isinstance(value, (dict, list)):
            yield from nodes(value)


def mutate_tree(rng, tree):
    container, key = rng.choice(list(nodes(tree)))
    value = container[key]
    kind = rng.randrange(7)
    if kind == 0:
        container[key] = copy.deepcopy(rng.choice(VALUES))
    elif kind == 1:
        del container[key]
    elif kind == 2 and isinstance(container, list):
        container.insert(rng.randrange(len(container) + 1), copy.deepcopy(value))
    elif kind == 3 and isinstance(value, str) and value:
        at = rng.randrange(len(value))
        container[key] = value[:at] + rng.choice(["", "x", "🙂", "\u0301", value[at].swapcase() * 2]) + value[at + 1 :]
    elif kind == 4 and type(value) is int:
        container[key] = value + rng.choice([-1, 1, 10**9])
    elif kind == 5:
        other, other_key = rng.choice(list(nodes(tree)))
        container[key] = copy.deepcopy(other[other_key])
    elif isinstance(container, dict):
        # Fields that mean nothing to us must not disturb.
        container[rng.choice(["note", "is_impossible", "Title", "answers "])] = rng.choice([None, True, "x", 1])


def mutate_bytes(rng, raw):
    at = rng.randrange(len(raw))
    kind = rng.randrange(6)
    if kind == 0:
        return raw[:at] + bytes([raw[at] ^ (1 << rng.randrange(8))]) + raw[at + 1 :]
    if kind == 1:
        return raw[:at]
    if kind == 2:
        return raw[:at] + raw[at + rng.randrange(1, 20) :]
    if kind == 3:
        return raw[:at] + rng.choice([b"\xff", b"\x00", b'"', b"{", b"]", b",", b"\\u00", b"\xed\xa0\x80", b"\n"]) + raw[at:]
    if kind == 4:
        end = rng.randrange(at, len(raw)) + 1
        return raw[:end] + raw[at:end] + raw[end:]
    return rng.choice([b"\xef\xbb\xbf" + raw, raw.decode(errors="replace").encode("utf-16"), b"", raw + raw, raw + b"\n \n"])


def mutated_file(seed):
    rng = random.Random(seed)
    tree = copy.deepcopy(rng.choice(SEEDS))
    by_bytes = rng.random() < 0.4
    if not by_bytes:
        for _ in range(rng.choice([1, 1, 2, 4])):
            mutate_tree(rng, tree)
            if not list(nodes(tree)):
                break
    text = json.dumps(tree, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 1]))
    for stand_in, raw in RAW.items():
        text = text.replace(f'"{stand_in}"', raw)
    data = text.encode()
    if by_bytes:
        for _ in range(rng.choice([1, 1, 3])):
            data = mutate_bytes(rng, data) or b"\n"
    return data


def questions_of(data):
    """All questions of a file by the plainest reading there is."""
    return [
        {
            "id": str(qa["id"]),
            "title": str(article["title"]) if article.get("title") is not None else "",
            "context": paragraph["context"],
            "question": qa["question"],
            "answers": {
                "text": [answer["text"] for answer in qa.get("answers") or []],
                "answer_start": [answer["answer_start"] for answer in qa.get("answers") or []],
            },
        }
        for article in json.loads(data.decode("utf-8-sig"))["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]


def load_or_error(file, data):
    """ "loaded" or "refused"; anything else fails the test."""
    file.write_bytes(data)
    try:
        splits = load_squad(file)
    except SquadFormatError as error:
        message = str(error)
        assert message.isprintable() and len(message) < 2_000, f"not one short line: {message!r}"
        assert message.startswith(str(file)), f"does not start with the file: {message!r}"
        return "refused"
    assert list(splits) == ["train"]
    assert splits["train"].features == FEATURES
    rows = splits["train"].to_list()
    assert rows == questions_of(data)
    for row in rows:
        for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True):
            assert row["context"][start : start + len(text)] == text
    return "loaded"


@pytest.mark.parametrize("case", range(FILES // PER_CASE))
def test_a_mutated_file_loads_whole_or_gives_one_line(case, tmp_path):
    outcomes = []
    for seed in range(case * PER_CASE, (case + 1) * PER_CASE):
        try:
            outcomes.append(load_or_error(tmp_path / "questions.json", mutated_file(seed)))
        except BaseException as error:
            error.add_note(f"mutated_file({seed})")
            raise
    # Files that all load, or all fail, would test nothing.
    assert {"loaded", "refused"} == set(outcomes)


@pytest.mark.parametrize("tree", SEEDS, ids=["v1.1", "v2.0"])
def test_the_unbroken_files_load(tree, tmp_path):
    assert load_or_error(tmp_path / "questions.json", json.dumps(tree).encode()) == "loaded"


@pytest.mark.parametrize("stand_in", RAW)
@pytest.mark.parametrize("place", ["id", "question", "answers", "context"])
def test_values_that_json_writers_refuse_give_one_line(stand_in, place, tmp_path):
    tree = copy.deepcopy(SEEDS[1])
    paragraph = tree["data"][0]["paragraphs"][0]
    (paragraph if place == "context" else paragraph["qas"][0])[place] = stand_in
    text = json.dumps(tree).replace(f'"{stand_in}"', RAW[stand_in])
    assert load_or_error(tmp_path / "questions.json", text.encode()) == "refused"
