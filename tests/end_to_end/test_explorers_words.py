"""Pages of words and of language models: they give what Python gives, and anybody can use them."""

from __future__ import annotations

import gzip
import itertools
import json
from urllib.parse import urlencode

import numpy as np
import pytest
import torch

from src import assets
from src.embeddings import WordVectors
from src.language_models import GPTModel, LanguageModel
from src.ngrams import NgramModel
from src.sampling import Sampler
from src.text import Vocabulary
from tests.end_to_end.test_explorers import odd_texts, visit
from tools import page_models, page_words

BEGINNINGS = (
    "The river flows into",
    "She was born in",
    "Oxygen is",
    "In 1984,",
    "",
    "x = 2 🙂",
    "Der Fluss heißt",
    "The film was",
    "A village in the north of",
    "He",
    "The   blanks",
    "an asteroid",
    "Paris is the capital",
    "Its population",
    "The band",
    "A triangle has three",
    "It won't",
    "The language is spoken",
    "\n\nA new line",
    "The moon " * 150,  # more than the GPT reads at once
)
DO = """Explorers.helper("%s").then(async (helper) => {
  const made = [];
  for (const [task, given] of %s) made.push(await helper.do(task, given));
  return made;
})"""
GREEDY = """Explorers.helper("language").then(async (helper) => {
  const written = [];
  for (const ids of (await helper.do("encode", {texts: %s}))) {
    const all = [];
    while (all.length < %d) {
      const {logits} = await helper.do("next", {model: "%s", ids: [...ids, ...all], n: 5});
      const best = logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
      if (best === 0) break;
      all.push(best);
    }
    written.push(await helper.do("decode", {ids: all}));
  }
  return written;
})"""


@pytest.fixture(scope="module")
def made() -> tuple[dict, dict[str, bytes]]:
    about: dict = {"models": {}, "reader": {}}
    return about, page_words.add(about)


@pytest.fixture(scope="module")
def gpt() -> GPTModel:
    """The GPT with the weights that pages have."""
    gpt = GPTModel.load(page_words.GPT)
    gpt.network = page_models.as_pages_have_it(gpt.network)
    return gpt


@pytest.fixture(scope="module")
def ngrams(gpt, made) -> dict[int, NgramModel]:
    stream = np.frombuffer(gzip.decompress(made[1]["texts.gz"]), np.uint16).tolist()
    ends = [i for i, token in enumerate(stream) if token == gpt.tokenizer.start_id]
    rows = [stream[begin + 1 : end] for begin, end in itertools.pairwise(ends)]
    return {n: NgramModel(gpt.tokenizer, rows, order=n) for n in (2, 5)}


def do(browser, view: str, *tasks: tuple[str, dict]) -> list:
    return browser.run(DO % (view, json.dumps(tasks)))


# --- the same as in Python -----------------------------------------------------------------------


def test_neighbours_and_equations_are_pythons(browser, served):
    glove = WordVectors.load("glove")
    known = glove.vocabulary.words[: page_words.V]
    rounded = WordVectors(Vocabulary(known), page_words.rounded_vectors(glove))
    exact = WordVectors(Vocabulary(known), np.array(glove.vectors[: page_words.V]))
    words = [known[i] for i in np.random.default_rng(0).choice(20_000, 100, replace=False)]
    terms = [("man", "King", "woman"), ("france", "paris", "japan"), ("go", "went", "see")]
    visit(browser, f"{served}words.html")
    found = do(browser, "words", *(("similar", {"word": word}) for word in words))
    kept = 0
    for word, one in zip(words, found, strict=True):
        wanted = rounded.get_top_similar(word)
        assert {near["word"]: near["cosine"] for near in one["near"]} == pytest.approx(wanted)
        kept += len(wanted.keys() & exact.get_top_similar(word).keys())
    assert kept / len(words) > 9.7, "eight bits change few neighbours"
    solved = do(browser, "words", *(("analogy", {"given": list(three)}) for three in terms))
    for (a, b, c), one in zip(terms, solved, strict=True):
        assert [near["word"] for near in one["without"]] == list(rounded.analogy(a, b, c, 5))
        first, second, third = (rounded.units[rounded.vocabulary[word]] for word in (a, b, c))
        everything = rounded.most_similar_to(second - first + third, 5)
        assert [near["word"] for near in one["all"]] == list(everything)


def test_on_the_map_neighbours_are_near():
    places = np.load(page_words.MAP).astype(float)[::10]
    units = WordVectors.load("glove").units[: page_words.MAPPED : 10]
    near = np.argsort(-(units @ units.T))[:, 1:11]
    close = np.argsort(((places[:, None] - places) ** 2).sum(-1))[:, 1:11]
    shared = [len({*a} & {*b}) for a, b in zip(near.tolist(), close.tolist(), strict=True)]
    assert np.mean(shared) > 2, "by chance 0.1"


