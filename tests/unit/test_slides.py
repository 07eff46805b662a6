"""A notebook becomes a talk: what is shown, what goes to the notes, what is cut or split, how long it takes, and what plans add up to."""

from __future__ import annotations

import base64
import html
import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from tools import build_slides, timings
from tools.slides import pieces, plan, talk
from tools.slides.pieces import BODY, Block, words_of

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
GUIDE = ROOT / "docs" / "teaching.md"
PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 1440, 800, 8, 2, 0, 0, 0) + b"\0" * 40
FIGURE = f'<img class="dark-light" src="data:image/png;base64,{base64.b64encode(PNG).decode()}" alt="two &lt;bars&gt;" width="720">'


def markdown(source: str, kind: str = "notes", *tags: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "source": source, "metadata": {"slideshow": {"slide_type": kind}, "tags": list(tags)}}


def code(source: str, *outputs: dict[str, Any], kind: str = "fragment", tags: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "source": source,
        "outputs": list(outputs),
        "metadata": {"slideshow": {"slide_type": kind}, "tags": list(tags)},
    }


def printed(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def shown(content: str) -> dict[str, Any]:
    return {"output_type": "display_data", "data": {"text/html": content, "text/plain": "plain"}}


def a_talk(*cells: dict[str, Any], metadata: dict[str, Any] | None = None) -> talk.Talk:
    """The talk of a notebook with a title, one section, and `cells` in it."""
    opening = [markdown("# Title\n\nIn a sentence.", "slide"), markdown("## Part\n\nWhat it is about.", "slide")]
    return talk.make_talk("99_test", {"cells": [*opening, *cells], "metadata": metadata or {}})


def on(slide: talk.Slide) -> str:
    return words_of(slide.title + " " + " ".join(block.html for block in slide.blocks))


def in_notes(slide: talk.Slide) -> str:
    return words_of(" ".join(slide.notes))


# --- pieces --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two? Three!", ["One.", "Two?", "Three!"]),
        ("It is `a. B` and $x. Y$ here. Next.", ["It is `a. B` and $x. Y$ here.", "Next."]),
        ("As said (Vaswani et al. 2017. A paper.) before. Then.", ["As said (Vaswani et al. 2017. A paper.) before.", "Then."]),
        ("Sizes, e.g. Large ones. Done.", ["Sizes, e.g. Large ones.", "Done."]),
        ('**Now you.** Ask "Is it? Or not?" aloud. Go.', ["**Now you.**", 'Ask "Is it? Or not?" aloud.', "Go."]),
        ("Version 2.0 of 3.5 things", ["Version 2.0 of 3.5 things"]),
        ("A [term](glossary.md#a-term). Then.", ["A term.", "Then."]),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, expected: list[str]) -> None:
    assert pieces.sentences(text) == expected


def test_links_inside_the_course_become_words_and_links_to_the_world_stay() -> None:
    text = "[doc stride](glossary.md#doc-stride), [notebook 03](03_rnns.ipynb), [`[CLS]`](glossary.md#cls), [a page](https://example.org/x)"
    assert pieces.unlinked(text) == "doc stride, notebook 03, `[CLS]`, [a page](https://example.org/x)"


def test_code_is_shown_without_the_imports_at_its_margin() -> None:
    source = "import math\nfrom src.x import (\n    a,\n    b,\n)\n\ndef f():\n    import inner\n    return a\n\n\nfrom late import c\nf()"
    assert pieces.without_imports(source) == "def f():\n    import inner\n    return a\n\nf()"


def test_highlighted_code_reads_as_it_was_written() -> None:
    source = 'def f(a: int) -> str:\n    """Two\n    lines."""\n    return f"<{a}>"  # why'
    block = pieces.code_block(source)
    lines = re.findall(r'<span class="line">(.*?)</span>(?=<span class="line">|</pre>)', block.html, flags=re.DOTALL)
    assert [html.unescape(re.sub("<[^>]+>", "", line)) for line in lines] == source.split("\n")


