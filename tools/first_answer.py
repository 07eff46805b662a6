"""Train a reader for a minute on this computer and ask it something: the proof that all is there.

    python tools/first_answer.py build/first_answer.txt

The last step of `make course`. The file says what was trained, and what the model answered.
"""

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from src import runtime

MINUTES = 1.0
QUESTION = "What is the atomic number of oxygen?"  # of the validation articles: none is trained on


def main(target: Path) -> None:
    """Train, ask, and write down what happened."""
    print(f"  training the course's reader further, for {60 * MINUTES:.0f} s:", flush=True)
    runtime.start(seed=0)
    from src.assets import load_passages
    from src.qa import QuestionAnswerer, finetune

    folder = target.with_name("first-reader")
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier `make course`
    run = finetune("qa-minilm", "course", MINUTES, folder, learning_rate=5e-5)
    answer = QuestionAnswerer.load(folder)(QUESTION, load_passages()["Oxygen"].text, threshold=0)
    source = "from Wikipedia's introduction to oxygen, CC BY-SA 4.0"
    target.write_text(
        f"The reader was trained further here for {run.seconds:.0f} s, {run.steps} steps, on the "
        f"course's questions.\n  You:    {QUESTION}\n"
        f"  Reader: {answer.text} ({answer.score:.2f} sure; {source})\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
