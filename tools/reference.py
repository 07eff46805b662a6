"""The site's reference of `src`: a page for each module, made of signatures and docstrings, read without importing any of it.

Docstrings are plain text with shapes, and are shown so: paragraphs, a line for each argument, indented lines as code.
"""

from __future__ import annotations

import ast
import copy
import functools
import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECTION = re.compile(r"^# --- (.+?) -+$")  # how modules divide themselves
STARTS = re.compile(r"[\w`*,. ]{1,50}: |(Returns?|Raises|Source|Example)\b|[ -]")  # a docstring's line that does not go on from the last
Function = ast.FunctionDef | ast.AsyncFunctionDef

# The house, in its order: title, what stands there, and how its modules begin; the longest beginning that fits decides.
# Within a group the modules named in FIRST come first, in that order.
GROUPS = (
    (
        "The ground",
        "What every notebook and every module stands on.",
        ("src.runtime", "src.compute", "src.files", "src.assets", "src.text", "src.training"),
    ),
    ("Subjects", "A module for each subject: the code of a notebook is in the module of the same name.", ("src",)),
    ("Question answering", "In the order data flows, from a file of questions to answers and their scores.", ("src.qa",)),
    ("Teaching", "What notebooks teach with: quizzes, exercises with their checks, the glossary.", ("src.teaching",)),
    ("Figures", "Every figure of the course, a file for each subject.", ("src.plots",)),
    ("Programs", "Live polls, the demo, and what they share.", ("src.apps",)),
)
FIRST = (
    *("src.runtime", "src.compute", "src.files", "src.assets", "src.text", "src.training"),
    *("src.embeddings", "src.word2vec", "src.rnn", "src.attention", "src.transformer"),
    *("src.subwords", "src.sampling", "src.language_models", "src.ngrams", "src.pretraining", "src.compression"),
    *("src.qa", "src.qa.__main__", "src.qa.dataset", "src.qa.features", "src.qa.training", "src.qa.decoding", "src.qa.metrics"),
    *("src.qa.answerer", "src.qa.retriever", "src.qa.open_domain"),
)


@dataclass(frozen=True)
class Module:
    """One file of `src`. name: as imported, "src.qa.features"; path: below the course's folder."""

    name: str
    path: str
    source: str

    @functools.cached_property
    def tree(self) -> ast.Module:
        """Its parsed source."""
        return ast.parse(self.source)

    @property
    def doc(self) -> str:
        """Its docstring."""
        return ast.get_docstring(self.tree) or ""

    @functools.cached_property
    def full_names(self) -> dict[str, str]:
        """The names in it that belong to `src`, its own and those it imports, each with the full name: several modules have a `Run`."""
        names = {node.name: f"{self.name}.{node.name}" for node in self.tree.body if isinstance(node, ast.ClassDef)}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("src."):
                names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        return names


