"""The source of the course's classes and functions, highlighted, in the notebook: nothing is defined twice to be shown."""

from __future__ import annotations

import ast
import functools
import html
import inspect
import sysconfig
from pathlib import Path
from types import CodeType, FrameType, FunctionType, MethodType, ModuleType, TracebackType
from typing import Literal

from src.teaching.panel import UNBOXED, Panel

COURSE = Path(__file__).resolve().parents[2]

Docstring = Literal["show", "fold", "hide"]

# Few kinds of token, so that the stored HTML stays half again as long as the code rather than five times.
# kind -> colour on the light and on the dark background; the tests keep every pair at a contrast of at least 4.5.
BACKGROUNDS = ("#f6f8fa", "#1f2329")
COLOURS = {
    "t": ("#24292f", "#d8dee4"),  # text
    "k": ("#a0207f", "#e08ad0"),  # keywords
    "s": ("#0a5a9c", "#8cc2ff"),  # strings
    "c": ("#57606a", "#9aa4af"),  # comments and docstrings
    "n": ("#8a4600", "#f0a860"),  # numbers
    "f": ("#5b3cc4", "#b9a5ff"),  # names being defined, decorators
}
# How JupyterLab, the Sphinx themes, Colab and VS Code mark a dark page. Unmarked dark pages get the light box, which is
# opaque and so still readable.
_DARK_PAGES = ("[data-jp-theme-light=false]", "[data-theme=dark]", "[theme=dark]", ".vscode-dark")


def show_source(*objects: object, docstring: Docstring = "show", body: bool = True) -> None:
    """Show where each of `objects` is written and its highlighted source, in the order given.

    objects: classes, functions, methods, properties or modules written in Python.
    docstring: "show"; "fold" puts the docstring of each object behind a line to click on; "hide" leaves it out.
    body: False shows signatures and docstrings only (of a class: its fields and the signatures of its methods).
    Raises TypeError, saying what to do, for an object without Python source.
    """
    if not objects:
        raise TypeError("show_source needs at least one class or function, for example show_source(WordVectors).")
    if docstring not in ("show", "fold", "hide"):
        raise ValueError(f"docstring is {docstring!r}; use 'show', 'fold' or 'hide'.")
    for shown in [_Shown.of(item, docstring, body) for item in objects]:  # all are looked up before the first is displayed
        shown.panel().show()


def source_of(item: object) -> str:
    """The source of a class, function, method, property or module, unindented. Raises TypeError as `show_source` does."""
    lines, _ = _source_lines(_written(item), item)
    indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    # Not textwrap.dedent: a line of a docstring that starts further left must not keep a method indented.
    return "".join(line.removeprefix(indent) for line in lines).rstrip() + "\n"


def highlight(code: str) -> str:
    """Python `code` as HTML for `source_box`: escaped, with <span class="k"> and the like around the kinds in COLOURS."""
    from pygments.lexers import PythonLexer
    from pygments.token import Comment, Keyword, Name, Number, Operator, String

    kinds = (
        (String.Doc, "c"),
        (String, "s"),
        (Comment, "c"),
        (Number, "n"),
        (Keyword, "k"),
        (Operator.Word, "k"),
        (Name.Function, "f"),
        (Name.Class, "f"),
        (Name.Decorator, "f"),
    )
    runs: list[tuple[str, str]] = []  # neighbours of one kind become one span
    for token, text in PythonLexer(stripnl=False, ensurenl=False).get_tokens(code):
        kind = next((name for parent, name in kinds if token in parent), "")
        if runs and (runs[-1][0] == kind or not text.strip()):
            runs[-1] = (runs[-1][0], runs[-1][1] + text)
        else:
            runs.append((kind, text))
    escaped = [(kind, html.escape(text, quote=False)) for kind, text in runs]
    return "".join(f'<span class="{kind}">{text}</span>' if kind else text for kind, text in escaped)


def source_box(*parts: str) -> str:
    """Pieces of HTML (headings, `source_pre`, folded docstrings) in the opaque box whose style `highlight` relies on."""
    return f'<style>{UNBOXED}{_style()}</style><div class="wta wta-src">{"".join(parts)}</div>'


def source_pre(code: str) -> str:
    """One highlighted block of Python for `source_box`."""
    return f"<pre>{highlight(code.rstrip())}</pre>"


class _Shown:
    """One object on its way to the page: a heading, and its source in up to three parts around the docstring."""

    def __init__(self, heading: str, parts: list[tuple[str, bool]]) -> None:
        self.heading = heading
        self.parts = parts  # source, whether it is folded

    @classmethod
    def of(cls, item: object, docstring: Docstring, body: bool) -> _Shown:
        written = _written(item)
        source = source_of(item)
        if not body:
            source = outline(source)
        parts = [(source, False)]
        if docstring != "show":
            before, doc, after = _split_docstring(source)
            parts = [(before, False), (doc, True), (after, False)] if docstring == "fold" else [(before + after, False)]
        return cls(_heading(written, item), [(text, fold) for text, fold in parts if text.strip()])

    def panel(self) -> Panel:
        """The object as HTML and as plain text; the plain text holds everything, since it cannot fold."""
        blocks = [f'<div class="h">{html.escape(self.heading, quote=False)}</div>']
        for text, fold in self.parts:
            summary = "docstring: " + text.strip().strip("\"'r").split("\n")[0]
            block = source_pre(text)
            blocks.append(f"<details><summary>{html.escape(summary, quote=False)}</summary>{block}</details>" if fold else block)
        plain = "".join(text for text, _ in self.parts).rstrip()
        return Panel(source_box(*blocks), f"# {self.heading}\n{plain}")


