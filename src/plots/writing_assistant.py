"""The writing assistant: a beginning, three continuations, each token with its probability.

show_continuations(three_continuations(model, "We are having"))   as it is stored in a page
WritingAssistant({"GPT": gpt, "SmolLM2": smol})                   to type into, in a notebook
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from src.language_models import Continuation, LanguageModel, three_continuations
from src.plots.primitives import html_panel
from src.teaching.boxes import display_controls
from src.teaching.panel import Panel

if TYPE_CHECKING:
    import ipywidgets

LEGEND = (
    "Number and tint of each token: how likely the model found it at its place, in percent. "
    "■: it ended the text."
)


def show_continuations(continuations: Sequence[Continuation], model: str = "") -> Panel:
    """Show continuations of one beginning, each token tinted by its probability.

    `model` is the name of the model that wrote them, if it is to be shown.
    """
    beginning, by = continuations[0].beginning, f" ({model})" if model else ""
    items = [f'<li style="margin:.35em 0">{tinted(each)}</li>' for each in continuations]
    content = (
        f'<strong>{html.escape(beginning)}</strong> ...<span style="opacity:.7">{html.escape(by)}'
        f'</span><ol style="margin:.2em 0 .2em 1.6em;padding:0">{"".join(items)}</ol>'
        f'<div style="opacity:.7;font-size:90%;line-height:1.4">{LEGEND}</div>'
    )
    rows = [f"  {number}. {in_text(each)}" for number, each in enumerate(continuations, start=1)]
    return html_panel(
        content, "\n".join([f"{beginning} ...{by}", *rows, LEGEND]), "line-height:2.1"
    )


def tinted(continuation: Continuation) -> str:
    """A continuation as HTML: each token on a tint, its percents above it as ruby text."""
    spans = []
    for token, prob in zip(continuation.tokens, continuation.probs, strict=True):
        number, shown = html.escape(_percents(prob)), html.escape(token.replace("\n", "↵"))
        tint = f"background:rgba(0,114,178,{0.06 + 0.54 * prob:.2f});border-radius:3px"
        above = f'<rp> (</rp><rt style="font-size:65%">{number}</rt><rp>)</rp>'
        look = f'style="{tint};padding:1px 2px;white-space:pre-wrap" title="{number} %"'
        spans.append(f"<ruby {look}>{shown}{above}</ruby>")
    return "".join(spans) + " ■" * continuation.ended


def in_text(continuation: Continuation) -> str:
    """A continuation as plain text, each token followed by its percents."""
    tokens = [token.replace("\n", "↵").strip() for token in continuation.tokens]
    pairs = zip(tokens, map(_percents, continuation.probs), strict=True)
    return " ".join(f"{token} ({number})" for token, number in pairs) + " ■" * continuation.ended


def _percents(prob: float) -> str:
    return "<1" if 0 < prob < 0.005 else f"{100 * prob:.0f}"


class WritingAssistant:
    """Type a beginning, choose a model, get three continuations, take one, and go on.

    In a notebook it shows an example, and below it the line to type in where ipywidgets is
    installed. The first model is chosen at first; a continuation has n tokens at most.
    """

    def __init__(
        self,
        models: Mapping[str, LanguageModel],
        beginning: str = "We are having a great learning",
        n: int = 12,
    ):
        self.models, self.beginning, self.n = dict(models), beginning, n

    def continue_(self, model: str, beginning: str, seed: int) -> list[Continuation]:
        """Write three continuations with the model of this name."""
        return three_continuations(self.models[model], beginning, self.n, seed)

    def example(self) -> Panel:
        """Show what a page keeps: continuations of the first beginning by the first model."""
        model = next(iter(self.models))
        return show_continuations(self.continue_(model, self.beginning, seed=0), model)

    def controls(self) -> ipywidgets.VBox:
        """Make the line to type in, the models to choose from, and three continuations to take."""
        import ipywidgets as widgets

        wide = widgets.Layout(width="98%")
        line = widgets.Text(self.beginning, continuous_update=False, layout=wide)
        model = widgets.Dropdown(options=list(self.models), description="model")
        others = widgets.Button(description="three others", tooltip="draw again", icon="refresh")
        says = widgets.HTML("Change the line and press Enter.")
        narrow = widgets.Layout(width="5.5em")
        takes = [widgets.Button(description=f"take {n}", layout=narrow) for n in (1, 2, 3)]
        rows = [widgets.HBox([take, widgets.HTML(layout=wide)]) for take in takes]
        seed, found = 0, []

        def write(_: object = None) -> None:
            nonlocal found
            says.value = f"{html.escape(model.value)} is writing ..."
            found = self.continue_(model.value, line.value, seed)
            for row in rows:
                row.layout.visibility = "hidden"
            for row, continuation in zip(rows, found, strict=False):
                text = f'<div style="line-height:2.1">{tinted(continuation)}</div>'
                row.children[1].value, row.layout.visibility = text, "visible"
            says.value = LEGEND

        def draw_again(_: object) -> None:
            nonlocal seed
            seed += 1
            write()

        def take(button: widgets.Button) -> None:
            taken = found[takes.index(button)]
            line.value = taken.beginning + taken.text  # which writes, since the line has changed

        line.observe(write, "value")
        model.observe(write, "value")
        others.on_click(draw_again)
        for row in rows:
            row.children[0].on_click(take)
            row.layout.visibility = "hidden"
        return widgets.VBox([line, widgets.HBox([model, others]), says, *rows])

    def _ipython_display_(self) -> None:
        self.example().show()
        display_controls(self.controls)
