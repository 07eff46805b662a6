"""A notebook as a talk: its cells cut into slides, what is too long for a slide put into the speaker's notes, and the time for each.

Sections (slide type "slide") follow each other to the right, the cells of a section downwards. Of the text between two cells the
slides show the sentence that reads the last output, the one that leads to the next cell, what the room is asked to predict, and
formulas, tables and lists; all of it stands in the notes. Cells of the slide type "skip" are not in the talk; their notes name them.
"""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from src.teaching import panel
from src.teaching.quizzes import VERDICTS, Question, QuestionSet, load_set, quiz_html
from tools.slides.pieces import (
    BODY,
    Block,
    code_block,
    first_sentences,
    inline_html,
    is_rich,
    output_blocks,
    paragraphs,
    plain,
    rich_block,
    sentences,
    text_block,
    to_html,
    without_imports,
)

Cell = Mapping[str, Any]
GAP = 12  # pixels between two blocks of a slide
SAID_WORDS = 62  # words that a section's slide shows of its text
LABEL = re.compile(r"\*\*(?P<label>[^*]+(?:\*[^*]+\*[^*]*)?)\*\*(?P<colon>:?)\s*(?P<rest>.*)", re.DOTALL)
PROMPT = re.compile(r"(predict|before you|compute|guess|change (it|a number)|now you|be the|walk around|the next cell)\b", re.IGNORECASE)
STOCK = re.compile(r"From here on nothing needs")  # said after every training, and not worth a line on a slide
# What a talk takes: an estimate by counting, see docs/teaching.md. In seconds.
PER_WORD = 60 / 130  # of the notebook's text, said in the speaker's own words
PER_CELL, PER_LINE = 30, 3  # of code that is shown, its output included
PER_QUESTION = 60  # of a quiz
PER_SLOW_CELL = 20  # what the room waits for where the cell is not skipped and does not state its own `runtime.minutes(...)`
EXERCISE_MINUTES = 6  # each, at the desks
SLOW = "A slow cell: start it before you talk, or skip it; what follows takes results from disk."


@dataclass
class Slide:
    """One slide: a title over its blocks, the notes as pieces of HTML, and the seconds it is meant to stay."""

    title: str
    kind: str  # "title", "agenda", "section", "cell", "quiz"
    kicker: str = ""  # the section's name, above a title of its own
    blocks: list[Block] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Section:
    """The slides of one section, from its heading on; the first is that of the heading."""

    title: str
    slides: list[Slide]
    exercises: list[str] = field(default_factory=list)
    slow: int = 0  # cells that make the room wait
    run_seconds: float = 0.0  # measured when the notebook was executed, of all its cells

    @property
    def minutes(self) -> int:
        """Minutes to teach the section without its exercises, an estimate; at least one."""
        return max(1, round(sum(slide.seconds for slide in self.slides) / 60))


@dataclass
class Talk:
    """A talk. The first section is the title and what is to come; its minutes count as the others' do."""

    name: str
    title: str
    sections: list[Section]
    run_seconds: float | None  # measured when the notebook was executed as a whole; None where it was not, here

    @property
    def slides(self) -> list[Slide]:
        return [slide for section in self.sections for slide in section.slides]

    @property
    def minutes(self) -> int:
        return sum(section.minutes for section in self.sections)


