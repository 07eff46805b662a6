"""Answer a file of questions, by one process or several, and go on where a killed run stopped.

The questions are cut into chunks. In a round every process answers one chunk, and the first
process, the only one that writes, appends the answers to FILE.parts/chunks.jsonl. FILE appears when
all chunks are there. FILE.parts/run.json says what the answers are made from: the same command goes
on with its own run, and any other is refused.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset

from src import compute, runtime
from src.files import read_json, write_json, write_whole, writing
from src.qa.answerer import QuestionAnswerer
from src.qa.processes import RunError, abort_when_a_peer_fails, broadcast, folder_lock, join

RUN, CHUNKS = "run.json", "chunks.jsonl"
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
        questions: rows with the columns id, question and context.
        output: the file to write; OUTPUT.parts/ beside it keeps what is finished. Only the first
            process needs to see it.
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
            done = _begin(questions, output, parts, asked) if state.is_main_process else {}
            missing = [chunk for chunk in range(0, len(questions), CHUNK) if chunk not in done]
            missing = broadcast(missing, state)
            start = time.perf_counter()
            _answer_missing(missing, done, questions, parts, qa, report, state)
            seconds = time.perf_counter() - start
            if state.is_main_process:
                _finish(done, output, parts, asked)
        computed = sum(min(CHUNK, len(questions) - chunk) for chunk in missing)
        result = {
            "output": str(output),
            "questions": len(questions),
            "answered": sum(bool(a["text"]) for answers in done.values() for a in answers),
            "found": len(questions) - computed,
            "seconds": round(time.perf_counter() - called, 2),
            "questions_per_second": round(computed / max(seconds, 1e-9), 2),
        }
        result |= {"precision": qa.precision, "threshold": qa.threshold}
        return broadcast(result | {"processes": state.num_processes}, state)


def _precision(device: torch.device) -> str:
    """By the kind of device: measured, it could differ between processes and after a kill."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if device.type == "cpu" and compute.has_amx_bf16() else "fp32"


def _asked(questions: Dataset, qa: QuestionAnswerer) -> dict:
    """What the answers are made from. RunError where the processes do not have the same."""
    texts = hashlib.sha256()
    for row in zip(questions["id"], questions["question"], questions["context"], strict=True):
        texts.update(json.dumps(row).encode())
    weights = hashlib.sha256(json.dumps(qa.tokenizer.get_vocab(), sort_keys=True).encode())
    for name, tensor in qa.model.state_dict().items():
        weights.update(name.encode())
        weights.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    asked = {
        "questions": f"{len(questions)} questions, sha256 {texts.hexdigest()[:16]}",
        "model": f"sha256 {weights.hexdigest()[:16]}",
    }
    names = ("threshold", "temperature", "max_length", "doc_stride", "precision")
    asked |= {name: getattr(qa, name) for name in names}
    for number, theirs in enumerate(gather_object([asked])):
        advice = "give all processes the same files, on devices of one kind."
        _compare(f"process {number} has", theirs, asked, advice)
    return asked


def _compare(who: str, theirs: dict, asked: dict, advice: str) -> None:
    """RunError that names the first difference."""
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


def _begin(questions: Dataset, output: Path, parts: Path, asked: dict) -> dict[int, list[dict]]:
    """What earlier calls have answered: the number of a chunk's first question -> its answers.

    RunError where `parts` holds another run, or the output was changed since it was written.
    """
    file = parts / RUN
    if file.is_file():
        try:
            run = read_json(file, dict)
        except ValueError:
            raise RunError(f"{file} cannot be read; delete {parts} to start again.") from None
        advice = f"choose another output, or delete that folder and {output.name}."
        _compare(f"{parts} holds a run with", run, asked, advice)
        if output.exists() and "sha256" in run:
            whole = output.read_bytes()
            if run["sha256"] != hashlib.sha256(whole).hexdigest():
                changed = f"{output} was changed since it was written"
                raise RunError(f"{changed}; choose another output, or move it away.")
            answers = [json.loads(line) for line in whole.splitlines()]
            return {i: answers[i : i + CHUNK] for i in range(0, len(answers), CHUNK)}
    write_json(file, asked)
    return _read_chunks(parts / CHUNKS, list(questions["id"]))


def _read_chunks(file: Path, ids: list[str]) -> dict[int, list[dict]]:
    """The chunks that are whole: a kill can cut one off. Their ids are those of the questions."""
    done = {}
    for line in file.read_bytes().splitlines() if file.exists() else ():
        try:
            chunk, answers = json.loads(line)
        except ValueError:
            continue
        if [answer["id"] for answer in answers] == ids[chunk : chunk + CHUNK]:
            done[chunk] = answers
    return done


def _answer_missing(
    missing: list[int],
    done: dict[int, list[dict]],
    questions: Dataset,
    parts: Path,
    qa: QuestionAnswerer,
    report: Callable[[dict], None] | None,
    state: PartialState,
) -> None:
    """Answer these chunks, in rounds of one a process. The first process adds them to `done`."""
    start, total = time.perf_counter(), len(done) + len(missing)
    report = report or runtime.print_progress()
    for first in range(0, len(missing), state.num_processes):
        this_round = missing[first : first + state.num_processes]
        with state.split_between_processes(this_round) as mine:
            answered = [(chunk, _answer(questions[chunk : chunk + CHUNK], qa)) for chunk in mine]
        answered = gather_object(answered)
        if not state.is_main_process:
            continue
        with (parts / CHUNKS).open("ab") as file:
            for chunk_and_answers in answered:
                # On a line of its own, also where a kill has cut the last one off.
                file.write(f"\n{json.dumps(chunk_and_answers)}\n".encode())
        done.update(answered)
        seconds, chunks = time.perf_counter() - start, first + len(answered)
        progress = {"phase": "answering", "step": len(done), "steps": total, "seconds": seconds}
        progress["planned_seconds"] = seconds / chunks * len(missing)
        progress["examples_per_second"] = chunks * CHUNK / seconds
        report(progress)


def _answer(rows: dict[str, list], qa: QuestionAnswerer) -> list[dict]:
    """The answers to one chunk, as they are written."""
    answers = zip(rows["id"], qa(rows["question"], rows["context"], n_best=1), strict=True)
    return [
        {"id": question_id, "text": answer.text, "start": answer.start, "end": answer.end}
        | {"score": round(answer.score, 6), "null_score": round(answer.null_score, 6)}
        for question_id, answer in answers
    ]


def _finish(done: dict[int, list[dict]], output: Path, parts: Path, asked: dict) -> None:
    """Write the output where that was not done, whole or not at all."""
    if not (parts / CHUNKS).exists():
        return
    answers = [answer for chunk in sorted(done) for answer in done[chunk]]
    whole = "".join(json.dumps(answer, ensure_ascii=False) + "\n" for answer in answers).encode()
    if output.exists() and output.read_bytes() != whole:
        others = f"{output} was made by somebody else in the meantime"
        raise RunError(f"{others}; move it away, and start the same command again.")
    write_whole(output, whole)
    write_json(parts / RUN, asked | {"sha256": hashlib.sha256(whole).hexdigest()})
    (parts / CHUNKS).unlink()
