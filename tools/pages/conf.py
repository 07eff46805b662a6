"""Sphinx's settings for the site. No page asks another host: they work offline, also as files."""

import importlib
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tools import badges

_repository = badges.repository()
_published = badges.is_published(_repository)

project = "Words to Answers"
author = "the authors of Words to Answers"
copyright = "the authors; code MIT, text and questions CC BY 4.0, Wikipedia passages CC BY-SA 4.0"
language = "en"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
nb_execution_mode = "off"  # the notebooks come executed
nb_ipywidgets_js = {}  # outputs never depend on widgets, whose script would come from a CDN
nb_merge_streams = True
nb_code_prompt_show, nb_code_prompt_hide = "Show the code", "Hide the code"
smartquotes = False  # quotation marks stay as they are written
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 4
mathjax_path = "vendor/tex-svg-full.js"  # put there by tools/build_site.py

add_module_names = False
python_use_unqualified_type_names = True  # types lead to their full name, and show its last part
toc_object_entries_show_parents = "hide"
autosummary_generate = False
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "special-members": "__call__",
    "ignore-module-all": True,  # each thing is explained once, where it is written
}
autodoc_inherit_docstrings = False  # those of torch are not ours, and not written for Sphinx
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # the fields of a dataclass are described once
napoleon_use_rtype = False

html_theme = "sphinx_book_theme"
html_title = project
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
templates_path = ["_templates"]
html_css_files = ["course.css"]
html_js_files = [(name, {"defer": "defer"}) for name in ("course.js", "terms.js", "progress.js")]
html_search_scorer = str(Path(__file__).with_name("_static") / "scorer.js")
html_context = {"default_mode": "auto"}
html_copy_source = False
html_show_sourcelink = False
html_use_index = html_domain_indices = False  # the reference's own pages list everything
html_theme_options = {
    "show_toc_level": 2,
    "collapse_navbar": True,  # each page names its own branch only: a quarter of the time to build
    "use_download_button": False,
    "use_fullscreen_button": False,
    "use_repository_button": _published,
    "navbar_persistent": [],  # no second search field above the page
    "primary_sidebar_end": [],  # the theme's place for advertisements
    **({"repository_url": _repository} if _published else {}),
}

GOOGLE = re.compile(r"(Args|Attributes|Returns|Yields|Raises|Example):$")


def plain_text(app, what, name, obj, options, lines):
    """Docstrings are plain text: indented paragraphs are code, Google's sections and lists stay as
    they are, and other lines lose their indents."""
    made, section, in_code, in_list = [], None, False, False
    for before, line in zip(["", *lines], list(lines), strict=False):
        indented = line.startswith(" ")
        if line and not indented:
            section = GOOGLE.match(line)
        if section and section[1] == "Raises":
            line = re.sub(r"(?<=^ {4})\w+(?=:)", lambda word: full_name(word[0], name), line)
        in_code = indented and not section and (in_code or not before)
        begins = line.startswith("- ") and (in_list or not before or before.endswith(":"))
        in_list = begins or (in_list and indented)
        if begins and before and not before.startswith((" ", "- ")):
            made.append("")
        if in_code and not in_list:
            made += [line] if before else ["::", "", line]
        else:
            made.append(without_marks(line if section or in_list else line.strip()))
    lines[:] = made


def full_name(word, name):
    """An exception with its module, as `name` knows it: several modules have a `Problem`."""
    while name and name not in sys.modules:
        name = name.rpartition(".")[0]
    module = getattr(getattr(sys.modules.get(name), word, None), "__module__", "")
    return f"~{module}.{word}" if module.startswith("src.") else word


def without_marks(line):
    """A line in which `x` is code, and everything else that Sphinx takes for a mark is a sign."""
    pieces = re.split(r"``?([^`]+)``?", line)
    for number, piece in enumerate(pieces):
        signs = re.sub(r"([\\*|`]|(?<=\w)_(?!\w)|(?<=\w):(?=\w))", r"\\\1", piece)
        pieces[number] = f"``{piece.strip()}``" if number % 2 else signs
    return "".join(pieces)


def no_tuple_fields(app, what, name, obj, skip, options):
    """A named tuple's fields say only "Alias for field number 0"."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def load_modules(app):
    """Import what is explained before Sphinx divides the pages among processes, and not in each."""
    for page in sorted(Path(app.srcdir).glob("reference/*.md")):
        importlib.import_module(page.stem)


def setup(app):
    """Math may be in outputs and quizzes, which Sphinx does not look into: load MathJax always."""
    app.connect("builder-inited", load_modules)
    app.set_html_assets_policy("always")
    app.connect("autodoc-process-docstring", plain_text, priority=100)  # before napoleon
    app.connect("autodoc-skip-member", no_tuple_fields)