@pytest.mark.parametrize(("count", "left"), [(14, 0), (15, 1), (40, 26)])
def test_long_printed_output_is_cut_and_says_by_how_much(count: int, left: int) -> None:
    block = pieces.printed_block("".join(f"line {i}\n" for i in range(count)))
    assert f"line {min(count, 14) - 1}</pre>" in block.html
    assert ("more" in block.html) == bool(left)
    if left:
        assert f"… {left} more {'line' if left == 1 else 'lines'} in the notebook" in block.html and f"line {count - 1}" not in block.html


def test_a_long_table_keeps_its_head_and_first_rows() -> None:
    rows = "".join(f"<tr><th>{i}</th><td>row {i}</td></tr>" for i in range(11))
    head = '<div><style scoped>.x{}</style><table class="dataframe"><thead><tr><th></th><th>name</th></tr></thead>'
    (block,) = pieces.html_blocks(f"{head}<tbody>{rows}</tbody></table></div>")
    assert "name" in block.html and "row 7" in block.html and "row 8" not in block.html and "… 3 more rows in the notebook" in block.html
    assert "<style" not in block.html


def test_figures_keep_their_alternative_text_and_shape() -> None:
    (block,) = pieces.html_blocks(FIGURE)
    assert 'alt="two &lt;bars&gt;"' in block.html
    assert block.height == pytest.approx(720 * 800 / 1440 * pieces.LARGER) and block.least < block.height


def test_what_brings_a_script_stands_in_a_frame_of_its_own_with_a_name() -> None:
    content = '<div class="wta wta-map" data-map="{&quot;a&quot;:1}"><p>A map of words.</p></div><script>go()</script>'
    (block,) = pieces.html_blocks(content)
    (inside,) = re.findall(r'srcdoc="([^"]*)"', block.html)
    assert html.unescape(inside).endswith(content) and 'title="A map of words."' in block.html


def test_printed_pieces_are_joined_and_what_goes_to_stderr_is_left_out() -> None:
    outputs = [printed("one\n"), {"output_type": "stream", "name": "stderr", "text": "a warning"}, printed("two\n"), shown("<p>three</p>")]
    first, second = pieces.output_blocks(outputs)
    assert words_of(first.html) == "one two" and words_of(second.html) == "three"


# --- what is shown and what is said --------------------------------------------------------------------------------------


def test_outputs_wait_for_a_key_and_the_sentence_that_reads_them_comes_last() -> None:
    made = a_talk(
        markdown("**A test.** Here it is:"),
        code("import os\nprint(7)", printed("7\n")),
        markdown("Seven is what came out of this cell. There is more to say about it.\n\nThe next one:"),
        code("print(8)", printed("8\n")),
    )
    first, second = made.sections[1].slides[1:]
    assert first.title == "A test" and first.kicker == "Part"
    assert [(words_of(block.html), block.fragment) for block in first.blocks] == [
        ("Here it is:", False),
        (words_of(pieces.code_block("print(7)").html), False),
        ("7", True),
        ("Seven is what came out of this cell.", True),
    ]
    assert "There is more to say about it." in in_notes(first) and "There is more" not in on(first)
    assert on(second).startswith("Part The next one:")


def test_what_follows_a_cell_without_output_leads_to_the_next_and_is_not_read_into_it() -> None:
    made = a_talk(code("x = 1"), markdown("Adding is easy. Try it."), code("print(x + 1)", printed("2\n")))
    first, second = made.sections[1].slides[1:]
    assert on(first) == "Part " + words_of(pieces.code_block("x = 1").html) and "Adding is easy." in on(second)


def test_two_cells_share_a_slide_where_the_first_shows_nothing_and_nothing_is_said_between_them() -> None:
    made = a_talk(code("x = 1"), code("print(x)", printed("1\n")))
    (slide,) = made.sections[1].slides[1:]
    assert "x = 1" in on(slide) and "print" in on(slide)


