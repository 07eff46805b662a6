"""Pages that compute: in a browser, they give what Python gives, and ask no other computer."""

from __future__ import annotations

import itertools
import json
import random
import shutil
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from src import assets
from src.qa import QuestionAnswerer, load_squad
from tests.end_to_end.pages import FAINT, FITS, findings, walk_the_tour
from tools import explorers, page_models

ODD = (
    "Ünïcödé naïve CAFÉ e\u0301 o\u0308 ǅ İstanbul ΣΊΣΥΦΟΣ ﬁne Straße ½ ① Ⅷ",
    "日本語の文、한국어 문장. 汉字漢字 ภาษาไทย हिन्दी में \u200d\u200c العربية עברית",
    "🙂👩‍👩‍👧‍👦🏳️‍🌈 a\u0000b\ufffdc\tnew\r\nline\u2028sep\u00a0nbsp\u200bzero\u00adsoft\ufeffbom",
    "[CLS] said [SEP] and [MASK]ed [UNK]ind [PAD] [cls] [sep] [[SEP]]",
    "x" * 120
    + " "
    + "supercalifragilistic" * 6
    + " $1,000.50 + 5% ~ `a|b` ^ <i> «q» ‘s’ — … ¿no? ¡sí!",
    "\U0001d504\U0001d505 \U00020000\U0002a6d6 \U000e0001 \ue000 \u0e4d \u094d \u1ab0 \ua670",
    "",
    " \t\n ",
)
ALPHABETS = (
    (0x20, 0x7F),
    (0xA0, 0x250),
    (0x300, 0x370),
    (0x370, 0x600),
    (0x900, 0xE80),
    (0x1E00, 0x2000),
    (0x2000, 0x2C00),
    (0x3000, 0x3400),
    (0x4E00, 0x4F00),
    (0xAC00, 0xAD00),
    (0x1F300, 0x1FA00),
    (0x1D400, 0x1D800),
)
HOSTILE = "<img src=x onerror='window.hacked=1'><script>window.hacked=2</script> \"&amp;"


# Tokens of texts with their places: those in UTF-16 units become characters, as Python counts.
PLACES = """%s.map((text) => {
  const at = [0];
  for (const character of text) {
    const before = at[at.length - 1];
    for (let i = 1; i <= character.length; i++) at.push(before + (i === character.length));
  }
  return T.encode(text).map(({id, start, end}) => [id, at[start], at[end]]);
})"""
ANSWER = """Explorers.helper("reader").then((helper) => {
  const {scaling, max_length: maxLength, doc_stride: docStride} = Explorers.about.reader;
  return helper.do("read", {name: "reader", ...%s, scaling, maxLength, docStride});
}).then(({answer}) => answer)"""
HEADS = """Explorers.helper("heads")
  .then((helper) => helper.do("heads", {name: "heads", sentence: %s, longest: 64}))
  .then((made) => [made.pieces, ...[made.shares, made.queries, made.keys].map((all) => [...all])])
"""
# What links keep of each view.
IN_LINKS = {"reader": "q p t away", "attention": "s at step hide", "words": "w walk eq"}
IN_LINKS |= {"language": "b t k p n x by", "ask": "q t m"}
READY = "document.querySelector('.rest:not([hidden])') !== null"
BUSY = "document.querySelector('[aria-busy=true]') !== null"
FIELD = "document.querySelector('input[type=text]')"
SELECTED = f"{FIELD}.selectionEnd - {FIELD}.selectionStart === {FIELD}.value.length"
# Whether a key led to a new place, whether that is a field, its HTML, and that of what is left.
STOP = """(() => {
  const here = document.activeElement, stops = (window.stops ??= []), all = "a, button, input";
  const fresh = here !== document.body && !stops.includes(here);
  stops.push(here);
  const rest = [...document.querySelectorAll(`main :is(${all}, textarea, [tabindex="0"])`)]
    .filter((one) => one.checkVisibility() && !one.disabled && !stops.includes(one))
    .filter((one) => !one.matches("[type=radio]:not(:checked)")); // arrow keys lead to these
  const field = here.matches("input[type=text], textarea");
  return [fresh, field, ...[here, ...rest].map((one) => one.outerHTML.slice(0, 99))];
})()"""


_visits = itertools.count()


def visit(browser, address: str, *size: int, dark: bool = False) -> None:
    # A change behind the # alone would not load the page again.
    page, _, state = address.partition("#")
    fresh = f"{page.partition('?')[0]}?{next(_visits)}" + (f"#{state}" if state else "")
    browser.open(fresh, *size, dark=dark)
    browser.wait(READY, 300)
    browser.wait(f"!{BUSY}", 300)


