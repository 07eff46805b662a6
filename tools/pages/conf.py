"""Sphinx's settings for the site. Nothing here may point to another host: pages work offline, also opened as files."""

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
extensions = ["myst_nb"]
nb_execution_mode = "off"  # the notebooks come executed
nb_ipywidgets_js = {}  # outputs never depend on widgets, whose script would come from a CDN
nb_merge_streams = True
nb_code_prompt_show, nb_code_prompt_hide = "Show the code", "Hide the code"
smartquotes = False  # quotation marks stay as they are written
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 4
mathjax_path = "vendor/tex-svg-full.js"  # put there by tools/build_site.py
add_module_names = False
python_use_unqualified_type_names = True  # types lead to their full name, and are read by its last part
toc_object_entries_show_parents = "hide"
html_theme = "sphinx_book_theme"
html_title = project
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_js_files = [("course.js", {"defer": "defer"})]
html_context = {"default_mode": "auto"}
html_copy_source = False
html_show_sourcelink = False
html_use_index = html_domain_indices = False  # the reference's own pages list everything, by subject
html_theme_options = {
    "show_toc_level": 2,
    "collapse_navbar": True,  # each page names its own branch: a quarter of the time to build, and of the links to tab through
    "use_download_button": False,
    "use_fullscreen_button": False,
    "use_repository_button": _published,
    "navbar_persistent": [],  # no second search field above the page
    "primary_sidebar_end": [],  # the theme's place for advertisements
    **({"repository_url": _repository} if _published else {}),
}


def setup(app):
    """Math may stand in outputs and quizzes, which Sphinx does not look into: load MathJax on every page."""
    app.set_html_assets_policy("always")