def test_formulas_tables_and_predictions_are_shown() -> None:
    made = a_talk(
        code("print(1)", printed("1\n")),
        markdown("It was one.\n\n$$a^2 + b^2$$\n\n| a | b |\n| --- | --- |\n| c | d |\n\n**Predict:** what comes next? Think."),
        code("print(2)", printed("2\n")),
    )
    text = " ".join(on(slide) for slide in made.sections[1].slides[2:])
    assert r"\[a^2 + b^2\]" in text and "a b c d" in text and "Predict: what comes next?" in text


def test_skipped_cells_are_not_shown_and_the_notes_name_exercises_and_sources() -> None:
    made = a_talk(
        code("print(1)", printed("1\n")),
        markdown("**Exercise: add two.** Add them.", "skip", "exercise"),
        code("secret = 1", kind="skip", tags=("exercise",)),
        code("show_source(WordVectors, load)\nshow_source(finetune, body=False)", shown("<p>source</p>"), kind="skip"),
    )
    (section,) = made.sections[1:]
    everything = " ".join(map(on, section.slides))
    assert "secret" not in everything and "add two" not in everything and "source" not in everything
    noted = in_notes(section.slides[-1])
    assert "an exercise: add two." in noted and "the source of WordVectors, load, finetune ." in noted
    assert section.exercises == ["add two"]


def test_a_cell_of_imports_that_shows_nothing_makes_no_slide() -> None:
    assert len(a_talk(code("import os\nimport sys")).sections[1].slides) == 1


def test_a_quiz_is_a_slide_for_each_question_with_the_answer_in_the_notes_only() -> None:
    made = a_talk(code('show_quiz("06_bert_squad", "windows")', shown("<div>as stored</div>"), kind="subslide", tags=("quiz",)))
    slides = made.sections[1].slides[1:]
    questions = json.loads((ROOT / "data" / "quizzes" / "06_bert_squad.json").read_text())["sets"]
    asked = next(one for one in questions if one["id"] == "windows")["questions"]
    assert len(slides) == len(asked) == 3
    for slide, question in zip(slides, asked, strict=True):
        right = [choice["text"] for choice in question.get("choices", []) if choice["right"]] or [f"{question['answer']:g}"]
        assert all(pieces.plain(text).split()[0] in in_notes(slide) for text in right)
    assert "--quiz 06_bert_squad --set windows" in in_notes(slides[0])
    assert "<code>doc_stride</code>" in slides[1].notes[0] and "`" not in " ".join(map(in_notes, slides)), "marks are set as in the quiz"


def test_a_slow_cell_says_so_in_the_notes_and_counts_the_minutes_it_gives_itself() -> None:
    slow = a_talk(code("train(minutes=runtime.minutes(1.5))", tags=("slow", "training"))).sections[1]
    quick = a_talk(code("train(minutes=runtime.minutes(1.5))", tags=("training",))).sections[1]  # in a process of its own
    assert quick.slow == 0 and "slow" not in in_notes(quick.slides[1])
    assert slow.slow == 1 and "A slow cell" in in_notes(slow.slides[1])
    assert slow.slides[1].seconds - quick.slides[1].seconds == pytest.approx(90)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_talk_and_instructors_page_count_the_same_exercises_and_slow_cells(notebook: Path) -> None:
    made, counted = build_slides.read_talk(notebook), timings.timing_of(notebook)
    assert sum(len(section.exercises) for section in made.sections) == counted.total("exercises")
    assert [section.slow for section in made.sections] == [section.slow for section in counted.sections]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_everything_a_notebook_says_between_its_cells_is_in_the_notes(notebook: Path) -> None:
    content = json.loads(notebook.read_text(encoding="utf-8"))
    made = talk.make_talk(notebook.stem, content)
    noted = " ".join(in_notes(slide) for slide in made.slides)
    squeezed = re.sub(r"\W+", "", noted)
    for cell in content["cells"]:
        if cell["cell_type"] == "markdown" and talk.slide_type(cell) != "skip":
            for paragraph in pieces.paragraphs("".join(cell["source"])):
                if not paragraph.startswith("#"):
                    for sentence in [paragraph] if pieces.is_rich(paragraph) else pieces.sentences(paragraph):
                        assert re.sub(r"\W+", "", pieces.plain(sentence)) in squeezed, sentence


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_figure_of_a_shown_cell_is_on_a_slide_with_its_alternative_text(notebook: Path) -> None:
    content = json.loads(notebook.read_text(encoding="utf-8"))
    alts = re.compile(r'<img\b[^>]*\balt="([^"]+)"')
    wanted = [
        alt
        for cell in content["cells"]
        if cell["cell_type"] == "code" and talk.slide_type(cell) != "skip"
        for output in cell["outputs"]
        for alt in alts.findall("".join(output.get("data", {}).get("text/html", "")))
    ]
    slides = talk.make_talk(notebook.stem, content).slides
    assert [alt for slide in slides for block in slide.blocks for alt in alts.findall(block.html)] == wanted


