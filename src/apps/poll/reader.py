"""The reader of "Break the reader", in a process of its own: no vote waits for it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from src import runtime


class Reader:
    """Answers one question after another. Its process starts when one is asked."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None
        self._queue = ThreadPoolExecutor(1, "reader")

    async def __call__(self, question: str, passage: str, accepted: Sequence[str]) -> Any:
        """The reader's {"text": "" where it refuses, "score": in [0, 1], "right": bool}.

        Raises:
            OSError, ValueError: the process ended.
        """
        asked = (question, passage, accepted)
        return await asyncio.get_running_loop().run_in_executor(self._queue, self._ask, asked)

    def _ask(self, asked: tuple) -> Any:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "src.apps.poll.reader"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=runtime.COURSE,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                start_new_session=True,  # Ctrl+C is the poll's
                text=True,
            )
        process = self._process
        try:
            print(json.dumps(asked), file=process.stdin, flush=True)
            return json.loads(process.stdout.readline())
        except (OSError, ValueError):
            self.close()
            raise

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def main() -> None:
    """Answer lines of JSON until there are no more, as when the poll has died."""
    runtime.configure_libraries()
    from src.qa import QuestionAnswerer
    from src.qa.metrics import HALF_RIGHT, f1

    os.nice(5)  # after votes
    reader = QuestionAnswerer.load(precision="fp32")  # "auto" would measure first
    for line in sys.stdin:
        question, passage, accepted = json.loads(line)
        answer = reader(question, passage)
        right = f1(answer.text, accepted) >= HALF_RIGHT
        told = json.dumps({"text": answer.text, "score": answer.score, "right": right})
        try:
            print(told, flush=True)
        except BrokenPipeError:
            os._exit(0)  # the poll died meanwhile, and nobody wants a traceback


if __name__ == "__main__":
    main()
