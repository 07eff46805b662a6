"""Question files: what is wrong is named, and the shipped ones keep what the course promises."""

import urllib.parse
from collections import Counter

import pytest
import yaml

from src import assets
from src.qa import course_set
from src.qa.course_set import (
    CourseSetError,
    build_course_set,
    course_topics,
    find_answer,
    question_id,
)
from src.qa.dataset import load_squad

PASSAGES = {
    "Oxygen": "Oxygen has the symbol O, and its atomic number is 8. Oxygen was found in 1774. "
    "It is worth 1.50 a litre; no cafe\u0301 sells it.",
    "Lake": "The lake is 30 metres deep.",
}

# The articles on which weights are chosen and scored; no question of ours may be about one of them.
SCORED_ARTICLES = """
    Unemployment_in_the_United_States Relief Marxism%E2%80%93Leninism Morality Rotterdam Lens
    Manipur
    Political_divisions_of_the_United_States Neuroscience Oxford The_Sunday_Times Subroutine
    Saxophone Postmodernism Structural_engineering Lipid
"""


@pytest.fixture
def build(tmp_path):
    """Build a course set from the text of one question file."""

    def build_from(text):
        file = tmp_path / "chemistry.yaml"
        file.write_text(text, encoding="utf-8")
        return build_course_set([file], passages=PASSAGES)

    return build_from


def article(*questions, title="Oxygen", split="train"):
    return f"- title: {title}\n  split: {split}\n  questions:\n" + "".join(
        f"    - {question}\n" for question in questions
    )


# --- building ---------------------------------------------------------------------------------


def test_a_file_becomes_squad_v2_json(build):
    built = build(
        article("{q: '  What is  its atomic number?', a: 8}", "{q: 'Who found it?', near: O}")
        + article("{q: 'How deep?', a: [30 metres, 30]}", title="Lake", split="test")
    )
    assert {split: len(squad["data"]) for split, squad in built.items()} == {
        "train": 1,
        "validation": 0,
        "test": 1,
    }
    assert all(squad["version"] == "v2.0" for squad in built.values())
    assert built["train"]["data"][0] == {
        "title": "Oxygen",
        "paragraphs": [
            {
                "context": PASSAGES["Oxygen"],
                "qas": [
                    {
                        "id": question_id("Oxygen", "What is its atomic number?"),
                        "question": "What is its atomic number?",
                        "is_impossible": False,
                        "answers": [{"text": "8", "answer_start": 50}],
                    },
                    {
                        "id": question_id("Oxygen", "Who found it?"),
                        "question": "Who found it?",
                        "is_impossible": True,
                        "answers": [],
                        "plausible_answers": [{"text": "O", "answer_start": 22}],
                    },
                ],
            }
        ],
    }
    assert [a["text"] for a in built["test"]["data"][0]["paragraphs"][0]["qas"][0]["answers"]] == [
        "30 metres",
        "30",
    ]


def test_answers_stay_the_text_they_were_written_as(build):
    built = build(
        article("{q: 'How much is a litre?', a: 1.50}", "{q: 'What does a cafe sell?', a: no}")
    )
    texts = [qa["answers"][0]["text"] for qa in built["train"]["data"][0]["paragraphs"][0]["qas"]]
    assert texts == ["1.50", "no"]


def test_a_phrase_says_which_of_several_is_meant():
    assert find_answer(PASSAGES["Oxygen"], "Oxygen", "Oxygen was found") == 53
    with pytest.raises(ValueError, match="occurs 2 times"):
        find_answer(PASSAGES["Oxygen"], "Oxygen")
    with pytest.raises(ValueError, match="phrase 'Oxygen' occurs 2 times"):
        find_answer(PASSAGES["Oxygen"], "Oxygen", "Oxygen")
    with pytest.raises(ValueError, match="phrase 'aa' occurs 2 times"):
        find_answer("aaa", "a", "aa")


@pytest.mark.parametrize("answer", ["oxygen", "xygen", "177", "cafe", "gold", "", " "])
def test_an_answer_is_whole_words_of_the_passage(answer):
    with pytest.raises(ValueError):
        find_answer(PASSAGES["Oxygen"], answer)