# --- room ----------------------------------------------------------------------------------------------------------------


def test_what_needs_more_room_than_a_slide_has_goes_on_in_the_next_and_nothing_is_lost() -> None:
    lines = "\n".join(f"value_{i} = {i}" for i in range(18))
    outputs = printed("done\n" * 12), shown(FIGURE), shown(FIGURE)
    made = a_talk(markdown("**Much.** Here:"), code(lines, *outputs), markdown("That was much."))
    slides = made.sections[1].slides[1:]
    assert len(slides) >= 3 and {slide.title for slide in slides} == {"Much"}
    assert all(talk._height(slide.blocks) <= BODY for slide in slides)
    assert sum(block.html.count("<img") for slide in slides for block in slide.blocks) == 2
    assert "value_17" in " ".join(map(on, slides)) and "That was much." in in_notes(slides[-1])


def test_an_output_that_has_a_slide_of_its_own_does_not_wait_for_a_second_key() -> None:
    made = a_talk(code("\n".join(f"value_{i} = {i}" for i in range(18)), shown(FIGURE)))
    assert [block.fragment for block in made.sections[1].slides[2].blocks] == [False]


def test_code_longer_than_a_slide_is_cut_with_a_note() -> None:
    (slide,) = a_talk(code("\n".join(f"v{i} = {i}" for i in range(50)))).sections[1].slides[1:]
    assert "… 30 more lines in the notebook" in on(slide)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_slide_of_the_course_is_reckoned_to_need_more_than_its_room(notebook: Path) -> None:
    """One block alone may: the browser shrinks it, and tests/end_to_end/test_slides.py says by how much at most."""
    for slide in build_slides.read_talk(notebook).slides:
        assert len(slide.blocks) <= 1 or talk._height(slide.blocks) <= BODY or slide.blocks[-1].joined, slide.title


# --- time ----------------------------------------------------------------------------------------------------------------


def test_minutes_are_counted_by_the_rule_that_the_guide_states() -> None:
    said = " ".join(["word"] * 130)
    made = a_talk(markdown(said + "."), code("a = 1\nb = 2", printed("2\n")), code('show_quiz("06_bert_squad", "windows")'))
    section = made.sections[1]
    heading = 6 / 130 * 60  # "## Part What it is about."
    assert sum(slide.seconds for slide in section.slides) == pytest.approx(heading + 60 + (30 + 2 * 3) + 3 * 60)
    assert section.minutes == round((heading + 60 + 36 + 180) / 60) == 5


def test_the_second_slide_notes_when_each_section_begins_and_what_was_measured() -> None:
    made = a_talk(code("x = 1"), metadata={"course": {"seconds": 41.6}})
    agenda = in_notes(made.slides[1])
    assert "took 42 s to run" in agenda and "0:01 1 min Part" in agenda
    assert "Begins 0:01 into the talk; 1 of 2 minutes, estimated." in in_notes(made.sections[1].slides[0])
    assert "was not run as a whole here yet" in in_notes(a_talk().slides[1])