def only_from(browser, *places: str) -> bool:
    allowed = (*places, "data:", "blob:")
    return browser.problems == [] and all(url.startswith(allowed) for url in browser.requests)


def name_of_focus(browser) -> str:
    """What a screen reader calls the element that has the focus."""
    place = browser.call("Runtime.evaluate", expression="document.activeElement")["result"]
    about = {"objectId": place["objectId"], "fetchRelatives": False}
    node = browser.call("Accessibility.getPartialAXTree", **about)["nodes"][0]
    return node.get("name", {}).get("value", "")


# --- the same as in Python -----------------------------------------------------------------------


def odd_texts(count: int) -> list[str]:
    rng = random.Random(0)
    made = []
    for _ in range(count):
        ranges = rng.sample(ALPHABETS, 3)
        letters = [chr(rng.randrange(*rng.choice(ranges))) for _ in range(rng.randrange(60))]
        made.append("".join(rng.choice([" ", "", "", ""]) + letter for letter in letters))
    return [*ODD, *made]


# Some of them, and all in `make test-full`: a slow computer takes minutes.
SOME_OR_ALL = pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.full)])


@SOME_OR_ALL
def test_tokens_and_their_places_are_pythons(browser, served, every):
    passages = [
        p.text
        for code in ("en-us", "fr-fr", "es-es")
        for p in list(assets.load_passages(code).values())[:1000]
    ]
    course = load_squad("course")
    texts = [*passages, *course["train"]["question"][:1000], *odd_texts(1000)]
    assert len(texts) > 5000
    texts = [*ODD, *texts[::every]]
    tokenizer = AutoTokenizer.from_pretrained(assets.path("minilm"))
    browser.open(f"{served}reader.html")
    browser.wait("globalThis.Explorers !== undefined")
    vocabulary = json.dumps(list(page_models.vocabulary(tokenizer)))
    browser.run(f"Explorers.workerParts[0](); T = new Explorers.Tokenizer({vocabulary}); 0")
    different = []
    for first in range(0, len(texts), 500):
        part = texts[first : first + 500]
        found = browser.run(PLACES % json.dumps(part))
        wanted = tokenizer(part, add_special_tokens=False, return_offsets_mapping=True)
        for text, got, ids, places in zip(
            part, found, wanted["input_ids"], wanted["offset_mapping"], strict=True
        ):
            if got != [[i, *place] for i, place in zip(ids, places, strict=True)]:
                different.append(text)
    assert different == []


@pytest.fixture(scope="module")
def reader() -> QuestionAnswerer:
    """The reader with the weights that pages have, computed by torch."""
    qa = QuestionAnswerer.load(page_models.READER, precision="fp32")
    qa.model = page_models.as_pages_have_it(qa.model)
    return qa


@SOME_OR_ALL
def test_the_reader_answers_as_python_does(browser, served, reader, every):
    rows = load_squad("course")["validation"].select(range(0, 64, every))
    questions, contexts = list(rows["question"]), list(rows["context"])
    questions += ["Who wrote it?" * 40, "  Wo liegt 😀 Köln?  "]  # one is cut, one is stripped
    contexts += [
        " ".join(dict.fromkeys(contexts)),
        "e\u0301 Köln 😀 liegt am Rhein\u0301, 한국어.",
    ]  # several windows
    wanted = reader(questions, contexts, 0.0, 20)
    visit(browser, f"{served}reader.html")
    for question, context, one in zip(questions, contexts, wanted, strict=True):
        asked = json.dumps({"question": question, "passage": context})
        got = browser.run(ANSWER % asked)
        assert got["text"] == one.text
        assert got["score"] == pytest.approx(one.score, abs=1e-3)
        assert got["nullScore"] == pytest.approx(one.null_score, abs=1e-3)
        assert [c["text"] for c in got["candidates"][:3]] == [c.text for c in one.candidates[:3]]
    assert only_from(browser, served)


