"""Answer a large file of questions, on one process or on many, with the same result to the byte.

What a model computes can depend, in its last digits, on which questions share a batch, on the precision, and on how many threads
divide a sum. So all three are fixed before work begins: the questions are cut into chunks by their number alone, every process
takes the next chunk that nobody has, and computes it on one processor core, or on a GPU of its own, in the plan's precision.

What a run leaves beside its output FILE: FILE.parts/ with plan.json and, until the output is whole, one part for every finished
chunk. A run that was killed is started again by the same command, on any number of processes, and does what is missing.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset

# torch's own name for it is private; it is the one thing that all processes can count in without waiting for each other.
from torch.distributed.distributed_c10d import _get_default_store

from src import runtime
from src.qa.answerer import QuestionAnswerer
from src.qa.dataset import fingerprint
from src.qa.processes import (
    RunError,
    alone_in,
    check_arguments,
    ending_with_the_others,
    join,
    read_plan,
    told_by_first,
    write_json,
    write_whole,
)

PLAN = "plan.json"
# Small enough that processes share the work evenly, within limits that keep batches full and files few.
CHUNKS, SMALLEST_CHUNK, LARGEST_CHUNK = 32, 8, 256
DIGITS = 6  # of a score
SECONDS_TO_SEE = 10.0  # that a file written on one host may take to show on the others

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """What decides every byte of the output, fixed when a run is started and followed by whoever goes on with it.

    arguments: what the output is made from (fingerprints of questions and model, threshold, max_length, doc_stride); a resume
    must ask for the same. chunk_size: questions computed together. precision: "bf16" or "fp32". machines: that took part, for
    the record, since unlike processors can differ in the last digits. finished: sha256 of the output, once it is whole.
    """

    arguments: dict
    chunk_size: int
    precision: str
    machines: list[str] = field(default_factory=list)
    finished: str | None = None

    @property
    def key(self) -> str:
        """What a part names to belong to this plan."""
        return _sha256(json.dumps([self.arguments, self.chunk_size, self.precision], sort_keys=True).encode())


@dataclass(frozen=True)
class Answered:
    """A file of answers: of how many questions, and what this call cost.

    answered: questions with an answer; the others are refused. found: questions that earlier calls had done. seconds: of this
    call. questions_per_second: over all processes while they answered, loading left out; 0 where nothing was missing.
    """

    output: Path
    questions: int
    answered: int
    found: int
    seconds: float
    questions_per_second: float
    precision: str
    threshold: float
    processes: int


def answer_many(
    questions: Dataset,
    output: str | Path,
    model: str | Path = "qa-minilm",
    threshold: float | None = None,
    report: Callable[[dict], None] | None = None,
) -> Answered:
    """Answer all `questions` into the file `output`: one JSON object a line (id, text, start, end, score, null_score), in their order.

    Under torchrun or `accelerate launch` all processes share the work; `output` must be on a disk that all of them see.
    questions: rows in SQuAD's columns. model, threshold: as `QuestionAnswerer.load` takes them. report: called in the first
    process with a progress dict (phase, step, steps: chunks; seconds, planned_seconds, examples_per_second); None prints a
    line now and then.
    A refusal has text "", start = end = 0, and the score of the best span. Scores are rounded to six digits.
    The file appears when it is whole, and not before. What an earlier call left unfinished is gone on with, and a finished
    file is returned without computing, so a cell can run twice.
    Raises RunError when `output` is from other questions, another model or threshold, or from somebody else; when it cannot be
    written; when another command is answering into it; and when another process of this command is gone.
    """
    called = time.perf_counter()
    if not len(questions):
        raise RunError("found no questions to answer; pass at least one.")
    output = Path(output)
    parts = output.with_name(f"{output.name}.parts")
    state = join()
    with _writing(output):
        _check_output(output, parts)
    alone = alone_in(parts, state, f"answering into {output}", "output")
    with runtime.one_thread(), runtime.keeping_memory(), ending_with_the_others(state, _advice(parts)):
        qa = QuestionAnswerer.load(model, threshold)
        with _writing(output), alone:
            return _run(called, questions, output, parts, qa, report or runtime.print_progress(), state)


def chunk_size(questions: int) -> int:
    """How many of so many questions are computed together. It must not depend on the number of processes."""
    return min(max(-(-questions // CHUNKS), SMALLEST_CHUNK), LARGEST_CHUNK)


def _run(
    called: float,
    questions: Dataset,
    output: Path,
    parts: Path,
    qa: QuestionAnswerer,
    report: Callable[[dict], None],
    state: PartialState,
) -> Answered:
    """Plan, or read the plan in `parts`; answer what is missing; put the output together. called: when `answer_many` was."""
    plan = _make_plan(questions, output, parts, qa, state)
    chunks = range(-(-len(questions) // plan.chunk_size))
    missing: list[int] = []
    speed = 0.0
    if not _is_finished(output, plan):
        plan = _start(plan, parts, state)
        missing = [number for number in chunks if _read_part(parts, number, plan) is None] if state.is_main_process else []
        missing = told_by_first(missing, state)
        qa = QuestionAnswerer(qa.model, qa.tokenizer, qa.threshold, qa.max_length, qa.doc_stride, plan.precision, qa.temperature)
        speed = _answer_missing(called, missing, questions, parts, plan, qa, report, state)
        if state.is_main_process:
            _put_together(output, parts, plan, chunks, state)
    result = None
    if state.is_main_process:
        for part in parts.glob("*part-*"):  # with what a kill left half written
            part.unlink(missing_ok=True)
        result = Answered(
            output=output,
            questions=len(questions),
            answered=sum(json.loads(line)["text"] != "" for line in output.read_bytes().splitlines()),
            found=len(questions) - _count(missing, questions, plan),
            seconds=round(time.perf_counter() - called, 2),
            questions_per_second=round(speed, 2),
            precision=plan.precision,
            threshold=qa.threshold,
            processes=state.num_processes,
        )
        report(_progress("finished", len(chunks), len(chunks), result.seconds, result.seconds, speed or None))
    return told_by_first(result, state)


# ---------------------------------------------------------------------------------------------------------------- the plan


def _make_plan(questions: Dataset, output: Path, parts: Path, qa: QuestionAnswerer, state: PartialState) -> Plan:
    """The plan in `parts`, or a new one, the same in all processes. RunError when another run is recorded there."""
    arguments = {
        "questions": fingerprint(questions),
        "model": _fingerprint_of_model(qa),
        "threshold": qa.threshold,
        "max_length": qa.max_length,
        "doc_stride": qa.doc_stride,
    }
    for number, others in enumerate(gather_object([arguments])):
        for name, value in others.items():
            if value != arguments[name]:
                raise RunError(
                    f"process {number} has {name}={value!r}, process {state.process_index} has {name}={arguments[name]!r}; "
                    f"give all hosts the same files."
                )
    plan = read_plan(parts / PLAN, Plan)
    if plan is not None:
        check_arguments(parts, plan.arguments, arguments, f"choose another output, or delete that folder and {output.name}.")
    return told_by_first(plan or Plan(arguments, chunk_size(len(questions)), _precision(state.device)), state)


def _precision(device: torch.device) -> str:
    """What `device` is built to compute in. By its kind, for a measurement, as in QuestionAnswerer, may come out differently next time."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if device.type == "cpu" and runtime.has_quick_bf16() else "fp32"