def tables_of(text: str) -> dict[str, list[str]]:
    return {match["name"]: match[0].splitlines()[1:-1] for match in plan.TABLE.finditer(text)}


def test_the_tables_of_the_guide_are_those_of_the_notebooks() -> None:
    """To a few minutes: a sentence more in a notebook need not change the guide (make slides ARGS=--plan does)."""
    text = GUIDE.read_text(encoding="utf-8")
    stored, fresh = tables_of(text), tables_of(plan.filled_in(text, build_slides.all_talks()))
    assert list(stored) == list(fresh) == ["sections", "workshop", "day", "weeks"]
    for name, rows in fresh.items():
        without = [[re.sub(r"\d+", "0", row) for row in table] for table in (stored[name], rows)]
        assert without[0] == without[1], f"table {name}: other sections; run: make slides ARGS=--plan"
        for old, new in zip(stored[name], rows, strict=True):
            minutes = [int(row.split("|")[3].strip("* ")) if re.search(r"\d", row.split("|")[3]) else 0 for row in (old, new)]
            assert abs(minutes[0] - minutes[1]) <= 5, f"table {name}: {old!r} is {new!r} now; run: make slides ARGS=--plan"


def test_a_plan_that_asks_for_more_minutes_than_it_has_is_refused() -> None:
    made = a_talk(*[code(f"x{i} = 1", printed("1\n")) for i in range(20)])
    block = {"minutes": 5, "parts": [{"notebook": "99_test", "sections": ["Part"]}]}
    with pytest.raises(ValueError, match=r"plan p, block 1: its parts take 11 of 5 minutes"):
        plan.plan_table("p", {"blocks": [block]}, [made])
    rows = plan.plan_table("p", {"blocks": [block | {"minutes": 20}]}, [made]).splitlines()
    assert rows[2:] == ["| 1 | 0:00 | 11 | 99_test: Part (11) |", "| 1 | 0:11 | 9 | questions, and what took longer |"]


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"notebook": "98_none", "sections": []}, "no notebook '98_none'"),
        ({"notebook": "99_test", "sections": ["Nowhere"]}, "no section 'Nowhere'; it has 'Opening', 'Part'"),
        ({"notebook": "99_test", "sections": ["Part"], "exercises": 1}, "have 0 exercises"),
    ],
)
def test_a_plan_of_what_is_not_there_is_refused(part: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        plan.part_of(part, [a_talk()])


# --- the program ---------------------------------------------------------------------------------------------------------


def test_executed_copies_are_preferred_to_stored_notebooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stored", "executed"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(build_slides, "STORED", tmp_path / "stored")
    monkeypatch.setattr(build_slides, "EXECUTED", tmp_path / "executed")
    (tmp_path / "stored" / "01_one.ipynb").touch()
    assert build_slides.find_notebook("01_one").parent.name == "stored"
    (tmp_path / "executed" / "01_one.ipynb").touch()
    assert build_slides.find_notebook("notebooks/01_one.ipynb").parent.name == "executed"
    with pytest.raises(build_slides.SlidesError, match=r"no notebook '02_two' in notebooks/; there are 01_one\."):
        build_slides.find_notebook("02_two")


def make_slides(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["build_slides", *arguments])
    build_slides.main()


def test_make_slides_lays_a_page_for_every_notebook_and_a_list_of_them_that_needs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build_slides, "STORED", tmp_path)
    monkeypatch.setattr(build_slides, "EXECUTED", tmp_path / "none")
    for name in ("01_one", "02_two"):
        cells = [markdown(f"# Talk <{name}>\n\nIn a sentence."), markdown("## Part", "slide"), markdown("$$x$$")]
        (tmp_path / f"{name}.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}}))
    make_slides("--to", str(tmp_path / "talks"), monkeypatch=monkeypatch)
    assert f"Open {tmp_path / 'talks' / 'index.html'} in a browser" in capsys.readouterr().out
    pages = {path.name: path.read_text() for path in (tmp_path / "talks").glob("*.html")}
    assert set(pages) == {"01_one.html", "02_two.html", "index.html"}
    assert '<a href="01_one.html">' in pages["index.html"] and '<a href="02_two.html">' in pages["index.html"]
    for page in pages.values():
        needed = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page)
        assert needed and all(name == "data:," or (tmp_path / "talks" / name).is_file() for name in needed)
    (tmp_path / "talks" / "index.html").write_text("the list of all")
    make_slides("02_two", "--to", str(tmp_path / "talks"), monkeypatch=monkeypatch)
    assert f"Open {tmp_path / 'talks' / '02_two.html'} in a browser" in capsys.readouterr().out
    assert (tmp_path / "talks" / "index.html").read_text() == "the list of all"
    with pytest.raises(SystemExit, match=r"^slides: there is no notebook '03_none'"):
        make_slides("03_none", "--to", str(tmp_path / "talks"), monkeypatch=monkeypatch)