def make_talk(name: str, notebook: Mapping[str, Any]) -> Talk:
    """The talk of a notebook, given as the content of its file. Raises ValueError where it does not begin with a title."""
    cells = notebook["cells"]
    if not cells or cells[0]["cell_type"] != "markdown" or not _source(cells[0]).startswith("# "):
        raise ValueError(f"{name}: the first cell must be Markdown that begins with '# ' and the title.")
    sections: list[Section] = []
    pending: list[str] = []  # paragraphs since the last cell that was shown
    marks = notebook.get("metadata", {}).get("course", {})
    measured = marks.get("cell_seconds") or [0.0] * len(cells)
    for cell, seconds in zip(cells, measured, strict=True):
        kind, tags, source = slide_type(cell), cell.get("metadata", {}).get("tags", []), _source(cell)
        if not sections:
            sections.append(_opening(source))
        elif cell["cell_type"] == "markdown" and kind == "slide":
            _say_after(sections[-1].slides[-1], pending)
            pending = []
            if source.startswith("#"):
                sections.append(_section(source))
            else:
                sections[-1].slides += _told(Slide(sections[-1].slides[0].title, "section"), paragraphs(source), source)
        elif kind == "skip":
            _name_skipped(sections[-1], source, tags)
        elif cell["cell_type"] == "markdown":
            pending += paragraphs(source)
        elif cell["cell_type"] == "code":
            sections[-1].slow += "slow" in tags
            if slides := _cell_slides(cell, sections[-1], pending):
                sections[-1].slides += slides
                pending = []
            if seconds >= 1:
                sections[-1].slides[-1].notes.append(f'<p class="aside">The cell ran for {seconds:.0f} s.</p>')
        sections[-1].run_seconds += seconds
    _say_after(sections[-1].slides[-1], pending)
    talk = Talk(name, sections[0].slides[0].title, sections, marks.get("seconds"))
    _add_timings(talk)
    return talk


def slide_type(cell: Cell) -> str:
    """What the cell's metadata makes of it on slides; a cell without any is shown, a text between cells goes to the notes."""
    stated = cell.get("metadata", {}).get("slideshow", {}).get("slide_type", "-")
    return stated if stated not in ("", "-") else ("fragment" if cell["cell_type"] == "code" else "notes")


def _source(cell: Cell) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


# --- sections ------------------------------------------------------------------------------------------------------------


def _opening(source: str) -> Section:
    """The title's slide, and one that says what will be built; `_add_timings` adds the list of sections to it."""
    heading, *rest = paragraphs(source)
    first = Slide(inline_html(heading.lstrip("# ")), "title", notes=_notes(rest), seconds=_talking(source))
    said = [paragraph for paragraph in rest if not paragraph.startswith("**")]
    if said:
        first.blocks.append(text_block(first_sentences(said[0], 40), "subtitle"))
    build = [match["rest"] for paragraph in rest if (match := _labelled(paragraph)) and "build" in match["label"]]
    agenda = Slide("What you will build", "agenda", blocks=[text_block(first_sentences(text, 60), "lead") for text in build[:1]])
    return Section("Opening", [first, agenda])


def _section(source: str) -> Section:
    """A section, with the slides of its heading and text."""
    heading, *rest = paragraphs(source)
    return Section(plain(heading.lstrip("# ")), _told(Slide(inline_html(heading.lstrip("# ")), "section"), rest, source))


def _told(slide: Slide, texts: list[str], source: str) -> list[Slide]:
    """The slides of text that is to be shown: the beginning of each paragraph, and formulas, tables and lists as they are.

    A paragraph with a bold label of its own gets its own slide if another stands before it; "Predict" and the like stay where they are.
    """
    slide.notes, slide.seconds = _notes(texts), _talking(source)
    slides, heading, words = [slide], slide.title, SAID_WORDS
    for paragraph in texts:
        match = _labelled(paragraph)
        if is_rich(paragraph):
            slides[-1].blocks.append(rich_block(paragraph))
        elif match and PROMPT.match(match["label"]):
            slides[-1].blocks += _prompt(match)
        elif match and "reading" in match["label"].lower():
            continue
        elif match and slide.blocks:
            slides.append(Slide(inline_html(match["label"].rstrip(".:")), "section", kicker=heading, notes=_notes([paragraph])))
            slides[-1].blocks.append(text_block(first_sentences(match["rest"], SAID_WORDS), "said"))
        else:
            said, prompt = _parted(paragraph)
            if said and words > 0:
                shown = first_sentences(said, words)
                slides[-1].blocks.append(text_block(shown, "said"))
                words -= len(shown.split())
            slides[-1].blocks += prompt
    return [part for one in slides for part in _packed(one)]


