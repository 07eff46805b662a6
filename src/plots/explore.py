"""Things to explore in a page, such as a map of words: a box that holds its data, and the script that brings it to life."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.plots.qa import Highlight


def explorable(kind: str, data: Mapping[str, Any], script: str, text: str) -> Highlight:
    """A box that one of the scripts beside this file brings to life. Needs a page that runs scripts, no network.

    kind: the name by which the script finds its boxes, in `begin(kind, ...)`   data: what it is given, anything that JSON holds
    script: such as "word_map.js"; explore.js goes before it   text: what reads where no script runs
    """
    stored = html.escape(json.dumps(data, ensure_ascii=False, separators=(",", ":")))
    source = "".join((Path(__file__).parent / name).read_text(encoding="utf-8") for name in ("explore.js", script))
    box = f'<div class="wta wta-{kind}" data-{kind}="{stored}"><p>{html.escape(text)}</p></div>'
    return Highlight(f"{box}<script>(function () {{\n{source}}})();</script>", text)