def test_a_browser_that_does_not_end_is_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_slides, "PRINT_SECONDS", 0.2)
    sleeper = tmp_path / "browser"
    sleeper.write_text("#!/bin/sh\nexec sleep 30\n")
    sleeper.chmod(0o755)
    with pytest.raises(build_slides.SlidesError, match=r"printed no PDF of 01_one\.html in 0\.2 s; print 01_one\.html\?print-pdf"):
        build_slides.print_pdf(tmp_path / "01_one.html", str(sleeper))


def test_reveal_js_is_the_pinned_one_and_another_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_slides.lay_parts(tmp_path / "talks")
    assert {path.name for path in (tmp_path / "talks" / "reveal").iterdir()} == set(build_slides.REVEAL)
    (tmp_path / "parts" / "reveal").mkdir(parents=True)
    (tmp_path / "parts" / "reveal" / "reveal.js").write_text("something else")
    monkeypatch.setattr(build_slides, "PARTS", tmp_path / "parts")
    with pytest.raises(build_slides.SlidesError, match=r"reveal\.js is not that of reveal\.js 5\.2\.1"):
        build_slides.lay_parts(tmp_path / "other")


def test_without_a_browser_a_pdf_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_slides.shutil, "which", lambda name: None)
    monkeypatch.setattr(build_slides.Path, "is_file", lambda self: False)
    with pytest.raises(build_slides.SlidesError, match=r"needs Chromium or Chrome, and neither is here: install one"):
        build_slides.find_browser()


def test_a_file_that_is_no_notebook_with_a_title_is_refused(tmp_path: Path) -> None:
    for name, content in {"a": "no json", "b": "{}", "c": '{"cells": [{"cell_type": "code", "source": "1"}]}'}.items():
        (tmp_path / f"{name}.ipynb").write_text(content)
        with pytest.raises(build_slides.SlidesError, match=rf"{name}\.ipynb is no notebook that slides can be made of"):
            build_slides.read_talk(tmp_path / f"{name}.ipynb")


def test_math_is_loaded_where_there_is_math_only() -> None:
    assert "mathjax" in build_slides.talk_page(a_talk(code("1", printed("1")), markdown("$$x$$"), code("2", printed("2"))))
    assert "mathjax" not in build_slides.talk_page(a_talk(code("1", printed("1"))))


def test_a_block_is_one_element_with_a_class_since_the_page_marks_it() -> None:
    blocks: list[Block] = [block for path in NOTEBOOKS[:3] for slide in build_slides.read_talk(path).slides for block in slide.blocks]
    assert len(blocks) > 100 and all(re.match(r'<(div|ol) class="', block.html) for block in blocks)
