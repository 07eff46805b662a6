"""Question files: what is wrong is named, and the shipped ones keep what the course promises."""

import urllib.parse
from collections import Counter

import pytest
import yaml

from src import assets
from src.qa import course_set
from src.qa.course_set import CourseSetError, build_course_set, find_answer, question_id
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
    Apollo_program Black_Death Construction European_Union_law French_and_Indian_War Geology
    Islamism Martin_Luther Newcastle_upon_Tyne Pharmacy Prime_number Private_school
    Southern_California Victoria_and_Albert_Museum
"""


@pytest.fixture
def build(tmp_path):
    """Build a course set from the text of one question file."""

    def build_from(text):
        file = tmp_path / "chemistry.yaml"
        file.write_text(text, encoding="utf-8")
        return build_course_set([file], PASSAGES)

    return build_from


def article(*questions, title="Oxygen", split="train"):
    lines = "".join(f"    - {question}\n" for question in questions)
    return f"- title: {title}\n  split: {split}\n  questions:\n{lines}"


# --- building ---------------------------------------------------------------------------------


def test_a_file_becomes_rows(build):
    built = build(
        article("{q: '  What is  its atomic number?', a: 8}", "{q: 'Who found it?', near: O}")
        + article("{q: 'How deep?', a: [30 metres, 30]}", title="Lake", split="test")
    )
    assert list(built) == ["train", "test"]
    answers = {
        "What is its atomic number?": {"text": ["8"], "answer_start": [50]},
        "Who found it?": {"text": [], "answer_start": []},
    }
    shared = {"title": "Oxygen", "context": PASSAGES["Oxygen"]}
    assert built["train"].to_list() == [
        shared | {"id": question_id("Oxygen", asked), "question": asked, "answers": found}
        for asked, found in answers.items()
    ]
    assert built["test"]["answers"][0]["text"] == ["30 metres", "30"]


def test_answers_stay_the_text_they_were_written_as(build):
    built = build(article("{q: 'How much?', a: 1.50}", "{q: 'What does a cafe sell?', a: no}"))
    assert [answers["text"] for answers in built["train"]["answers"]] == [["1.50"], ["no"]]


def test_a_phrase_says_which_of_several_is_meant():
    assert find_answer(PASSAGES["Oxygen"], "Oxygen", "Oxygen was found") == 53
    with pytest.raises(ValueError, match="phrase 'aa' occurs 2 times"):
        find_answer("aaa", "a", "aa")


@pytest.mark.parametrize("answer", ["oxygen", "xygen", "177", "cafe", "gold", "", " "])
def test_an_answer_is_whole_words_of_the_passage(answer):
    with pytest.raises(ValueError):
        find_answer(PASSAGES["Oxygen"], answer)


GOOD = "{q: 'What is its atomic number?', a: 8}"
FORM = "needs q, and either a or near"
MARK = "question 1: `alone` marks a question with an answer that needs no passage; write `alone: y"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected a list"),
        ("title: Oxygen", "expected a list"),
        ("- title: [", "not readable as YAML"),
        ("- title: Oxygen\n  questions: []", "article 1 needs a title, a split and a list"),
        (article(GOOD, title="[Oxygen]"), "article 1 needs a title, a split and a list"),
        (article(GOOD, split="dev"), "'Oxygen': split is 'dev'; use one of train, validation"),
        (article(GOOD, title="Gold"), "no passage is called 'Gold'"),
        (article(GOOD) + article(GOOD), "the title 'Oxygen' is already in"),
        (article("").replace("\n    - ", " []"), "'Oxygen': has no questions"),
        (article(GOOD, title="Oxygen\n  title: Lake"), "a field is given twice"),
        (article("{q: 'What?', a: 8, a: O}"), "a field is given twice"),
        (article(GOOD, "What?"), f"'Oxygen', question 2: {FORM}"),
        (article("{q: 'What?', a: 8, answer: 8}"), f"question 1: {FORM}"),
        (article("{q: 'What?', a: 8, near: O}"), f"question 1: {FORM}"),
        (article("{q: [What?], a: 8}"), "question 1: `q` is not a text; put quotes around it"),
        (article("{q: 'What?', a: {b: 8}}"), "question 1: `a` is not a text or a list of texts"),
        (article("{q: 'What?', a: 8, in: [x]}"), "question 1: `in` is not a text"),
        (article("{q: 'Say it', a: 8}"), "1: 'Say it' does not end with a question mark; add it"),
        (
            article(GOOD, GOOD.replace("What", "WHAT")),
            "'Oxygen', question 2: 'WHAT is its atomic number?' is asked twice",
        ),
        (article("{q: 'What?', near: nine}"), "1: the answer 'nine' is not in the passage as who"),
        (article("{q: 'What?', a: Oxygen}"), "1: the answer 'Oxygen' occurs 2 times; add `in:`"),
        (article("{q: 'What?', a: 8, in: Oxygen}"), "1: the `in` phrase 'Oxygen' occurs 2 times"),
        (article("{q: 'What?', a: 8, in: Oxygen was}"), "the answer '8' is not in the `in` phrase"),
        (article("{q: 'Who found it?', near: O, alone: yes}"), MARK),
        (article("{q: 'When?', a: 1774, alone: maybe}"), MARK),
    ],
)
def test_what_cannot_be_built_is_one_line_with_file_title_and_question(build, text, says):
    with pytest.raises(CourseSetError) as caught:
        build(text)
    message = str(caught.value)
    assert "chemistry.yaml" in message and says in message
    assert len(message.splitlines()) == 1


def test_files_that_cannot_be_read_are_named(tmp_path, monkeypatch):
    with pytest.raises(CourseSetError, match=r"none\.yaml: cannot be read"):
        build_course_set([tmp_path / "none.yaml"], PASSAGES)
    (tmp_path / "latin.yaml").write_bytes(b"- title: \xe9")
    with pytest.raises(CourseSetError, match=r"latin\.yaml: not readable as YAML in UTF-8"):
        build_course_set([tmp_path / "latin.yaml"], PASSAGES)
    monkeypatch.setattr(course_set, "FOLDER", tmp_path / "empty")
    with pytest.raises(CourseSetError, match="holds no question files"):
        build_course_set()


# --- the questions we ship --------------------------------------------------------------------


@pytest.fixture(scope="module")
def course():
    return load_squad("course")


def test_the_set_is_as_large_as_promised(course):
    assert list(course) == ["train", "validation", "test"]
    unanswerable = {
        split: sum(not answers["text"] for answers in part["answers"])
        for split, part in course.items()
    }
    questions = sum(len(part) for part in course.values())
    assert questions >= 2000
    assert len({context for part in course.values() for context in part["context"]}) >= 500
    assert 0.3 <= sum(unanswerable.values()) / questions <= 0.42
    for split in ("validation", "test"):
        assert len(course[split]) >= 150 and unanswerable[split] >= 50


def test_enough_questions_make_sense_without_their_passage_and_have_an_answer(course):
    alone = {split: course_set.open_domain_questions(part) for split, part in course.items()}
    assert sum(map(len, alone.values())) >= 300 and len(alone["test"]) >= 150
    assert all(answers["text"] for part in alone.values() for answers in part["answers"])


def test_a_mark_leads_to_its_question(build, tmp_path):
    first = "{q: '  What is  its atomic number?', a: 8, alone: yes}"
    rows = build(article(first, "{q: 'When was it found?', a: 1774}"))["train"]
    found = course_set.open_domain_questions(rows, [tmp_path / "chemistry.yaml"])
    assert found["question"][:] == ["What is its atomic number?"]


def test_no_article_or_question_id_is_in_two_splits(course):
    for column in ("title", "id"):
        splits = Counter(name for part in course.values() for name in set(part[column]))
        assert [name for name, count in splits.items() if count > 1] == []


def test_no_question_is_on_an_article_that_weights_are_scored_on(course):
    names = SCORED_ARTICLES.split()
    scored = {urllib.parse.unquote(name).replace("_", " ").casefold() for name in names}
    titles = {title.casefold() for part in course.values() for title in part["title"]}
    assert len(scored) == 30 and not scored & titles


def test_the_files_mean_the_same_to_the_parser_without_c():
    # The two disagree on a few forms (`{q: 'What?', a: 8}`), and not every machine has the C one.
    for file in course_set.question_files():
        text = file.read_text(encoding="utf-8")
        assert yaml.load(text, yaml.BaseLoader) == yaml.load(text, course_set.YamlLoader)


def test_the_example_that_writers_read_builds(tmp_path):
    readme = (course_set.FOLDER / "README.md").read_text(encoding="utf-8")
    example = readme.split("```yaml\n")[1].split("```")[0]
    (tmp_path / "example.yaml").write_text(example, encoding="utf-8")
    built = build_course_set([tmp_path / "example.yaml"])
    assert len(built["validation"]) == 4


def test_all_topics_of_the_encyclopedia_have_questions(course):
    topics = course_set.course_topics()
    asked = {topics[title] for part in course.values() for title in part["title"]}
    there = {p.topic.lower().replace("_", " ") for p in assets.load_passages().values()}
    assert there - {"uncategorized"} == asked


def test_questions_and_answers_are_those_of_people(course):
    questions = [question for part in course.values() for question in part["question"]]
    words = [question.lower().split() for question in questions]
    asked = ("what", "which", "who", "when", "where", "why", "how")
    shares = [sum(word in question for question in words) / len(words) for word in asked]
    assert min(shares) > 0.01 and max(shares) < 0.5
    assert all(3 <= len(question) <= 30 for question in words)
    answers = [a for part in course.values() for a in part["answers"]]
    lengths = [len(text.split()) for a in answers for text in a["text"]]
    assert all(text == text.strip() for a in answers for text in a["text"])
    assert max(lengths) <= 15 and sum(lengths) / len(lengths) < 4
