"""tools/handout.py: what is handed out keeps every check, and has no solution and no output."""

import ast
import json
import re

from tools import handout, run_notebooks


def code(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def parsed(cell):
    return ast.parse(re.sub("^%%.*", "", "".join(cell["source"]))).body


def test_solutions_and_outputs_are_gone_and_everything_else_is_there(tmp_path):
    handout.main(tmp_path)
    for stored in run_notebooks.find_notebooks(run_notebooks.ROOT / "notebooks"):
        given = code(tmp_path / stored.name)
        assert not any(cell["outputs"] for cell in given)
        for cell, whole in zip(given, code(stored), strict=True):
            calls = [one for one in parsed(whole) if "solution" not in ast.unparse(one)]
            left = parsed(cell)
            kept = [ast.unparse(one) for one in left if "src.teaching" not in ast.unparse(one)]
            assert kept == [t for t in map(ast.unparse, calls) if "src.teaching" not in t]
            assert "solution" not in ast.unparse(left)