def outline(source: str) -> str:
    """`source` of a function, class or module reduced to signatures, fields and docstrings; each left-out body becomes `...`."""
    lines = source.splitlines()
    kept: list[str] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            has_doc = ast.get_docstring(node) is not None
            last = node.body[0].end_lineno if has_doc else node.body[0].lineno - 1
            if kept and not isinstance(node, ast.ClassDef):
                kept.append("")
            kept.extend(lines[first - 1 : max(last or 0, node.lineno)])
            if isinstance(node, ast.ClassDef):
                for inner in node.body[has_doc:]:
                    visit(inner)
            elif node.body[0].lineno > node.lineno:  # else the body stands on the line of the signature, already kept
                kept.append(" " * (node.col_offset + 4) + "...")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            kept.extend(lines[node.lineno - 1 : node.end_lineno])

    for node in ast.parse(source).body:
        visit(node)
    return "\n".join(kept) + "\n"


def _split_docstring(source: str) -> tuple[str, str, str]:
    """`source` up to the docstring of its first definition, that docstring's lines, and the rest; ("all", "", "") without one."""
    tree = ast.parse(source)
    node = tree if ast.get_docstring(tree) is not None else (tree.body[0] if tree.body else tree)
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or ast.get_docstring(node) is None:
        return source, "", ""
    lines = source.splitlines(keepends=True)
    first, last = node.body[0].lineno - 1, node.body[0].end_lineno or 0
    return "".join(lines[:first]), "".join(lines[first:last]), "".join(lines[last:])


def _written(item: object) -> object:
    """The object whose source is wanted: what a property, a partial or a decorator stands in front of."""
    if isinstance(item, property) and item.fget is not None:
        item = item.fget
    if isinstance(item, functools.cached_property):
        item = item.func
    while isinstance(item, functools.partial):
        item = item.func
    return inspect.unwrap(item) if callable(item) else item


def _source_lines(written: object, item: object) -> tuple[list[str], int]:
    kinds = (type, FunctionType, MethodType, ModuleType, CodeType, FrameType, TracebackType)
    if not isinstance(written, kinds):
        name = getattr(item, "__name__", None)
        if name and callable(item):
            raise TypeError(f"{name} has no Python source to show: it is compiled code. Its help is in help({name}).")
        kind = type(item).__name__
        raise TypeError(f"show_source needs a class, a function or a module; got {_short(item)}. For its class: show_source({kind}).")
    try:
        lines, line = inspect.getsourcelines(written)
    except (OSError, TypeError) as error:
        name = getattr(item, "__qualname__", getattr(item, "__name__", repr(item)))
        raise TypeError(
            f"{name} has no Python source to show: it is built in, compiled, or typed where no file keeps it. Its help is in help({name})."
        ) from error
    if not lines:
        raise TypeError(f"the source of {_short(item)} is empty: there is nothing to show.")
    return lines, max(line, 1)


def _short(item: object) -> str:
    text = repr(item)
    return text if len(text) <= 60 else text[:57] + "..."


def _heading(written: object, item: object) -> str:
    """Where the object is written, for people: a path in the course, a package and file, or the notebook itself."""
    _, line = _source_lines(written, item)
    path = Path(inspect.getsourcefile(written) or "")  # type: ignore[arg-type]
    packages = Path(sysconfig.get_paths()["purelib"])
    if path.is_relative_to(COURSE) and not path.is_relative_to(packages):
        return f"{path.relative_to(COURSE).as_posix()}, line {line}"
    if "ipykernel" in str(path) or path.name.startswith("<ipython-input"):
        return f"a cell of this notebook, line {line}"
    for root in (packages, Path(sysconfig.get_paths()["stdlib"])):
        if path.is_relative_to(root):
            return f"{path.relative_to(root).as_posix()}, line {line}"
    return f"{path}, line {line}"


@functools.cache
def _style() -> str:
    """The style of a source box: its own opaque background, light unless the page says it is dark."""
    box = ".wta.wta-src"  # two classes, to win over what JupyterLab says of every <pre> in an output

    def colours(which: int) -> str:
        return "".join(f"--{kind}:{pair[which]};" for kind, pair in COLOURS.items()) + f"--bg:{BACKGROUNDS[which]}"

    dark = ",".join(f"{page} {box}" for page in _DARK_PAGES)
    rules = (
        (box, f"{colours(0)};background:var(--bg);color:var(--t);border:1px solid rgba(128,128,128,.35);border-radius:4px;margin:.4em 0"),
        (dark, colours(1)),
        (
            f"{box} pre",
            "background:none;color:inherit;border:0;box-shadow:none;margin:0;padding:.4em .8em;overflow-x:auto;"
            "font:12.5px/1.45 ui-monospace,Menlo,Consolas,monospace;white-space:pre;word-break:normal",
        ),
        (f"{box} .h,{box} summary", "color:var(--c);background:none;font:12px/1.4 system-ui,sans-serif;padding:.3em .8em"),
        (f"{box} .h", "border-bottom:1px solid rgba(128,128,128,.35)"),
        (f"{box} summary", "cursor:pointer"),
        *((f"{box} .{kind}", f"color:var(--{kind})") for kind in COLOURS if kind != "t"),
    )
    return "".join(f"{selector}{{{rule}}}" for selector, rule in rules)