@pytest.mark.parametrize(
    "sentence", ["I left my laptop on the left side of the desk.", "She sang: 日本, naïve!"]
)
def test_attention_is_torchs(browser, served, sentence):
    folder = assets.path("minilm")
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(sentence, return_tensors="pt")
    with torch.inference_mode():
        exact, same = (
            torch.cat(one(**inputs, output_attentions=True).attentions).numpy()
            for one in (model, page_models.as_pages_have_it(model))
        )
    visit(browser, f"{served}attention.html")
    got = browser.run(HEADS % json.dumps(sentence))
    assert got[0] == tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])
    shares = np.array(got[1]).reshape(same.shape)
    assert np.abs(shares - same).max() < 1e-3
    assert np.abs(shares - exact).mean() < 3e-3, "int8 weights change little"
    queries, keys = (np.array(part).reshape(*same.shape[:3], -1) for part in got[2:])
    scores = queries @ keys.transpose(0, 1, 3, 2) / np.sqrt(queries.shape[-1])
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    assert np.allclose(powers / powers.sum(-1, keepdims=True), shares, atol=1e-4)


# --- what a reader does --------------------------------------------------------------------------


def test_the_threshold_decides_and_the_link_keeps_what_was_asked(browser, served):
    visit(browser, f"{served}reader.html")
    answer = browser.text(".verdict .answer")
    browser.run("document.querySelector('input[type=range]').focus()")
    browser.press("End")
    assert browser.text(".verdict .answer") == "I don’t know."
    assert "t=1" in browser.run("location.hash")
    link = browser.run("location.href")
    visit(browser, link)
    assert browser.text(".verdict .answer") == "I don’t know."
    browser.run("document.querySelector('input[type=range]').focus()")
    browser.press("Home")
    assert browser.text(".verdict .answer") == answer


def test_a_word_taken_away_is_read_without(browser, served, reader):
    visit(browser, f"{served}reader.html")
    words = browser.run("[...document.querySelectorAll('.word')].map((word) => word.textContent)")
    place = words.index("Scheele")
    browser.click(f".words .word:nth-of-type({place + 1})")
    browser.wait("document.querySelector('.words + .told').textContent.startsWith('Without')")
    browser.wait(f"!{BUSY}")
    passage = " ".join(words[:place] + words[place + 1 :])
    wanted = reader(browser.run("document.querySelector('input[type=text]').value"), passage, 0.0)
    assert f"“{wanted.text}”" in browser.text(".words + .told")
    assert f"away={place}" in browser.run("location.hash")


@pytest.mark.parametrize("view", explorers.PAGES)
def test_markup_in_a_strangers_link_is_shown_as_text(browser, served, view):
    state = urlencode(dict.fromkeys(IN_LINKS[view].split(), HOSTILE))
    visit(browser, f"{served}{view}.html#{state}")
    assert browser.run("document.querySelectorAll('main img, main script').length") == 0
    assert browser.run("typeof window.hacked") == "undefined"
    field = browser.run("document.querySelector('input[type=text], textarea').value")
    assert field and HOSTILE.startswith(field[:40])
    assert only_from(browser, served)


def test_heads_are_chosen_by_keys_and_opened_step_by_step(browser, served):
    visit(browser, f"{served}attention.html#at=1.1.2")
    browser.run("document.querySelector('canvas').focus()")
    browser.press("ArrowRight")
    browser.press("ArrowDown")
    assert "at=2.2." in browser.run("location.hash")
    assert "block 2 of 6" in browser.text(".rest")
    for step, column in enumerate(("key", "", "", "", "%", "%")):
        browser.click(f".tabs button:nth-of-type({step + 1})")
        assert browser.run("document.querySelectorAll('.steps tbody tr').length") > 8
        assert column in browser.run("document.querySelector('.steps table').innerHTML")
    browser.click(".tabs button:nth-of-type(4)")
    browser.click(".mask input")
    visit(browser, browser.run("location.href"))
    assert browser.text(".tabs [aria-pressed=true]") == "4 mask"
    assert browser.run("document.querySelector('.mask input').checked")
    assert "\u2212\u221e" in browser.text(".steps table"), "what comes later is hidden"


@pytest.mark.parametrize("view", explorers.PAGES)
def test_the_tour_leads_through_the_view_by_keyboard_and_ends(browser, served, view):
    visit(browser, f"{served}{view}.html")
    walk_the_tour(browser)
    assert browser.run("document.activeElement.textContent") == "Show me around"