GOOD = "{q: 'What is its atomic number?', a: 8}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected a list"),
        ("- title: [", "not readable as YAML"),
        ("\t- x", "not readable as YAML"),
        ("title: Oxygen", "expected a list"),
        ("- title: Oxygen\n  questions: []", "article 1 needs the fields"),
        ("- title: [Oxygen]\n  split: train\n  questions: []", "article 1 needs a title in words"),
        (article(GOOD, split="dev"), "'Oxygen': split is 'dev'"),
        (article(GOOD, title="Gold"), "no passage is called 'Gold'"),
        (article(GOOD) + article(GOOD), "the title 'Oxygen' is already in"),
        ("- title: Oxygen\n  split: train\n  questions: []", "'Oxygen': has no questions"),
        (
            "- title: Oxygen\n  title: Lake\n  split: train\n  questions: []",
            "a field is given twice",
        ),
        (article(GOOD, "What?"), "'Oxygen', question 2: needs q, and a or near"),
        (article("{a: 8}"), "'Oxygen', question 1: needs q"),
        (
            article("{q: 'What?', a: 8, answer: 8}"),
            "'Oxygen', question 1: needs q, and a or near; `in` and `alone` are optional; no other",
        ),
        (article("{q: 'What?'}"), "'Oxygen', question 1: give `a` when"),
        (article("{q: 'What?', a: 8, near: O}"), "'Oxygen', question 1: give `a` when"),
        (article("{q: 'What?', a: 8, a: O}"), "a field is given twice"),
        (article("{q: [What?], a: 8}"), "'Oxygen', question 1: `q` is not a text"),
        (article("{q: 'What?', a: {b: 8}}"), "'Oxygen', question 1: `a` is not a text or a list"),
        (article("{q: 'What?', a: []}"), "'Oxygen', question 1: `a` is not a text or a list"),
        (article("{q: 'What?', a: 8, in: [x]}"), "'Oxygen', question 1: `in` is not a text"),
        (
            article("{q: 'Say it', a: 8}"),
            "'Oxygen', question 1: 'Say it' does not end with a question mark",
        ),
        (
            article(GOOD, GOOD.replace("What", "WHAT")),
            "'Oxygen', question 2: 'WHAT is its atomic number?' is asked twice",
        ),
        (
            article("{q: 'What?', a: nine}"),
            "'Oxygen', question 1: the answer 'nine' is not in the passage",
        ),
        (
            article("{q: 'What?', near: nine}"),
            "'Oxygen', question 1: the answer 'nine' is not in the passage",
        ),
        (
            article("{q: 'What?', a: Oxygen}"),
            "'Oxygen', question 1: the answer 'Oxygen' occurs 2 times; add `in:`",
        ),
        (
            article("{q: 'What?', a: Oxygen, in: Oxygen}"),
            "'Oxygen', question 1: the `in` phrase 'Oxygen' occurs 2 times",
        ),
        (
            article("{q: 'What?', a: 8, in: Oxygen was}"),
            "'Oxygen', question 1: the answer '8' is not in the `in` phrase",
        ),
    ],
)
def test_what_cannot_be_built_is_one_line_with_file_title_and_question(build, text, says):
    with pytest.raises(CourseSetError) as caught:
        build(text)
    message = str(caught.value)
    assert "chemistry.yaml" in message
    assert says in message
    assert len(message.splitlines()) == 1


def test_files_that_cannot_be_read_are_named(tmp_path, monkeypatch):
    with pytest.raises(CourseSetError, match=r"none\.yaml: cannot be read"):
        build_course_set([tmp_path / "none.yaml"], passages=PASSAGES)
    (tmp_path / "latin.yaml").write_bytes(b"- title: \xe9")
    with pytest.raises(CourseSetError, match=r"latin\.yaml: not readable as YAML in UTF-8"):
        build_course_set([tmp_path / "latin.yaml"], passages=PASSAGES)
    monkeypatch.setattr(course_set, "FOLDER", tmp_path / "empty")
    with pytest.raises(CourseSetError, match="holds no question files"):
        build_course_set(passages=PASSAGES)


# --- the questions we ship --------------------------------------------------------------------


@pytest.fixture(scope="module")
def course():
    return load_squad("course")