def _name_skipped(section: Section, source: str, tags: Sequence[str]) -> None:
    """Say in the notes what the notebook has at this place and the talk has not."""
    match = re.match(r"\*\*Exercise: (.+?)\*\*", source)
    if match and "exercise" in tags:
        section.exercises.append(plain(match[1].rstrip(".")))
        aside = f"In the notebook, an exercise: <b>{inline_html(match[1])}</b> ({EXERCISE_MINUTES} minutes)."
    elif calls := re.findall(r"show_source\(([^)]*)\)", source):
        shown = [part.strip() for call in calls for part in call.split(",") if "=" not in part]
        aside = f"In the notebook, the source of <code>{html.escape(', '.join(shown))}</code>."
    else:
        return
    section.slides[-1].notes.append(f'<p class="aside">{aside}</p>')


# --- cells ---------------------------------------------------------------------------------------------------------------


def _cell_slides(cell: Cell, section: Section, pending: list[str]) -> list[Slide]:
    """The slides of a code cell with the text that leads to it; none where it has nothing to show, or joins the slide before."""
    source, last = _source(cell), section.slides[-1]
    code = without_imports(source)
    outputs = output_blocks(cell.get("outputs", []))
    asked = _quiz(source)
    if asked is None and not code and not outputs:
        return []
    if "runtime.machine()" in code and code.count("\n") == 0:  # which machine the outputs are from: for the speaker
        last.notes += [block.html for block in outputs]
        return []
    shown_before = any(block.output for block in last.blocks)
    after, before = _divided(pending) if shown_before else ([], pending)
    _say_after(last, after)
    heading = section.slides[0].title
    if asked is not None:
        slides = _quiz_slides(asked, heading)
        slides[0].notes[:0] = _notes(before)
        slides[0].seconds += _talking(" ".join(before))
        return slides
    label, blocks = _lead(before)
    slide = Slide(label or heading, "cell", kicker=heading if label else "", notes=_notes(before))
    if code:
        blocks.append(code_block(code))
    slide.blocks = blocks + outputs
    slide.seconds = _talking(" ".join(before)) + PER_CELL + PER_LINE * (code.count("\n") + 1)
    tags = cell.get("metadata", {}).get("tags", [])
    if "slow" in tags:  # a training in a process of its own keeps nobody waiting, and is not tagged so
        stated = [60 * float(minutes) for minutes in re.findall(r"runtime\.minutes\(([\d.]+)\)", source)]
        slide.seconds += sum(stated) or PER_SLOW_CELL
        slide.notes.insert(0, f'<p class="slow">{SLOW}</p>')
    if last.kind == "cell" and not pending and not shown_before and _height([*last.blocks, *slide.blocks]) <= BODY:
        last.blocks += slide.blocks  # the cell before showed nothing, and nothing was said in between: one slide for both
        last.notes += slide.notes
        last.seconds += slide.seconds
        return []
    return _packed(slide)


def _divided(pending: Sequence[str]) -> tuple[list[str], list[str]]:
    """The paragraphs between two cells: those that read the last output, and those that lead to the next cell.

    The second begin at the first bold label or formula, table or list, or with the last paragraph where it ends in a colon or a question.
    """
    first = next((i for i, paragraph in enumerate(pending) if paragraph.startswith("**") or is_rich(paragraph)), None)
    if first is None and pending and pending[-1].rstrip("*_ ").endswith((":", "?")):
        first = len(pending) - 1
    elif first is None:
        first = next((i for i, paragraph in enumerate(pending) if "**Predict" in paragraph or "**Before you" in paragraph), len(pending))
    elif first > 0 and is_rich(pending[first]) and pending[first - 1].endswith(":"):
        first -= 1
    if pending and first == 0 and not pending[0].startswith("**") and not is_rich(pending[0]) and len(sentences(pending[0])) > 1:
        *said, last = sentences(pending[0])  # "It found the span. And for a question without an answer?"
        prompt = next((i for i, sentence in enumerate(said) if sentence.startswith("**")), len(said))
        return [" ".join(said[:prompt])] if prompt else [], [" ".join([*said[prompt:], last]), *pending[1:]]
    return list(pending[:first]), list(pending[first:])


