"""Answer a file of questions, by one process or several, and go on where a killed run stopped.

The questions are cut into chunks. In a round every process answers one chunk, and the first
process, the only one that writes, appends the answers to FILE.parts/answers.jsonl. FILE is written
when all are there. FILE.parts/run.json says what the answers are made from: the same command goes
on with its own run, and any other is refused.
"""

import hashlib
import itertools
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset

from src import compute, runtime
from src.files import read_json, write_json, write_whole, writing
from src.qa.answerer import QuestionAnswerer
from src.qa.dataset import fingerprint
from src.qa.processes import RunError, abort_when_a_peer_fails, broadcast, folder_lock, join

RUN, ANSWERS = "run.json", "answers.jsonl"
# Questions that are computed together, whoever does it: in bf16 a score moves by up to 0.03 with
# the questions that share its batch. Chunks of 32 are slower (61 questions/s here, with 64 72).
CHUNK = 64


def answer_many(
    questions: Dataset,
    output: str | Path,
    model: str | Path = "qa-minilm",
    threshold: float | None = None,
    report: Callable[[dict], None] | None = None,
) -> dict:
    """Answer all `questions` into the file `output`, one JSON object a line, in their order.

    A line has id, text, start, end, score and null_score. The file appears when it is whole. Under
    torchrun or `accelerate launch` all processes share the work. After a kill the same call, on any
    number of processes, answers what is missing. A finished file is returned as it is.

    Args:
        questions: rows with id, question and context.
        output: OUTPUT.parts/ beside it keeps what is finished. Only the first process needs to see
            it.
        model, threshold: as `QuestionAnswerer.load` takes them.
        report: called in the first process with a progress dict; None prints a line now and then.

    Returns:
        output, questions, answered (the others are refused), found (done by earlier calls), seconds
        of this call, questions_per_second (loading left out), precision, threshold and processes.

    Raises:
        RunError: `output` is from other questions, another model or threshold, or somebody else;
            it cannot be written; another command answers into it; another process is gone.
    """
    called = time.perf_counter()
    if not len(questions):
        raise RunError("found no questions to answer; pass at least one.")
    output, state = Path(output), join()
    parts = output.parent / f"{output.name}.parts"
    kept = f"what is finished is kept in {parts}: the same command, on any number of processes,"
    with abort_when_a_peer_fails(state, f"{kept} goes on from there."):
        if state.is_main_process:
            _check_output(output, parts)
        qa = QuestionAnswerer.load(model, threshold, precision=_precision(state.device))
        asked = _asked(questions, qa)
        lock = folder_lock(parts, state, f"answering into {output}", "output")
        with writing(output, "output", RunError), lock, compute.keep_malloc_pages():
            done = _begin(questions, parts, asked) if state.is_main_process else []
            found = broadcast(len(done), state)
            start = time.perf_counter()
            _answer_rest(questions, found, done, parts / ANSWERS, qa, report, state)
            seconds = time.perf_counter() - start
            if state.is_main_process:
                _finish(done, output)
        result = {
            "output": str(output),
            "questions": len(questions),
            "answered": sum(bool(answer["text"]) for answer in done),
            "found": found,
            "seconds": round(time.perf_counter() - called, 2),
            "questions_per_second": round((len(questions) - found) / max(seconds, 1e-9), 2),
            "precision": qa.precision,
            "threshold": qa.threshold,
            "processes": state.num_processes,
        }
        return broadcast(result, state)


