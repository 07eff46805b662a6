"""The source of the course's classes and functions, shown highlighted in notebooks."""

from __future__ import annotations

import functools
import html
import inspect
import sysconfig
from pathlib import Path
from types import FunctionType, MethodType, ModuleType

from src.runtime import COURSE
from src.teaching.panel import UNBOXED, Panel

# Few kinds of token, so that the stored HTML is half again as long as the code, not five times.
# kind -> colour on the light and on the dark background; tests keep their contrast at 4.5 or more.
BACKGROUNDS = ("#f6f8fa", "#1f2329")
COLOURS = {
    "t": ("#24292f", "#d8dee4"),  # text
    "k": ("#a0207f", "#e08ad0"),  # keywords
    "s": ("#0a5a9c", "#8cc2ff"),  # strings
    "c": ("#57606a", "#9aa4af"),  # comments and docstrings
    "n": ("#8a4600", "#f0a860"),  # numbers
    "f": ("#5b3cc4", "#b9a5ff"),  # names being defined, decorators
}
# How JupyterLab, the Sphinx themes, Colab and VS Code mark a dark page. Others get the light box.
DARK_PAGES = (
    "[data-jp-theme-light=false]",
    "[data-theme=dark]",
    "[theme=dark]",
    ".vscode-dark",
)


def show_source(*objects: object) -> None:
    """Show where each of `objects` is written and its highlighted source, in the order given.

    Args:
        objects: classes, functions, methods, properties or modules written in Python.

    Raises:
        TypeError: one of them has no Python source; the message says what to do.
    """
    if not objects:
        raise TypeError("show_source needs at least one class or function to show.")
    # All are looked up before the first is displayed.
    for heading, source in [(_heading(item), source_of(item)) for item in objects]:
        title = f'<div class="h">{html.escape(heading, quote=False)}</div>'
        Panel(source_box(title, source_pre(source)), f"# {heading}\n{source.rstrip()}").show()


def source_of(item: object) -> str:
    """The source of a class, function, method, property or module, without indent.

    Raises:
        TypeError: it has no Python source.
    """
    lines, _ = _source_lines(item)
    indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    # Not textwrap.dedent: a docstring that starts further left must not keep a method indented.
    return "".join(line.removeprefix(indent) for line in lines).rstrip() + "\n"


def highlight(code: str) -> str:
    """Python `code` as HTML for `source_box`, with a span around each of the kinds in COLOURS."""
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
    return f'<style>{UNBOXED}{_style()}</style><div class="wta wta-src">{"".join(parts)}</div>'


def source_pre(code: str) -> str:
    """One highlighted block of Python for `source_box`."""
    return f"<pre>{highlight(code.rstrip())}</pre>"


def _written(item: object) -> object:
    """The object whose source is wanted: what a property or a decorator wraps."""
    item = item.fget if isinstance(item, property) else item
    return inspect.unwrap(item) if callable(item) else item


def _source_lines(item: object) -> tuple[list[str], int]:
    """The lines of an object's source and the number of the first."""
    written = _written(item)
    name = getattr(item, "__qualname__", getattr(item, "__name__", ""))
    if isinstance(written, type | FunctionType | MethodType | ModuleType):
        try:
            lines, line = inspect.getsourcelines(written)
            return lines, max(line, 1)
        except (OSError, TypeError):
            pass
    elif not (name and callable(item)):
        kind, shown = type(item).__name__, repr(item)[:60]
        raise TypeError(
            f"show_source needs a class, a function or a module; got {shown}. "
            f"For its class: show_source({kind})."
        )
    raise TypeError(f"{name} has no Python source to show; its help is in help({name}).")


def _heading(item: object) -> str:
    """Where the object is written: a path in the course, a package's file, or the notebook."""
    _, line = _source_lines(item)
    path = Path(inspect.getsourcefile(_written(item)) or "")  # type: ignore[arg-type]
    if "ipykernel" in str(path) or path.name.startswith("<ipython-input"):
        return f"a cell of this notebook, line {line}"
    paths = sysconfig.get_paths()
    for root in (Path(paths["purelib"]), Path(paths["stdlib"]), COURSE):
        if path.is_relative_to(root):
            path = path.relative_to(root)
            break
    return f"{path.as_posix()}, line {line}"


@functools.cache
def _style() -> str:
    """The style of a source box: its own opaque background, light unless the page is dark."""
    box = ".wta.wta-src"  # two classes, to win over what JupyterLab says of every <pre>
    light, dark = (
        "".join(f"--{kind}:{pair[page]};" for kind, pair in COLOURS.items())
        + f"--bg:{BACKGROUNDS[page]}"
        for page in (0, 1)
    )
    edge = "1px solid rgba(128,128,128,.35)"
    rules = {
        box: f"{light};background:var(--bg);color:var(--t);border:{edge};border-radius:4px;"
        "margin:.4em 0",
        ",".join(f"{page} {box}" for page in DARK_PAGES): dark,
        f"{box} pre": "background:none;color:inherit;border:0;box-shadow:none;margin:0;"
        "padding:.4em .8em;overflow-x:auto;"
        "font:12.5px/1.45 ui-monospace,Menlo,Consolas,monospace;white-space:pre;word-break:normal",
        f"{box} .h": "color:var(--c);background:none;font:12px/1.4 system-ui,sans-serif;"
        f"padding:.3em .8em;border-bottom:{edge}",
        **{f"{box} .{kind}": f"color:var(--{kind})" for kind in COLOURS if kind != "t"},
    }
    return "".join(f"{selector}{{{rule}}}" for selector, rule in rules.items())