def _lead(before: Sequence[str]) -> tuple[str, list[Block]]:
    """The title that a label gives, and what is shown of the text that leads to a cell."""
    title, blocks = "", []
    for number, paragraph in enumerate(before):
        match = _labelled(paragraph)
        if is_rich(paragraph):
            blocks.append(rich_block(paragraph))
        elif match and PROMPT.match(match["label"]):
            blocks += _prompt(match)
        else:
            if match and not title:
                title = inline_html(match["label"].rstrip(".:"))
            last = number == len(before) - 1 or is_rich(before[number + 1])
            blocks += _said_and_asked(match["rest"] if match else paragraph, last)
    return title, blocks


def _said_and_asked(text: str, last: bool) -> list[Block]:
    """Of a paragraph its first sentence, or the one that ends in a colon where what it announces follows; and what it asks for."""
    text, prompt = _parted(text)
    blocks = []
    if said := sentences(text):
        shown = said[-1] if last and said[-1].endswith((":", "?")) else said[0]
        if len(shown.split()) <= 45:
            blocks.append(text_block(shown, "lead"))
    return blocks + prompt


def _parted(text: str) -> tuple[str, list[Block]]:
    """A paragraph up to the place where it asks the room for something, and that as a block."""
    asked = re.search(r"(?:(?<=\s)|^)\*\*(Predict|Before you|Compute)", text)
    match = _labelled(text[asked.start() :]) if asked else None
    return (text[: asked.start()].strip(), _prompt(match)) if asked and match else (text, [])


def _labelled(paragraph: str) -> re.Match[str] | None:
    """A paragraph that begins with a bold label, "**By hand.** ..." or "**Predict** ...", and not with a word in bold type."""
    match = LABEL.match(paragraph)
    ends = match and (match["colon"] or match["label"].endswith((".", "?", "!", ":", '"')))
    return match if match and (ends or PROMPT.match(match["label"])) else None


def _prompt(match: re.Match[str]) -> list[Block]:
    """What the room is asked to do before the output is shown."""
    rest = first_sentences(match["rest"], 40) if match["rest"].strip() else ""
    return [text_block(f"**{match['label']}**{match['colon']} {rest if len(rest.split()) <= 60 else ''}".strip(), "prompt")]


def _say_after(slide: Slide, paragraphs_after: Sequence[str]) -> None:
    """Put what reads an output into the notes of its slide, and its first sentence under the output where there is room."""
    if not paragraphs_after:
        return
    slide.notes += _notes(paragraphs_after)
    slide.seconds += _talking(" ".join(paragraphs_after))
    text = next((paragraph for paragraph in paragraphs_after if not is_rich(paragraph)), "")
    text = f"{match['label']} {match['rest']}" if (match := _labelled(text)) else text
    if slide.kind != "cell" or STOCK.match(text) or not re.match(r'[A-Z0-9`"“*$]', text):
        return
    said = sentences(text)
    shown = " ".join(said[:2]) if len(said) > 1 and len(said[0].split()) < 7 else said[0]
    block = text_block(shown, "takeaway", fragment=True, joined=True)
    if len(shown.split()) <= 36 and not shown.endswith(":") and _height([*slide.blocks, block]) <= BODY:
        slide.blocks.append(block)


# --- quizzes -------------------------------------------------------------------------------------------------------------


