"""The reference of src: every public name of every module, with its own docstring, none of it imported."""

from __future__ import annotations

import html
import importlib
import inspect
import re
from pathlib import Path

import pytest

from tools import reference

MODULES = reference.modules()
PAGES = reference.pages(MODULES)


def words_of(page: str) -> str:
    """The words of a page without its marks, so that it can be compared with a docstring."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_every_module_with_a_docstring_has_a_page_that_the_first_page_lists() -> None:
    files = {module.path for module in MODULES}
    assert files == {path.relative_to(reference.ROOT).as_posix() for path in (reference.ROOT / "src").rglob("*.py")}
    for module in MODULES:
        if module.doc and module.name != "src":
            assert f"{module.name}.md" in PAGES
            assert f"]({module.name}.md)" in PAGES["index.md"]
            group = PAGES[f"{reference.slug(reference.group_of(module.name))}.md"]
            assert f"\n{module.name}\n" in group


@pytest.mark.parametrize("name", ["src.attention", "src.text", "src.qa.metrics", "src.teaching.quizzes"])
def test_a_page_has_what_python_itself_says_of_a_module(name: str) -> None:
    """The page is made from the source alone; here the module is imported and asked."""
    module, page = importlib.import_module(name), PAGES[f"{name}.md"]
    public = {key: value for key, value in vars(module).items() if getattr(value, "__module__", "") == name and not key.startswith("_")}
    shown = set(re.findall(r"^:::+\{py:(?:function|class)\} (\w+)", page, re.MULTILINE))
    assert shown == {key for key, value in public.items() if callable(value)} and len(shown) > 2
    for key in shown:
        doc = public[key].__doc__
        if doc and not doc.startswith(f"{key}("):  # a dataclass without a docstring gets its signature as one
            for word in " ".join(inspect.cleandoc(doc).replace("`", " ").split()).split():
                assert word in words_of(page), f"{key}: {word}"


def test_arguments_shapes_and_results_are_shown() -> None:
    page = PAGES["src.attention.md"]
    start = "scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None=None) -> tuple[Tensor, Tensor]"
    assert f":::{{py:function}} {start}" in page
    assert "mask: bool[..., T, S], True where attention is allowed; None allows all." in page


def made(source: str) -> str:
    """The page of a module with this source."""
    module = reference.Module("src.example", "src/example.py", inspect.cleandoc(source))
    return reference.module_page(module, reference.addresses([module]))


def test_classes_show_what_they_are_called_with() -> None:
    page = made('''
        """Doc."""
        @dataclass(frozen=True)
        class Point:
            """A point."""
            x: float
            y: float = 0.0
        class Layer(nn.Module):
            """A layer."""
            def __init__(self, D: int, *, bias: bool = True) -> None: ...
            def forward(self, x: Tensor) -> Tensor:
                """The output."""
            @property
            def size(self) -> int:
                """How many."""
            @classmethod
            def load(cls, name: str) -> Layer:
                """One that was saved."""
            def _inner(self):
                """Not for readers."""
            async def wait(self) -> None:
                """Later."""
    ''')
    assert "{py:class} Point(x: float, y: float = 0.0)\n" in page and "{py:class} Layer(D: int, *, bias: bool=True)\n" in page
    assert "A kind of <code>nn.Module</code>" in page
    assert "{py:method} forward(x: Tensor) -> Tensor\n" in page and "{py:property} size\n:type: int\n" in page
    assert "{py:method} load(name: str) -> src.example.Layer\n:classmethod:\n" in page and "{py:method} wait() -> None\n:async:\n" in page
    assert "_inner" not in page


def test_types_that_several_modules_have_lead_to_the_one_that_is_meant() -> None:
    assert "-> src.training.Run" in PAGES["src.dates.md"]
    assert "-> src.qa.runs.FinetuneRun" in PAGES["src.qa.training.md"]


def test_headings_of_a_file_divide_its_page_and_private_names_are_left_out() -> None:
    page = made('''
        """Doc."""
        def one(): "First."
        # --- two *stars*, and more ------
        def _hidden(): "No."
        def two(): "Second."
    ''')
    assert "hidden" not in page
    assert page.index("one()") < page.index("## Two \\*stars\\*, and more") < page.index("two()")


def test_docstrings_are_text_whose_lines_and_code_stay() -> None:
    text = reference.docstring_html(
        "Add `a` & b <fast>.\n\na: int[N]   b: int[N], which goes\non here\nReturns int[N].\n\n    add(1,\n        `2`)\n\nSee `src.text`.",
        {"src.text": "src.text.html"},
    )
    assert text == (
        '<div class="docstring"><p>Add <code>a</code> &amp; b &lt;fast&gt;.</p>'
        "<p>a: int[N]   b: int[N], which goes on here<br>Returns int[N].</p><pre>add(1,\n    `2`)</pre>"
        '<p>See <a href="src.text.html"><code>src.text</code></a>.</p></div>'
    )


def test_the_longest_name_decides_the_group() -> None:
    assert [reference.group_of(name) for name in ("src.text", "src.texts", "src.qa.dataset", "src.rnn", "src.apps.web")] == [
        *("The ground", "Subjects", "Question answering", "Subjects", "Programs")
    ]


def test_nothing_of_src_is_imported(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "loud.py").write_text('"""A module that must not run."""\nraise SystemExit("it ran")\n')
    assert "A module that must not run." in reference.pages(reference.modules(tmp_path))["src.loud.md"]
