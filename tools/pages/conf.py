"""Sphinx's settings for the site. Nothing here may point to another host: pages work offline, also opened as files."""

import tomllib
from pathlib import Path

_root = Path(__file__).resolve().parents[2]
_repository = tomllib.loads((_root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
_published = ".invalid" not in _repository

project = "Words to Answers"
author = "the authors of Words to Answers"
copyright = "the authors; code MIT, text and questions CC BY 4.0, Wikipedia passages CC BY-SA 4.0"
extensions = ["myst_nb"]
nb_execution_mode = "off"  # the notebooks come executed
nb_ipywidgets_js = {}  # outputs never depend on widgets, whose script would come from a CDN
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
mathjax_path = "vendor/tex-svg-full.js"  # put there by tools/build_site.py
html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_context = {"default_mode": "auto"}
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "use_repository_button": _published,
    **({"repository_url": _repository} if _published else {}),
}


def setup(app):
    """Math may stand in outputs and quizzes, which Sphinx does not look into: load MathJax on every page."""
    app.set_html_assets_policy("always")