def test_tokens_of_a_language_model_are_pythons(browser, served, gpt):
    passages = [
        p.text
        for code, count in (("en-us", 400), ("fr-fr", 150), ("es-es", 150))
        for p in list(assets.load_passages(code).values())[:count]
    ]
    texts = [*passages, *odd_texts(300), *BEGINNINGS, "<|endoftext|>", "we'll\u0085\ufeff it's  \n"]
    assert len(texts) > 1000
    visit(browser, f"{served}language.html")
    [found] = do(browser, "language", ("encode", {"texts": texts}))
    wanted = gpt.tokenizer.encode_all(texts)
    assert [t for t, a, b in zip(texts, found, wanted, strict=True) if a != b] == []
    back = do(browser, "language", *(("decode", {"ids": ids[:7]}) for ids in wanted[-320:]))
    assert back == [gpt.tokenizer.decode(ids[:7]) for ids in wanted[-320:]]


def written(model: LanguageModel, beginning: str) -> str:
    return model.generate(beginning, 40, Sampler.greedy()).text


def test_the_gpt_writes_what_pythons_writes(browser, served, gpt):
    visit(browser, f"{served}language.html")
    some = BEGINNINGS[1::3]
    found = browser.run(GREEDY % (json.dumps(some), 40, "gpt"))
    assert found == [written(gpt, beginning) for beginning in some]
    [[ids]] = do(browser, "language", ("encode", {"texts": [BEGINNINGS[0]]}))
    [made] = do(browser, "language", ("next", {"model": "gpt", "ids": ids}))
    logits = list(made["logits"].values())
    wanted = gpt.read(gpt.start(), ids).numpy()
    assert np.allclose(logits, wanted, atol=2e-4)
    settings = [(0, 5, 0.5), (0.7, 4000, 1), (1, 4000, 0.9), (1.5, 7, 0.6), (1, 3, 1), (2, 4000, 0)]
    for t, k, p in settings:
        call = json.dumps({"temperature": t, "k": k, "p": p})
        shares = browser.run(f"Array.from(Explorers.shares({json.dumps(logits)}, {call}).final)")
        sampler = Sampler(temperature=t, top_k=k, top_p=p)
        assert np.allclose(shares, sampler.probs(torch.tensor(logits).double()), atol=1e-9)


def test_n_grams_are_counted_as_python_counts_them(browser, served, gpt, ngrams):
    visit(browser, f"{served}language.html")
    some = BEGINNINGS[:6]
    found = browser.run(GREEDY % (json.dumps(some), 40, "ngram"))
    assert found == [written(ngrams[5], beginning) for beginning in some]
    rows = [[], *gpt.tokenizer.encode_all(BEGINNINGS[:3])]
    for (n, model), ids in itertools.product(ngrams.items(), rows):
        [made] = do(browser, "language", ("next", {"model": "ngram", "ids": ids, "n": n}))
        probs = list(made["probs"].values())
        assert np.allclose(probs, model.next_token_probs(ids), rtol=1e-6)


# --- what a reader does --------------------------------------------------------------------------


def test_an_unknown_word_gets_advice_and_a_neighbour_leads_on(browser, served):
    visit(browser, f"{served}words.html")
    browser.run("document.querySelector('.find input').value = 'Germny'")
    browser.click(".find button.main")
    browser.wait("document.querySelector('.find .problem').textContent !== ''")
    assert "“germany”" in browser.text(".find .problem")
    first = browser.text(".near .word")
    browser.run("document.querySelector('.near .word').focus()")
    browser.press("Enter")
    browser.wait("document.querySelectorAll('.walk button').length === 2")
    assert browser.text(".walk button:last-child") == first
    assert browser.run("document.activeElement.textContent") == first
    assert first in browser.run("new URLSearchParams(location.hash.slice(1)).get('walk')")


def test_dials_cut_and_the_link_keeps_what_was_written(browser, served):
    visit(browser, f"{served}language.html#{urlencode({'b': 'The river', 'k': 3, 't': 0.5})}")
    drawn = "document.querySelectorAll('.panel:first-child tr:not(.out)').length"
    assert browser.run(drawn) == 3
    browser.run("document.querySelector('.dials input').focus()")
    browser.press("Home")
    assert browser.run(drawn) == 1
    likeliest = browser.text(".panel .token").replace("␣", " ")
    browser.click(".writer button.main")
    browser.wait("document.querySelector('.new').textContent !== ''")
    browser.wait("document.querySelector('[aria-busy=true]') === null")
    assert browser.run("document.querySelector('.new').textContent") == likeliest
    visit(browser, browser.run("location.href"))
    assert browser.run("document.querySelector('.written').textContent") == f"The river{likeliest}"
    browser.run("[...document.querySelectorAll('.writer .choices button')][1].click()")
    browser.wait("document.querySelector('.new').textContent.length > 20")
    browser.run("[...document.querySelectorAll('.writer .choices button')][1].click()")
    browser.wait("document.querySelector('.writer .told').textContent.includes('tokens/s')")
