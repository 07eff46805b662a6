"""Things to explore in a page, such as a map of words: a box that holds its data, and a script."""

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.teaching.panel import Panel


def explorable(kind: str, data: Mapping[str, Any], script: str, text: str) -> Panel:
    """Make a box that a script beside this file brings to life in the page, without a network.

    Args:
        kind: by which the script finds its boxes, in `begin(kind, ...)`.
        data: what the script is given, anything that JSON holds.
        script: a file such as "word_map.js"; explore.js goes before it.
        text: what reads where no script runs.
    """
    stored = html.escape(json.dumps(data, ensure_ascii=False, separators=(",", ":")))
    files = [Path(__file__).parent / name for name in ("explore.js", script)]
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    box = f'<div class="wta wta-{kind}" data-{kind}="{stored}"><p>{html.escape(text)}</p></div>'
    return Panel(f"{box}<script>(function () {{\n{source}}})();</script>", text)