@pytest.mark.parametrize("view", explorers.PAGES)
def test_the_tab_key_reaches_everything_and_a_text_is_answered_by_keys(browser, served, view):
    visit(browser, f"{served}{view}.html")
    unnamed, rest, todo = [], ["all"], ["type", "submit"]
    while rest:
        browser.press("Tab")
        fresh, field, here, *rest = browser.run(STOP)
        assert fresh, f"after {here} not yet: {rest}"
        if not name_of_focus(browser):
            unnamed.append(here)
        if field and todo == ["type", "submit"]:
            browser.type("cats")
            todo = ["submit"]
        elif todo == ["submit"]:
            browser.press("Enter")
            browser.wait("location.hash.includes('cats')")  # written with the answer
            browser.wait(f"!{BUSY}")
            todo = []
            rest = ["what the answer brought"]
    assert unnamed == [] and todo == []
    assert browser.run("document.querySelector('.problem').textContent") == ""


def test_who_wants_less_motion_gets_none(browser, served):
    visit(browser, f"{served}words.html")
    browser.run("Element.prototype.scrollIntoView = (how) => { window.how = how.behavior; }; 0")
    lasts = "parseFloat(getComputedStyle(document.querySelector('.fill')).transitionDuration)"
    for wish, moves in (("no-preference", ["smooth", 0.2]), ("reduce", ["auto", 0])):
        feature = {"name": "prefers-reduced-motion", "value": wish}
        browser.call("Emulation.setEmulatedMedia", features=[feature])
        browser.run("document.querySelector('.head button:not([hidden])').click()")
        assert browser.run(f"[window.how, {lasts}]") == moves


@pytest.mark.parametrize("view", explorers.PAGES)
@pytest.mark.parametrize(("width", "dark"), [(390, True), (1366, False)])
def test_every_text_can_be_read_and_nothing_sticks_out(browser, axe, served, view, width, dark):
    visit(browser, f"{served}{view}.html#k=4", width, 900, dark=dark)
    assert browser.run(FAINT) == [] and browser.run(FITS)
    assert findings(browser, axe) == []


def test_a_view_opened_on_another_page_says_what_stood_there_and_stays_without_models(
    browser, site, tmp_path
):
    browser.open((site.parent / "index.html").as_uri())
    assert not [url for url in browser.requests if "/explorers/" in url and "css" not in url]
    browser.click(".explorer button")
    browser.wait(READY, 300)
    asked = browser.run("document.querySelector('input[type=text]').value")
    told = browser.text(".verdict")
    assert asked == explorers.ANSWERED["question"]
    assert explorers.ANSWERED["answer"] in told and f"{explorers.ANSWERED['sure']} sure" in told
    browser.click("input[type=text]")
    browser.wait(SELECTED)
    browser.type("Who? & <b>")
    browser.press("Enter")
    browser.wait("document.querySelector('.head a').hash.includes('%3Cb%3E')")
    link = urlsplit(browser.run("document.querySelector('.head a').href"))
    assert link.path.endswith("/explorers/reader.html")
    assert parse_qs(link.fragment)["q"] == ["Who? & <b>"]
    assert browser.run("location.hash") == "" and browser.problems == []

    explorers.lay_pages(tmp_path / "explorers")
    for name in ("index.html", "course.js"):
        shutil.copy(site.parent / name, tmp_path)
    browser.open((tmp_path / "index.html").as_uri())
    browser.click(".explorer button")
    browser.wait("document.querySelector('.problem') !== null")
    assert "make course" in browser.text(".problem") and browser.problems == []
    assert explorers.ANSWERED["answer"] in browser.text("blockquote")


@pytest.mark.parametrize(
    ("missing", "as_file"), [("WebAssembly", False), ("DecompressionStream", True)]
)
def test_without_what_it_needs_a_view_says_so_and_the_picture_stays(
    browser, site, served, missing, as_file
):
    script = {"source": f"delete window.{missing}"}
    added = browser.call("Page.addScriptToEvaluateOnNewDocument", **script)
    try:
        browser.open(f"{site.as_uri() if as_file else served[:-1]}/attention.html?{missing}")
        status = "document.querySelector('.head [role=status]')?.textContent"
        browser.wait(f"{status}?.startsWith('This needs a browser with WebAssembly')")
        told = browser.text(".head [role=status]")
        assert f"has no {missing}" in told and ("make site-serve" in told) is as_file
        assert browser.run("document.querySelector('figure img').naturalWidth") > 0
        assert not any("runtime" in url for url in browser.requests), "nothing is loaded for that"
    finally:
        browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])


@pytest.mark.parametrize("view", explorers.PAGES)
def test_a_page_opened_as_a_file_computes_too(browser, site, view):
    visit(browser, (site / f"{view}.html").as_uri())
    told = {"reader": ".verdict .answer", "attention": ".told", "ask": ".verdict .answer"}
    assert browser.text(told.get(view, "main"))
    assert only_from(browser, "file:")
