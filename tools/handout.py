"""Write the notebooks to hand out, without outputs and without solutions: `make handout`.

Their checks and hints stay. The course, which they need, still has the solutions in
src/teaching/exercises.
"""

import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools import build_site, run_notebooks

CALL = re.compile(r'\n?^solution\("[^"]*"\)$|, solution\b', re.MULTILINE)


def handed_out(content: dict) -> dict:
    """A notebook as it is handed out."""
    copy = build_site.without_outputs(content)
    for cell in copy["cells"]:
        if cell["cell_type"] == "code":
            cell["source"] = CALL.sub("", "".join(cell["source"]))
    return copy


def main(folder: Path) -> None:
    """Write all of them into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in run_notebooks.find_notebooks(run_notebooks.ROOT / "notebooks"):
        text = json.dumps(handed_out(json.loads(path.read_text("utf-8"))), ensure_ascii=False)
        (folder / path.name).write_text(text + "\n", encoding="utf-8")
    print(f"Written to {folder}.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