def modules(root: Path = ROOT) -> list[Module]:
    """All modules below root/src, sorted by name."""
    found = []
    for path in sorted((root / "src").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")))
    return sorted(found, key=lambda module: module.name)


def pages(found: list[Module]) -> dict[str, str]:
    """The reference as MyST Markdown: file name -> text, "index.md", one for each group, and for each module with something to say."""
    shown = [module for module in found if module.name != "src" and (module.doc or list(definitions(module)))]
    places = addresses(shown)
    made = {"index.md": index_page(shown)} | {f"{module.name}.md": module_page(module, places) for module in shown}
    groups = [(title, about, members(shown, title)) for title, about, _ in GROUPS]
    return made | {f"{slug(title)}.md": group_page(title, about, modules) for title, about, modules in groups if modules}


def group_of(name: str) -> str:
    """The title of the group that a module belongs to."""
    fitting = [(len(start), title) for title, _, starts in GROUPS for start in starts if f"{name}.".startswith(f"{start}.")]
    return max(fitting)[1]


def members(shown: list[Module], title: str) -> list[Module]:
    """The modules of a group, in their order."""
    return sorted((module for module in shown if group_of(module.name) == title), key=_place_in_group)


def index_page(shown: list[Module]) -> str:
    """The reference's first page: the modules by group, each with the first sentence of its docstring."""
    lines = ["# Reference", "", "The course's helper package `src`: what each function takes, returns and refuses, from its docstring."]
    groups = [(title, about) for title, about, _ in GROUPS if members(shown, title)]
    for title, about in groups:
        lines += ["", f"## {title}", "", about, ""]
        lines += [f"- [`{module.name}`]({module.name}.md): {escaped(first_sentence(module.doc))}" for module in members(shown, title)]
    return "\n".join([*lines, "", "```{toctree}", ":hidden:", "", *(slug(title) for title, _ in groups), "```", ""])


def group_page(title: str, about: str, modules: list[Module]) -> str:
    """A page between the first one and the modules', so that the navigation beside a page names its own group and not everything."""
    return "\n".join([f"# {title}", "", about, "", "```{toctree}", ":maxdepth: 1", "", *(module.name for module in modules), "```", ""])


def slug(title: str) -> str:
    """A group's title as a file name."""
    return title.lower().replace(" ", "-")


def _place_in_group(module: Module) -> tuple[int, str]:
    return (FIRST.index(module.name) if module.name in FIRST else len(FIRST), module.name)


def first_sentence(doc: str) -> str:
    """The first sentence of a docstring, of its first paragraph where that is a single one."""
    paragraph = " ".join(doc.split("\n\n")[0].split())
    return re.split(r"(?<=[.?!])\s+(?=[A-Z])", paragraph)[0]


def escaped(text: str) -> str:
    """Plain text for Markdown: what stands in backquotes is code, and no other sign means anything."""
    pieces = re.split(r"(`[^`]+`)", text)
    return "".join(piece if number % 2 else re.sub(r"([\\*_\[\]<>$#|{}~])", r"\\\1", piece) for number, piece in enumerate(pieces))


# --- a module's page -----------------------------------------------------------------------------------------------------


def module_page(module: Module, places: Mapping[str, str]) -> str:
    """A module's docstring, then its public functions and classes under the headings that the file itself has."""
    lines = [f"# `{module.name}`", "", f"```{{py:module}} {module.name}", "```", "", *raw(docstring_html(module.doc, places))]
    heading = ""
    for section, node in definitions(module):
        if section != heading:
            heading = section
            lines += ["", f"## {escaped(section[:1].upper() + section[1:])}"]
        lines += ["", *definition(node, Typed(module.full_names), places)]
    return "\n".join([*lines, "", f"Written in `{module.path}`.", ""])


def definitions(module: Module) -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """The public functions and classes of a module, in its order, each with the heading that it stands under ("" before the first)."""
    headings = [(number, found[1]) for number, line in enumerate(module.source.splitlines(), 1) if (found := SECTION.match(line))]
    for node in module.tree.body:
        if isinstance(node, Function | ast.ClassDef) and is_public(node.name):
            yield next((title for number, title in reversed(headings) if number < node.lineno), ""), node


def is_public(name: str) -> bool:
    """Whether a reader is meant to use it."""
    return not name.startswith("_")


def definition(node: Function | ast.ClassDef, typed: Typed, places: Mapping[str, str]) -> list[str]:
    """A function or class as Sphinx's Python domain wants it, so that search and links find it by name."""
    doc = raw(docstring_html(ast.get_docstring(node) or "", places))
    if isinstance(node, Function):
        return [f":::{{py:function}} {typed.signature(node)}", *_is_async(node), "", *doc, ":::"]
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    lines = [f"::::{{py:class}} {node.name}{typed.constructor(node)}", ""]
    lines += [*raw(f"<p>A kind of <code>{html.escape(bases)}</code>.</p>" if bases else ""), "", *doc]
    for method in node.body:
        if isinstance(method, Function) and (is_public(method.name) or method.name == "__call__") and ast.get_docstring(method):
            lines += ["", *member(method, typed, places)]
    return [*lines, "::::"]


def member(method: Function, typed: Typed, places: Mapping[str, str]) -> list[str]:
    """A method or property of a class."""
    decorators = {ast.unparse(decorator).rpartition(".")[2] for decorator in method.decorator_list}
    doc = raw(docstring_html(ast.get_docstring(method) or "", places))
    if decorators & {"property", "cached_property"}:
        kind = [f":type: {typed.annotation(method.returns)}"] if method.returns else []
        return [f":::{{py:property}} {method.name}", *kind, "", *doc, ":::"]
    options = [f":{name}:" for name in ("classmethod", "staticmethod") if name in decorators] + _is_async(method)
    return [f":::{{py:method}} {typed.signature(method, without_first='staticmethod' not in decorators)}", *options, "", *doc, ":::"]


def _is_async(node: Function) -> list[str]:
    return [":async:"] if isinstance(node, ast.AsyncFunctionDef) else []


class Typed(ast.NodeTransformer):
    """Writes signatures in which types have their full names, so that each leads to its own page; the page shows the last part."""

    def __init__(self, full_names: Mapping[str, str]):
        self._full_names = full_names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """A name that belongs to `src`, in full."""
        return ast.Name(self._full_names.get(node.id, node.id))

    def annotation(self, node: ast.expr) -> str:
        """A type, in full."""
        return ast.unparse(self.visit(copy.deepcopy(node)))

    def signature(self, node: Function, without_first: bool = False) -> str:
        """Name, arguments and result, on one line.   without_first: leave out `self` or `cls`"""
        arguments = copy.deepcopy(node.args)
        if without_first:
            (arguments.posonlyargs or arguments.args).pop(0)
        for argument in ast.walk(arguments):
            if isinstance(argument, ast.arg) and argument.annotation:
                argument.annotation = self.visit(argument.annotation)
        returns = f" -> {self.annotation(node.returns)}" if node.returns else ""
        return f"{node.name}({ast.unparse(arguments)}){returns}"

    def constructor(self, node: ast.ClassDef) -> str:
        """What a class is called with, in parentheses: the arguments of __init__, or a dataclass' or tuple's fields; "" for neither."""
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                return self.signature(method, without_first=True).removeprefix("__init__").removesuffix(" -> None")
        named = {ast.unparse(item).partition("(")[0].rpartition(".")[2] for item in [*node.decorator_list, *node.bases]}
        if not named & {"dataclass", "NamedTuple"}:
            return ""
        fields = [field for field in node.body if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)]
        return f"({', '.join(map(self._field, (field for field in fields if is_public(field.target.id))))})"

    def _field(self, field: ast.AnnAssign) -> str:
        value = f" = {ast.unparse(field.value)}" if field.value else ""
        return f"{ast.unparse(field.target)}: {self.annotation(field.annotation)}{value}"


