"""The command line: `python -m src.qa train | evaluate | answer | ask`.

Bad input ends with status 2 and one line, under torchrun too.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from src import runtime
from src.command import OPTIONS, run_app
from src.qa.metrics import check_threshold

if TYPE_CHECKING:
    from src.qa.decoding import Answer, Candidate
    from src.qa.open_domain import OpenAnswer

runtime.configure_libraries()  # before the first Hugging Face import: no Hub, no progress bars

app = typer.Typer(help="Fine-tune, score and ask a question-answering model.", **OPTIONS)

_SOURCES = "course, squad, squad_v2, or a JSON, JSONL, CSV or TSV file; can be repeated"
_MODELS = "released weights, a folder, or a Hub id"
_TEXTS = "or a folder of .txt, .md, .html, .epub, .docx and .pdf files"
_OUTPUT = "file to write, one JSON object a line; FILE.parts/ keeps what is finished"
DataOption = Annotated[list[str], typer.Option("--data", help=_SOURCES)]
ModelOption = Annotated[str, typer.Option(help=_MODELS)]
SplitOption = Annotated[str, typer.Option(help="which part of a set that has several")]
ThresholdOption = Annotated[
    float | None, typer.Option(help="lowest score that is answered; left out: as it was chosen")
]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")]


@app.command()
def train(
    output_dir: Annotated[Path, typer.Option(help="folder of the run")],
    data: DataOption = ["course"],  # noqa: B006
    model: Annotated[str, typer.Option(help=f"minilm, {_MODELS}")] = "minilm",
    minutes: Annotated[float | None, typer.Option(help="how long training may take")] = None,
    epochs: Annotated[float | None, typer.Option(help="instead: passes over the questions")] = None,
    batch_size: Annotated[int, typer.Option(help="windows per step, over all processes")] = 16,
    learning_rate: Annotated[float | None, typer.Option(help="peak; else by width")] = None,
    max_length: Annotated[int, typer.Option(help="tokens of a window")] = 384,
    doc_stride: Annotated[int, typer.Option(help="tokens that two windows share")] = 128,
    seed: Annotated[int, typer.Option(min=0, help="random seed")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run there")] = False,
    push_to_hub: Annotated[str | None, typer.Option(help="Hub id to upload the model to")] = None,
    as_json: JsonOption = False,
) -> None:
    """Fine-tune a model on questions; run it under torchrun for several processes."""
    from accelerate import PartialState

    from src.qa.training import finetune

    run = finetune(
        model,
        data,
        minutes,
        output_dir,
        resume,
        seed,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        max_length=max_length,
        doc_stride=doc_stride,
        push_to_hub=push_to_hub,
    )
    if PartialState().is_main_process:
        names = ("finished", "steps", "seconds", "saving_seconds", "evaluation_seconds")
        names += ("examples_per_second", "precision", "processes")
        result = {"output_dir": str(run.output_dir)} | {name: getattr(run, name) for name in names}
        _print(result | {"loss": run.history[-1]["loss"] if run.history else None}, as_json)
    _leave()


@app.command()
def evaluate(
    data: DataOption,
    model: ModelOption = "qa-minilm",
    split: SplitOption = "validation",
    threshold: ThresholdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score a model on questions with known answers, by the official SQuAD rules."""
    from src.qa import evaluation
    from src.qa.dataset import load_split

    _check_threshold(threshold)
    questions = load_split(data, split)
    qa = evaluation.QuestionAnswerer.load(model)
    _print(evaluation.evaluate(qa, questions, threshold), as_json)


