"""The writing assistant shows probabilities without colour too; its controls write and take."""

import html
import re
from html.parser import HTMLParser

from src.language_models import Continuation, three_continuations
from src.ngrams import NgramModel
from src.plots.writing_assistant import LEGEND, WritingAssistant, show_continuations
from src.subwords import BytePairTokenizer
from src.teaching.boxes import NOTE

TEXTS = [
    "we are having a good day",
    "we are having a party",
    "we are having tea",
    "they are having a day",
    "a day is a day",
    "we sing",
]
TOKENIZER = BytePairTokenizer.train(TEXTS * 5, 300)
ROWS = TOKENIZER.encode_all(TEXTS)
MODELS = {"pairs": NgramModel(TOKENIZER, ROWS, 2), "threes": NgramModel(TOKENIZER, ROWS, 3)}
WRITTEN = Continuation(
    "We ask",
    " <b>&\n end",
    (" <b>", "&", "\n", " end"),
    (1, 2, 3, 4),
    (0.5, 0.001, 1.0, 0.249),
    True,
)


class Ruby(HTMLParser):
    """Gathers the text of a page, and that inside <rt>."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.numbers, self.inside = [], [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.inside = tag == "rt"

    def handle_data(self, data):
        if self.inside:
            self.numbers.append(data)
        self.inside = False


def test_every_token_carries_its_percents_as_text():
    panel = show_continuations([WRITTEN])
    assert Ruby(panel.html).numbers == ["50", "<1", "100", "25"]
    assert panel.text.splitlines() == [
        "We ask ...",
        "  1. <b> (50) & (<1) ↵ (100) end (25) ■",
        LEGEND,
    ]


def test_a_likelier_token_has_a_stronger_tint():
    shares = [
        float(share)
        for share in re.findall(r"rgba\(0,114,178,([\d.]+)\)", show_continuations([WRITTEN]).html)
    ]
    assert [sorted(shares).index(share) for share in shares] == [2, 0, 3, 1]
    assert min(shares) > 0 and max(shares) <= 0.6, "text stays readable on the strongest"


def test_what_a_model_writes_is_text_and_never_markup():
    page = Ruby(show_continuations([WRITTEN], model="<i>").html)
    assert "b" not in page.tags and "i" not in page.tags and "script" not in page.tags
    assert html.escape(" <b>") in show_continuations([WRITTEN]).html


def test_the_example_is_the_first_models_three_continuations():
    panel = WritingAssistant(MODELS, "we are", n=5).example()
    assert (
        panel.text
        == show_continuations(three_continuations(MODELS["pairs"], "we are", 5, 0), "pairs").text
    )
    assert panel.html.count("<li") == 3


def parts(box):
    """The controls by what they are: line, model, others, says, and the three rows."""
    line, (model, others), says, *rows = (
        box.children[0],
        box.children[1].children,
        box.children[2],
        *box.children[3:],
    )
    return line, model, others, says, rows


def numbers(rows):
    return [Ruby(row.children[1].value).numbers for row in rows]


def test_changing_the_line_writes_three_continuations_of_it():
    line, _, _, says, rows = parts(WritingAssistant(MODELS, "we are", n=4).controls())
    assert [row.layout.visibility for row in rows] == ["hidden"] * 3
    line.value = "they are"
    assert [row.layout.visibility for row in rows] == ["visible"] * 3
    expected = three_continuations(MODELS["pairs"], "they are", 4, 0)
    assert [len(found) for found in numbers(rows)] == [len(c.tokens) for c in expected]
    assert says.value == LEGEND


def test_three_others_are_drawn_with_another_seed_and_another_model_writes_otherwise():
    line, model, others, _, rows = parts(WritingAssistant(MODELS, "we are", n=6).controls())
    line.value = "we are having"
    first = [row.children[1].value for row in rows]
    others.click()
    assert [row.children[1].value for row in rows] != first
    others_by_pairs = numbers(rows)
    model.value = "threes"
    assert numbers(rows) != others_by_pairs


def test_a_continuation_that_is_taken_becomes_part_of_the_line_and_is_continued():
    line, _, _, _, rows = parts(WritingAssistant(MODELS, "we are", n=3).controls())
    line.value = "they are  "
    taken = three_continuations(MODELS["pairs"], "they are", 3, 0)[1]
    rows[1].children[0].click()
    assert line.value == "they are" + taken.text
    assert rows[0].layout.visibility == "visible"


def test_in_a_notebook_the_example_is_stored_and_the_controls_leave_one_sentence(monkeypatch):
    shown = []
    monkeypatch.setattr("src.teaching.boxes.display", lambda bundle, raw: shown.append(bundle))
    monkeypatch.setattr("src.teaching.panel.display", shown.append)
    WritingAssistant(MODELS, "we are", n=3)._ipython_display_()
    example, controls = shown
    assert "<li" in example.html
    assert "application/vnd.jupyter.widget-view+json" in controls
    assert controls["text/plain"] == NOTE


def test_without_ipywidgets_there_is_the_example(monkeypatch):
    shown = []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("src.teaching.panel.display", shown.append)
    WritingAssistant(MODELS, "we are", n=3)._ipython_display_()
    assert len(shown) == 1
