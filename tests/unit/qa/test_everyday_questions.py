"""data/everyday_questions.yaml: as many as promised, answered by the introductions they name."""

from collections import Counter

import pytest
import yaml

from src import runtime
from src.qa.documents import wikipedia
from src.qa.metrics import normalize_answer
from tools.reader_data import SHARED, scored_sets

TOPICS = yaml.safe_load((runtime.COURSE / "data" / "everyday_questions.yaml").read_text("utf-8"))
QUESTIONS = [question for topic in TOPICS for question in topic["questions"]]


def test_there_are_as_many_as_promised_and_none_twice():
    counts, without = Counter(), Counter()
    for topic in TOPICS:
        counts[topic["split"]] += len(topic["questions"])
        without[topic["split"]] += sum("a" not in question for question in topic["questions"])
    assert counts == {"development": 100, "test": 200}
    assert without == {"development": 25, "test": 50}
    assert len({topic["topic"] for topic in TOPICS}) == len(TOPICS) == 12
    asked = [normalize_answer(question["q"]) for question in QUESTIONS]
    assert len(set(asked)) == len(asked)


def test_the_introduction_that_is_named_has_the_answer():
    texts = {document.title: document.text for document in wikipedia()}
    for question in QUESTIONS:
        text = f" {normalize_answer(question['title'] + '. ' + texts[question['title']])} "
        answers = question.get("a", [""])
        assert any(f" {normalize_answer(answer)} " in text or not answer for answer in answers)


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is not here")
def test_none_is_on_a_title_that_is_scored_elsewhere():
    titles = {question["title"] for question in QUESTIONS}
    for part in ("development", "test"):
        for rows in scored_sets(part).values():
            assert not titles & {title.replace("_", " ") for title in rows["title"]}
