"""The writing assistant: type a beginning, get three continuations, each token with its probability (notebook 05).

    show_continuations(three_continuations(model, "We are having a great learning"))      as it is stored in a page
    WritingAssistant({"GPT": gpt, "SmolLM2": smol})                                       to type into, in Jupyter and Colab

A page has the first example only, as HTML without scripts; what one types into needs a running notebook.
"""

from __future__ import annotations

import html
import importlib.util
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from IPython.display import display

from src.language_models import Continuation, LanguageModel, three_continuations
from src.teaching.panel import UNBOXED, Panel

if TYPE_CHECKING:
    import ipywidgets

BLUE = "0,114,178"  # the style's first colour; translucent, so that light and dark pages read alike
LEGEND = "Number and tint of each token: how likely the model found it at its place, in percent. ■: it ended the text."


def show_continuations(continuations: Sequence[Continuation], model: str = "") -> Panel:
    """Show continuations of one beginning, each token tinted by its probability, with the number above it.

    model: the name of the model that wrote them, if it is to be shown. Raises ValueError where there is none to show.
    """
    if not continuations:
        raise ValueError("there is no continuation to show; three_continuations(model, beginning) gives some.")
    beginning = continuations[0].beginning
    lines = "".join(f'<li style="margin:.35em 0">{tinted(continuation)}</li>' for continuation in continuations)
    by = f' <span style="opacity:.7">({html.escape(model)})</span>' if model else ""
    content = (
        f'<style>{UNBOXED}</style><div class="wta" style="max-width:56em;line-height:2.1">'
        f"<strong>{html.escape(beginning)}</strong> ...{by}"
        f'<ol style="margin:.2em 0 .2em 1.6em;padding:0">{lines}</ol>'
        f'<div style="opacity:.7;font-size:90%;line-height:1.4">{LEGEND}</div></div>'
    )
    rows = [f"  {number}. {in_text(continuation)}" for number, continuation in enumerate(continuations, start=1)]
    return Panel(content, "\n".join([f"{beginning} ...{f' ({model})' if model else ''}", *rows, LEGEND]))


def tinted(continuation: Continuation) -> str:
    """A continuation as HTML: every token on a background as strong as it was likely, its percents above it as ruby text."""
    spans = []
    for token, prob in zip(continuation.tokens, continuation.probs, strict=True):
        number = html.escape(_percents(prob))
        style = f"background:rgba({BLUE},{0.06 + 0.54 * prob:.2f});border-radius:3px;padding:1px 2px;white-space:pre-wrap"
        above = f'<rp> (</rp><rt style="font-size:65%">{number}</rt><rp>)</rp>'
        spans.append(f'<ruby style="{style}" title="{number} %">{html.escape(_visible(token))}{above}</ruby>')
    return "".join(spans) + _end(continuation)


def in_text(continuation: Continuation) -> str:
    """A continuation as plain text, each token followed by its percents."""
    tokens = zip(continuation.tokens, continuation.probs, strict=True)
    return " ".join(f"{_visible(token).strip()} ({_percents(prob)})" for token, prob in tokens) + _end(continuation)


def _visible(token: str) -> str:
    return token.replace("\n", "↵")


def _end(continuation: Continuation) -> str:
    return " ■" if continuation.ended else ""  # the model itself ended the text


def _percents(prob: float) -> str:
    return "<1" if 0 < prob < 0.005 else f"{100 * prob:.0f}"


class WritingAssistant:
    """Type a beginning, choose a model, get three continuations, take one, and go on.

    models: name -> LanguageModel, the first is chosen at first   beginning: to start with   n: tokens of a continuation, at most
    In a notebook it shows three continuations of the beginning, and below them, where ipywidgets is installed, the line to type in.
    """

    def __init__(self, models: Mapping[str, LanguageModel], beginning: str = "We are having a great learning", n: int = 12):
        if not models:
            raise ValueError("the writing assistant needs a model; give it some, such as {'SmolLM2': PretrainedModel()}.")
        self.models, self.beginning, self.n = dict(models), beginning, n

    def continue_(self, model: str, beginning: str, seed: int) -> list[Continuation]:
        """Three continuations by the model of this name."""
        return three_continuations(self.models[model], beginning, self.n, seed)

    def example(self) -> Panel:
        """What a page keeps: three continuations of the first beginning by the first model."""
        model = next(iter(self.models))
        return show_continuations(self.continue_(model, self.beginning, seed=0), model)

    def controls(self) -> ipywidgets.VBox:
        """The line to type in, the models to choose from, and a place for three continuations, each with a button that takes it."""
        import ipywidgets as widgets

        wide = widgets.Layout(width="98%")
        text = widgets.Text(self.beginning, description="beginning", continuous_update=False, layout=wide)
        model = widgets.Dropdown(options=list(self.models), description="model")
        others = widgets.Button(description="three others", tooltip="draw again", icon="refresh")
        says = widgets.HTML("Change the line and press Enter.")
        takes = [widgets.Button(description=f"take {number}", layout=widgets.Layout(width="5.5em")) for number in (1, 2, 3)]
        shown = [widgets.HTML(layout=wide) for _ in takes]
        rows = [widgets.HBox(row) for row in zip(takes, shown, strict=True)]
        seed, found = 0, []

        def write(_: object = None) -> None:
            nonlocal found
            says.value = f"{html.escape(model.value)} is writing ..."
            found = self.continue_(model.value, text.value, seed)
            for number, (place, row) in enumerate(zip(shown, rows, strict=True)):
                there = number < len(found)
                place.value = f'<div style="line-height:2.1">{tinted(found[number])}</div>' if there else ""
                row.layout.visibility = "visible" if there else "hidden"
            says.value = LEGEND

        def draw_again(_: object) -> None:
            nonlocal seed
            seed += 1
            write()

        def take(number: int) -> None:
            text.value = found[number].beginning + found[number].text  # which writes, since the line has changed

        text.observe(write, "value")
        model.observe(write, "value")
        others.on_click(draw_again)
        for number, (button, row) in enumerate(zip(takes, rows, strict=True)):
            button.on_click(lambda _, number=number: take(number))
            row.layout.visibility = "hidden"
        return widgets.VBox([text, widgets.HBox([model, others]), says, *rows], layout=widgets.Layout(width="100%"))

    def _ipython_display_(self) -> None:
        self.example().show()
        if importlib.util.find_spec("ipywidgets") is not None:
            # What a stored notebook keeps of a widget is its text, so that says what to do.
            bundle = self.controls()._repr_mimebundle_()
            display(bundle | {"text/plain": "(In a running notebook a line to type in stands here.)"}, raw=True)