# --- docstrings ----------------------------------------------------------------------------------------------------------


def raw(text: str) -> list[str]:
    """HTML within a page; nothing for nothing."""
    return ["```{raw} html", text, "```"] if text else []


def docstring_html(doc: str, places: Mapping[str, str]) -> str:
    """A docstring as HTML.   places: what is written in backquotes and has an address gets a link to it"""
    blocks = []
    for block in re.split(r"\n{2,}", doc.strip("\n")):
        lines = block.split("\n")
        if all(line.startswith("    ") for line in lines):
            code = "\n".join(line[4:] for line in lines)
            blocks.append(f"<pre>{html.escape(code, quote=False)}</pre>")
        elif block.strip():
            blocks.append(f"<p>{'<br>'.join(_inline(row, places) for row in rows(lines))}</p>")
    return f'<div class="docstring">{"".join(blocks)}</div>' if blocks else ""


def rows(lines: list[str]) -> list[str]:
    """The lines of a paragraph, put together again where one only went on because the source's line was full."""
    joined: list[str] = []
    for line in lines:
        goes_on = joined and joined[-1][-1:] not in (".", ":", ";") and not joined[-1].startswith(" ")
        if goes_on and not STARTS.match(line):
            joined[-1] += " " + line
        else:
            joined.append(line)
    return joined


def _inline(text: str, places: Mapping[str, str]) -> str:
    pieces = re.split(r"`([^`]+)`", text)
    for number, piece in enumerate(pieces):
        words = html.escape(piece, quote=False)
        if number % 2:
            address = places.get(piece)
            words = f'<a href="{address}"><code>{words}</code></a>' if address else f"<code>{words}</code>"
        pieces[number] = words
    return "".join(pieces)


def addresses(shown: list[Module]) -> dict[str, str]:
    """Where on the site modules, and functions and classes by their full names, are explained."""
    places = {}
    for module in shown:
        places[module.name] = f"{module.name}.html"
        for _, node in definitions(module):
            places[f"{module.name}.{node.name}"] = f"{module.name}.html#{module.name}.{node.name}"
    return places