@app.command()
def answer(
    data: DataOption,
    output: Annotated[Path, typer.Option(help=_OUTPUT)],
    model: ModelOption = "qa-minilm",
    split: SplitOption = "validation",
    threshold: ThresholdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer every question of a file into another; again after an interruption it goes on."""
    from accelerate import PartialState

    from src.qa.dataset import load_split
    from src.qa.many import answer_many

    _check_threshold(threshold)
    done = answer_many(load_split(data, split, answers=False), output, model, threshold)
    if PartialState().is_main_process:
        _print(done, as_json)
    _leave()


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="what you want to know")],
    context_file: Annotated[Path | None, typer.Option(help="text file; else Wikipedia")] = None,
    texts: Annotated[Path | None, typer.Option(help=_TEXTS)] = None,
    model: ModelOption = "qa-minilm",
    top: Annotated[int, typer.Option(min=1, help="how many candidates to show")] = 3,
    threshold: ThresholdOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a question from a text, your files, or Wikipedia, or say that nothing there does.

    Of Wikipedia the introductions of 10,033 articles, without what was in parentheses.
    """
    _check_threshold(threshold)
    if context_file is not None and texts is not None:
        raise ValueError("--context-file and --texts are both given; name one of them.")
    if context_file is None:
        answer, source = _ask_passages(question, texts, model, top, threshold)
        refusal = "I don't know: no passage found holds an answer ({} of the best)."
    else:
        answer, source = _ask_file(question, context_file, model, top, threshold)
        refusal = "No answer in this text (the best guess is {})."
    candidates = answer.candidates[:top]
    if as_json:
        result = {"question": question} | _told(answer)
        _print(result | {"candidates": [_told(found) for found in candidates]}, as_json)
        return
    sure = f"{answer.score:.0%} sure"
    print(f"{answer.text}   ({sure}{source})" if answer.text else refusal.format(sure))
    for found in candidates if top > 1 else ():
        place = f"at {found.start}-{found.end}" if context_file else f"in {found.source!r}"
        print(f"  {found.score:4.0%}  {found.text!r} {place}")


def _ask_file(
    question: str, context_file: Path, model: str, top: int, threshold: float | None
) -> tuple[Answer, str]:
    from src.qa.answerer import QuestionAnswerer

    try:
        context = context_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{context_file}: cannot be read as UTF-8 text ({reason}).") from None
    return QuestionAnswerer.load(model)(question, context, threshold, n_best=top), ""


def _ask_passages(
    question: str, texts: Path | None, model: str, top: int, threshold: float | None
) -> tuple[OpenAnswer, str]:
    from src.qa.documents import scan_folder
    from src.qa.open_domain import PASSAGES_READ, WikipediaAnswerer
    from src.qa.retriever import checked_question

    def report(progress: dict) -> None:
        line = f"building the index, once: {runtime.progress_line(progress)}"
        print(line, file=sys.stderr, flush=True)

    checked_question(question)  # before anything is loaded or built
    found = None if texts is None else scan_folder(texts)
    for problem in found.failed if found else ():
        print(f"not read: {problem}", file=sys.stderr, flush=True)
    answerer = WikipediaAnswerer.load(model, found and found.documents, report=report)
    answer = answerer.ask(question, max(top, PASSAGES_READ), threshold)
    return answer, f"; {'' if found else 'Wikipedia: '}{answer.source}"


def _told(found: Answer | Candidate | OpenAnswer) -> dict:
    names = ("text", "start", "end", "score", "null_score", "title", "passage", "retrieval_score")
    names += ("file", "page") if getattr(found, "file", "") else ()
    told = {name: getattr(found, name) for name in names if hasattr(found, name)}
    return {n: round(value, 4) if isinstance(value, float) else value for n, value in told.items()}


def _leave() -> None:
    from accelerate import PartialState

    if PartialState().num_processes > 1:
        import torch

        torch.distributed.destroy_process_group()


def _check_threshold(threshold: float | None) -> None:
    if threshold is not None:
        check_threshold(threshold, "--threshold")


def _print(result: dict, as_json: bool) -> None:
    if as_json:  # which has no word for what is not a number
        result = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in result.items()
        }
        print(json.dumps(result, ensure_ascii=False, allow_nan=False), flush=True)
    else:
        for name, value in result.items():
            shown = f"{value:.2f}" if isinstance(value, float) else value
            print(f"{name}: {shown}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    return run_app(app, "python -m src.qa", arguments)


if __name__ == "__main__":
    sys.exit(main())