def _precision(device: torch.device) -> str:
    """By the kind of device: measured, it could differ between processes and after a kill."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if device.type == "cpu" and compute.has_amx_bf16() else "fp32"


def _asked(questions: Dataset, qa: QuestionAnswerer) -> dict:
    """What the answers are made from. RunError where the processes do not have the same."""
    weights = hashlib.sha256()
    for tensor in qa.model.state_dict().values():
        weights.update(tensor.cpu().numpy().tobytes())
    texts = fingerprint(questions.select_columns(["id", "question", "context"]))
    asked = {"questions": texts, "model": f"sha256 {weights.hexdigest()[:16]}"}
    names = ("threshold", "max_length", "doc_stride", "precision")
    asked |= {name: getattr(qa, name) for name in names} | asdict(qa.scaling)
    for number, theirs in enumerate(gather_object([asked])):
        advice = "give all processes the same files, on devices of one kind."
        _compare(f"process {number} has", theirs, asked, advice)
    return asked


def _compare(who: str, theirs: dict, asked: dict, advice: str) -> None:
    for name, value in asked.items():
        if theirs.get(name) != value:
            difference = f"{name}={theirs.get(name)!r}, and this one has {name}={value!r}"
            raise RunError(f"{who} {difference}; {advice}")


def _check_output(output: Path, parts: Path) -> None:
    """RunError for an output that would overwrite something of somebody else's."""
    if output.is_dir():
        raise RunError(f"{output} is a folder; name a file, such as {output / 'answers.jsonl'}.")
    if output.exists() and not (parts / RUN).is_file():
        found = f"{output} is there already and not from this command"
        raise RunError(f"{found}; choose another output, or move it away.")


def _begin(questions: Dataset, parts: Path, asked: dict) -> list[dict]:
    """The answers of earlier calls, to the first questions. RunError where another run is there."""
    if (parts / RUN).is_file():
        advice = "choose another output, or delete that folder and the output."
        _compare(f"{parts} holds a run with", read_json(parts / RUN, dict), asked, advice)
    write_json(parts / RUN, asked)
    file, done = parts / ANSWERS, []
    with suppress(ValueError):  # a kill may have cut a line off
        for line in file.read_bytes().splitlines() if file.exists() else ():
            done.append(json.loads(line))
    if len(done) < len(questions):
        del done[len(done) // CHUNK * CHUNK :]  # a chunk stays together
    write_whole(file, _lines(done))
    return done


def _answer_rest(
    questions: Dataset,
    found: int,
    done: list[dict],
    file: Path,
    qa: QuestionAnswerer,
    report: Callable[[dict], None] | None,
    state: PartialState,
) -> None:
    """Answer all but the first `found` questions, in rounds of one chunk a process.

    The first process adds the answers to `done` and to the file.
    """
    start, chunks = time.perf_counter(), range(found, len(questions), CHUNK)
    report = report or runtime.print_progress()
    for first in range(0, len(chunks), state.num_processes):
        this_round = list(chunks[first : first + state.num_processes])
        with state.split_between_processes(this_round) as mine:
            answers = [_answer(questions[chunk : chunk + CHUNK], qa) for chunk in mine]
        answers = list(itertools.chain(*gather_object(answers)))
        if not state.is_main_process:
            continue
        with file.open("ab") as opened:
            opened.write(_lines(answers))
        done += answers
        seconds, now = time.perf_counter() - start, len(done) - found
        report(
            {
                "phase": "answering",
                "step": -(-len(done) // CHUNK),
                "steps": -(-len(questions) // CHUNK),
                "seconds": seconds,
                "planned_seconds": seconds / now * (len(questions) - found),
                "examples_per_second": now / seconds,
            }
        )


def _answer(rows: dict[str, list], qa: QuestionAnswerer) -> list[dict]:
    answers = zip(rows["id"], qa(rows["question"], rows["context"], n_best=1), strict=True)
    return [
        {"id": question_id, "text": answer.text, "start": answer.start, "end": answer.end}
        | {"score": round(answer.score, 6), "null_score": round(answer.null_score, 6)}
        for question_id, answer in answers
    ]


def _lines(answers: list[dict]) -> bytes:
    return "".join(json.dumps(answer, ensure_ascii=False) + "\n" for answer in answers).encode()


def _finish(done: list[dict], output: Path) -> None:
    """Write the output, or see that it is there. RunError where it holds something else."""
    if not output.exists():
        write_whole(output, _lines(done))
    elif output.read_bytes() != _lines(done):
        others = f"{output} does not hold these answers: somebody else made or changed it"
        raise RunError(f"{others}; move it away, and start the same command again.")