def _quiz(source: str) -> QuestionSet | None:
    """The questions that a cell shows with show_quiz(...), if it does."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    for node in tree.body:
        call = node.value if isinstance(node, ast.Expr) else None
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "show_quiz":
            return load_set(*(ast.literal_eval(argument) for argument in call.args))
    return None


def _quiz_slides(asked: QuestionSet, heading: str) -> list[Slide]:
    """A slide for each question: unfolded, a choice and its reason take as much room again."""
    slides = []
    for question in asked.questions:
        alone = QuestionSet(asked.quiz, asked.id, asked.title, (question,))
        block = Block(f'<div class="panel quiz">{quiz_html(alone)}</div>', BODY / 2, BODY / 2)
        slides.append(Slide(f"Quiz: {panel.inline_html(asked.title)}", "quiz", heading, [block], [_answer(question)], PER_QUESTION))
    live = f"make poll ARGS='--quiz {asked.quiz} --set {asked.id}'"
    slides[0].notes.append(f'<p class="aside">Live, from the phones of the room: <code>{html.escape(live)}</code></p>')
    return slides


def _answer(question: Question) -> str:
    if question.kind == "numeric":
        unit = f" {question.unit}" if question.unit else ""
        return f"<p><b>{question.answer:g}{html.escape(unit)}.</b> {panel.inline_html(question.why)}</p>"
    verdicts = [
        f"<li><b>{VERDICTS[question.kind, choice.right]}</b> {panel.inline_html(choice.text)}: {panel.inline_html(choice.why)}</li>"
        for choice in question.choices
    ]
    return f"<ul>{''.join(verdicts)}</ul>"


# --- room and time -------------------------------------------------------------------------------------------------------


def _packed(slide: Slide) -> list[Slide]:
    """The slide, or several where its blocks need more room than one has; notes and time stay with the first."""
    groups: list[list[Block]] = [[]]
    for block in slide.blocks:
        if groups[-1] and not block.joined and _height([*groups[-1], block]) > BODY:
            groups.append([])
        groups[-1].append(block)
    if len(groups) > 1 and groups[-1] and not any(block.fragment for block in groups[0]):
        groups[1:] = [_awaited(group) for group in groups[1:]]
    slides = [Slide(slide.title, slide.kind, slide.kicker, group) for group in groups]
    slides[0].notes, slides[0].seconds = slide.notes, slide.seconds
    for later in slides[1:]:
        later.notes = ['<p class="aside">Still the cell of the slide before.</p>']
    return slides


def _awaited(group: list[Block]) -> list[Block]:
    """Blocks of a slide of their own: going there is the key press that the first output waited for."""
    return [replace(group[0], fragment=False), *group[1:]]


def _height(blocks: Iterable[Block]) -> float:
    blocks = list(blocks)
    return sum(block.least for block in blocks) + GAP * (len(blocks) - 1)


def _talking(text: str) -> float:
    return PER_WORD * len(text.split())


def _notes(texts: Iterable[str]) -> list[str]:
    return [to_html(text) for text in texts]


def _add_timings(talk: Talk) -> None:
    """Say in the notes when each section begins and how long it takes, on the second slide all of it, and list the sections there."""
    opening, *others = talk.sections
    rows, clock = [], 0
    for section in talk.sections:
        begins = f"{clock // 60}:{clock % 60:02}"
        extra = f", {len(section.exercises)} exercises" if len(section.exercises) > 1 else ", 1 exercise" if section.exercises else ""
        extra += f", cells run for {section.run_seconds:.0f} s" if section.run_seconds >= 1 else ""
        rows.append(f"<tr><td>{begins}</td><td>{section.minutes} min</td><td>{html.escape(section.title)}{extra}</td></tr>")
        said = f"Begins {begins} into the talk; {section.minutes} of {talk.minutes} minutes, estimated{extra}."
        section.slides[0].notes.insert(0, f'<p class="clock">{said}</p>')
        clock += section.minutes
    ran = "was not run as a whole here yet (<code>make course</code>)"
    if talk.run_seconds is not None:
        ran = f"took {talk.run_seconds:.0f} s to run as a whole on the machine that made these slides"
    agenda = opening.slides[1]
    agenda.notes += [
        f"<p>The notebook {ran}. Minutes are counted from words and cells (docs/teaching.md); no class has measured them.</p>",
        f"<table>{''.join(rows)}</table>",
        "<p>Imports are left out on the slides. Exercises are not in the minutes.</p>",
    ]
    items = "".join(f"<li>{section.slides[0].title}</li>" for section in others)
    height = 40.0 * -(-len(others) // 2) + 20
    agenda.blocks.append(Block(f'<ol class="sections">{items}</ol>', height, height))
