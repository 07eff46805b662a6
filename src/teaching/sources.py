"""The source of the course's classes and functions, shown highlighted in notebooks."""

import html
import inspect
import sysconfig
from pathlib import Path

from src.runtime import COURSE
from src.teaching.panel import Panel, style


def show_source(*objects: object) -> None:
    """Show where each of `objects` is written and its highlighted source, in the order given.

    They are classes, functions, methods, properties or modules.

    Raises:
        TypeError: one has no Python source.
    """
    if not objects:
        raise TypeError("show_source needs at least one class or function to show.")
    # All are looked up before the first is displayed.
    for source, heading in [(source_of(item), _heading(item)) for item in objects]:
        title = f'<div class="h">{html.escape(heading, quote=False)}</div>'
        Panel(source_box(title, source_pre(source)), f"# {heading}\n{source.rstrip()}").show()


def source_of(item: object) -> str:
    """The source of a class, function, method, property or module, without indent.

    Raises:
        TypeError: it has none in Python.
    """
    try:
        lines, _ = inspect.getsourcelines(_written(item))  # type: ignore[arg-type]
    except (OSError, TypeError):
        wanted = "show_source takes classes, functions and modules that are written in Python"
        raise TypeError(f"{repr(item)[:60]} has no Python source; {wanted}.") from None
    indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    # Not textwrap.dedent: a docstring that starts further left must not keep a method indented.
    return "".join(line.removeprefix(indent) for line in lines).rstrip() + "\n"


def highlight(code: str) -> str:
    """Python `code` as HTML for `source_box`, with a span around each kind that source.css names.

    There are few kinds, so that stored HTML is half again as long as the code, not five times.
    """
    from pygments.lexers import PythonLexer
    from pygments.token import Comment, Keyword, Name, Number, Operator, String

    kinds = {
        String.Doc: "c",
        Comment: "c",
        String: "s",
        Number: "n",
        Keyword: "k",
        Operator.Word: "k",
        Name.Function: "f",
        Name.Class: "f",
        Name.Decorator: "f",
    }
    runs: list[list[str]] = []  # kind and text; neighbours of one kind become one span
    for token, text in PythonLexer(stripnl=False, ensurenl=False).get_tokens(code):
        kind = next((kind for parent, kind in kinds.items() if token in parent), "")
        if runs and (runs[-1][0] == kind or not text.strip()):
            runs[-1][1] += text
        else:
            runs.append([kind, text])
    shown = ""
    for kind, text in runs:
        escaped = html.escape(text, quote=False)
        shown += f'<span class="{kind}">{escaped}</span>' if kind else escaped
    return shown


def source_box(*parts: str) -> str:
    """Pieces of HTML in the opaque box whose style `highlight` relies on."""
    return f'{style("source.css")}<div class="wta wta-src">{"".join(parts)}</div>'


def source_pre(code: str) -> str:
    """One highlighted block of Python for `source_box`."""
    return f"<pre>{highlight(code.rstrip())}</pre>"


def _written(item: object) -> object:
    """The object whose source is wanted: what a property or a decorator wraps."""
    item = item.fget if isinstance(item, property) else item
    return inspect.unwrap(item) if callable(item) else item


def _heading(item: object) -> str:
    # Without the line, which would be another one after each change above it.
    path = Path(inspect.getsourcefile(_written(item)) or "")  # type: ignore[arg-type]
    if "ipykernel" in str(path) or path.name.startswith("<ipython-input"):
        return "a cell of this notebook"
    paths = sysconfig.get_paths()
    for root in (Path(paths["purelib"]), Path(paths["stdlib"]), COURSE):
        if path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    return path.as_posix()