def _fingerprint_of_model(qa: QuestionAnswerer) -> str:
    """sha256 over the weights and the vocabulary."""
    digest = hashlib.sha256(json.dumps(qa.tokenizer.get_vocab(), sort_keys=True).encode())
    for name, tensor in qa.model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return f"sha256 {digest.hexdigest()[:16]}"


def _start(plan: Plan, parts: Path, state: PartialState) -> Plan:
    """Write the plan down, with the machines that take part, and see to it that all processes find it there."""
    machines = sorted({*plan.machines, *gather_object([runtime.machine()])})
    plan = replace(plan, machines=machines, finished=None)
    if state.is_main_process:
        write_json(parts / PLAN, asdict(plan))
    state.wait_for_everyone()
    seen = _soon(lambda: plan if read_plan(parts / PLAN, Plan) == plan else None, state)
    where = f"process {state.process_index} on {socket.gethostname()}"
    _raise_any(None if seen else f"{where} does not see {parts / PLAN}; choose an output on a disk that all hosts share.")
    return plan


def _check_output(output: Path, parts: Path) -> None:
    """RunError for an output that would overwrite something of somebody else's."""
    if output.is_dir():
        raise RunError(f"{output} is a folder; name a file, such as {output / 'answers.jsonl'}.")
    if output.exists() and not (parts / PLAN).is_file():
        raise RunError(f"{output} is there already and not from this command; choose another output, or move it away.")


def _is_finished(output: Path, plan: Plan) -> bool:
    """Whether the output is there and whole. RunError when it was changed since."""
    if plan.finished is None or not output.is_file():
        return False
    if _sha256(output.read_bytes()) != plan.finished:
        raise RunError(f"{output} was changed since it was written; choose another output, or move it away to have it made again.")
    return True


# -------------------------------------------------------------------------------------------------------------- answering


