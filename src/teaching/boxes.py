"""A learner's own words in boxes: what a cell makes of them is made again, by the kernel."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING

from IPython.display import display

if TYPE_CHECKING:
    import ipywidgets

LONG = 60  # characters, from which a text gets lines to write on
NOTE = "(In a running notebook a box to type in is here.)"


def text_boxes(show: Callable[..., object], **texts: str) -> None:
    """Show what `show` makes of some texts; below it, boxes to put your own in.

    What is shown first is stored with the notebook. Without ipywidgets there are no boxes.

    Args:
        show: gets the texts by their names, and returns something to display. Where it raises
            ValueError or LookupError of a text in a box, the error's sentence is shown.
        texts: what to begin with, such as question="Who discovered oxygen?".
    """
    display(show(**texts))
    display_controls(lambda: controls(show, **texts))


def controls(show: Callable[..., object], **texts: str) -> ipywidgets.VBox:
    """Make a box for each text, a button, and the place where the result comes."""
    import ipywidgets as widgets

    def again(_: object = None) -> None:
        mine = {name: box.value for name, box in boxes.items()}
        if mine == texts:
            return
        texts.update(mine)
        button.description, button.disabled = "computing ...", True
        result.outputs = ()
        try:
            result.append_display_data(show(**mine))
        except (LookupError, ValueError) as error:
            result.append_display_data(widgets.Label(str(error)))
        finally:
            button.description, button.disabled = "Show", False

    wide, boxes = widgets.Layout(width="98%"), {}
    for name, text in texts.items():
        kind = widgets.Textarea if len(text) > LONG else widgets.Text
        boxes[name] = kind(text, description=name, continuous_update=False, layout=wide)
        if kind is widgets.Text:  # where Enter ends it
            boxes[name].observe(again, "value")
    button, result = widgets.Button(description="Show"), widgets.Output()
    button.on_click(again)
    return widgets.VBox([*boxes.values(), button, result])


def display_controls(make: Callable[[], ipywidgets.Widget]) -> None:
    """Display the widget that `make` makes, where ipywidgets is installed.

    What a stored notebook keeps of it is a sentence.
    """
    if importlib.util.find_spec("ipywidgets") is not None:
        display(make()._repr_mimebundle_() | {"text/plain": NOTE}, raw=True)