def test_the_set_is_as_large_as_promised(course):
    questions = sum(len(part) for part in course.values())
    unanswerable = {
        split: sum(not answers["text"] for answers in part["answers"])
        for split, part in course.items()
    }
    assert list(course) == ["train", "validation", "test"]
    assert questions >= 2000
    assert len({context for part in course.values() for context in part["context"]}) >= 500
    assert 0.3 <= sum(unanswerable.values()) / questions <= 0.42
    for split in ("validation", "test"):
        assert len(course[split]) >= 150
        assert unanswerable[split] >= 50


def test_enough_questions_of_the_test_part_make_sense_without_their_passage(course):
    alone = course_set.open_domain_ids()
    asked = {
        split: [i for i, qid in enumerate(part["id"]) if qid in alone]
        for split, part in course.items()
    }
    assert sum(map(len, asked.values())) == len(alone) >= 300, (
        "every mark belongs to a question of the set"
    )
    assert len(asked["test"]) >= 150
    for split, part in course.items():
        assert all(part[i]["answers"]["text"] for i in asked[split])


def test_a_mark_leads_to_its_question_and_is_only_where_there_is_an_answer(build, tmp_path):
    build(
        article(
            "{q: '  What is  its atomic number?', a: 8, alone: yes}",
            "{q: 'When was it found?', a: 1774}",
        )
    )
    assert course_set.open_domain_ids([tmp_path / "chemistry.yaml"]) == {
        question_id("Oxygen", "What is its atomic number?")
    }
    for wrong in (
        "{q: 'Who found it?', near: O, alone: yes}",
        "{q: 'When?', a: 1774, alone: maybe}",
    ):
        with pytest.raises(
            CourseSetError, match=r"question 1: `alone` marks .* write `alone: yes` or leave it out"
        ):
            build(article(wrong))


def test_no_article_or_question_id_is_in_two_splits(course):
    titles = Counter(title for part in course.values() for title in set(part["title"]))
    ids = Counter(qid for part in course.values() for qid in part["id"])
    assert [title for title, splits in titles.items() if splits > 1] == []
    assert [qid for qid, times in ids.items() if times > 1] == []


def test_no_question_is_on_an_article_that_weights_are_scored_on(course):
    scored = {
        urllib.parse.unquote(title).replace("_", " ").casefold()
        for title in SCORED_ARTICLES.split()
    }
    assert len(scored) == 16
    assert [
        title for part in course.values() for title in part["title"] if title.casefold() in scored
    ] == []


def test_the_files_mean_the_same_to_the_parser_without_c():
    # The two disagree on a few forms (`{q: 'What?', a: 8}`), and not every machine has the C one.
    for file in course_set.question_files():
        assert yaml.load(
            file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader
        ) == course_set._read_articles(file)


def test_the_example_that_writers_read_builds(tmp_path):
    readme = (course_set.FOLDER / "README.md").read_text(encoding="utf-8")
    (tmp_path / "example.yaml").write_text(
        readme.split("```yaml\n")[1].split("```")[0], encoding="utf-8"
    )
    built = build_course_set([tmp_path / "example.yaml"], passages=course_set.load_passage_texts())
    assert len(built["validation"]["data"][0]["paragraphs"][0]["qas"]) == 4


def test_all_topics_of_the_encyclopedia_have_questions(course):
    def spelled(topic):
        return topic.lower().replace("_", " ")

    topics = course_topics()
    asked = {topics[title] for part in course.values() for title in part["title"]}
    assert {spelled(passage.topic) for passage in assets.load_passages().values()} - {
        "uncategorized"
    } == asked


def test_questions_are_asked_as_people_ask_them(course):
    questions = [question for part in course.values() for question in part["question"]]
    words = [question.lower().split() for question in questions]
    share = {
        word: sum(word in question for question in words) / len(words)
        for word in ("what", "which", "who", "when", "where", "why", "how")
    }
    assert max(share.values()) < 0.5
    assert min(share.values()) > 0.01
    assert all(3 <= len(question) <= 30 for question in words)


def test_answers_are_short_spans(course):
    texts = [
        text for part in course.values() for answers in part["answers"] for text in answers["text"]
    ]
    assert all(text == text.strip() for text in texts)
    assert max(len(text.split()) for text in texts) <= 15
    assert sum(len(text.split()) for text in texts) / len(texts) < 4