def _answer_missing(
    called: float,
    missing: list[int],
    questions: Dataset,
    parts: Path,
    plan: Plan,
    qa: QuestionAnswerer,
    report: Callable[[dict], None],
    state: PartialState,
) -> float:
    """Answer the chunks `missing`, shared with the other processes. Returns questions per second over all of them."""
    start = time.perf_counter()
    total = -(-len(questions) // plan.chunk_size)
    launcher = os.getppid()
    take, finish = _counter(state), _counter(state)
    problem = None
    try:
        while (place := take()) < len(missing):
            if state.num_processes > 1 and os.getppid() != launcher:
                raise RunError(f"the program that started this process is gone; {_advice(parts)}")
            rows = _rows(questions, missing[place], plan)
            _write_part(parts, missing[place], plan, _lines(rows, qa))
            done = finish() + 1
            if state.is_main_process:
                now = time.perf_counter()
                planned = start - called + (now - start) / done * len(missing)
                speed = done * plan.chunk_size / (now - start)
                report(_progress("answering", total - len(missing) + done, total, now - called, planned, speed))
    except OSError as error:
        problem = _cannot_write(parts, error)
    _raise_any(problem)  # after everybody's last chunk, so that one full disk is told once, by the first process
    return _count(missing, questions, plan) / (time.perf_counter() - start)


def _count(chunks: Iterable[int], questions: Dataset, plan: Plan) -> int:
    """Questions in these chunks; the last chunk of all may be smaller than the others."""
    return sum(min(plan.chunk_size, len(questions) - number * plan.chunk_size) for number in chunks)


def _rows(questions: Dataset, number: int, plan: Plan) -> dict[str, list]:
    """The columns of one chunk."""
    return questions[number * plan.chunk_size : (number + 1) * plan.chunk_size]


def _lines(rows: dict[str, list], qa: QuestionAnswerer) -> bytes:
    """The answers of one chunk, a line of JSON each."""
    lines = []
    for qid, answer in zip(rows["id"], qa(rows["question"], rows["context"], n_best=1), strict=True):
        scores = {"score": round(answer.score, DIGITS), "null_score": round(answer.null_score, DIGITS)}
        found = {"id": qid, "text": answer.text, "start": answer.start, "end": answer.end} | scores
        lines.append(json.dumps(found, ensure_ascii=False) + "\n")
    return "".join(lines).encode()


def _counter(state: PartialState) -> Callable[[], int]:
    """Counts from zero over all processes together: no number comes twice, whoever asks."""
    if state.num_processes == 1:
        return itertools.count().__next__
    store, key = _get_default_store(), told_by_first(uuid.uuid4().hex, state)
    return lambda: store.add(key, 1) - 1


def _progress(phase: str, step: int, steps: int, seconds: float, planned_seconds: float, examples_per_second: float | None) -> dict:
    names = ("phase", "step", "steps", "seconds", "planned_seconds", "examples_per_second")
    return dict(zip(names, (phase, step, steps, seconds, planned_seconds, examples_per_second), strict=True))


def _raise_any(problem: str | None) -> None:
    """RunError in all processes when one of them has a problem: the first is the one that is heard."""
    problems = [found for found in gather_object([problem]) if found]
    if problems:
        raise RunError(problems[0])


# -------------------------------------------------------------------------------------------------------- what is on disk


def _part(parts: Path, number: int) -> Path:
    return parts / f"part-{number:06}.jsonl"


def _write_part(parts: Path, number: int, plan: Plan, lines: bytes) -> None:
    """A part is one line that says what it belongs to and what it holds, then the answers."""
    head = json.dumps({"plan": plan.key, "sha256": _sha256(lines)}).encode()
    write_whole(_part(parts, number), head + b"\n" + lines)


def _read_part(parts: Path, number: int, plan: Plan) -> bytes | None:
    """The answers of one chunk, or None where they are not there, damaged, or from another plan: to be computed."""
    try:
        head, lines = _part(parts, number).read_bytes().split(b"\n", 1)
        return lines if json.loads(head) == {"plan": plan.key, "sha256": _sha256(lines)} else None
    except (FileNotFoundError, ValueError):
        return None


def _put_together(output: Path, parts: Path, plan: Plan, chunks: Iterable[int], state: PartialState) -> None:
    """Write the output from all parts, whole or not at all, and record that it is finished."""
    bodies = []
    for number in chunks:
        lines = _soon(lambda number=number: _read_part(parts, number, plan), state)
        if lines is None:
            raise RunError(f"{_part(parts, number)} was damaged or removed after it was written; start the same command again.")
        bodies.append(lines)
    whole = b"".join(bodies)
    if output.exists() and output.read_bytes() != whole:
        raise RunError(f"{output} was made by somebody else in the meantime; move it away and start the same command again.")
    fresh = parts / "whole"  # here, where a kill leaves nothing behind that the next run would not write over
    fresh.write_bytes(whole)
    os.replace(fresh, output)
    write_json(parts / PLAN, asdict(replace(plan, finished=_sha256(whole))))


def _soon(read: Callable[[], T | None], state: PartialState) -> T | None:
    """What `read` returns; while that is None and there are other processes, asked again, for theirs may be on another host."""
    deadline = time.monotonic() + SECONDS_TO_SEE
    while (found := read()) is None and state.num_processes > 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _advice(parts: Path) -> str:
    return f"what is finished is kept in {parts}: the same command, on any number of processes, goes on from there."


@contextmanager
def _writing(output: Path) -> Iterator[None]:
    """Within it, what the operating system refuses becomes one sentence."""
    try:
        yield
    except OSError as error:
        raise RunError(_cannot_write(output, error)) from None


def _cannot_write(path: Path, error: OSError) -> str:
    return f"{path} cannot be written ({error.strerror or error}); make room, or choose another output."


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
