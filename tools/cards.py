"""What the tools that train small models share: options, log, cards and their pages."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path

from src import runtime
from src.training import Run, save_run


def options_of_a_release(doc: str) -> argparse.ArgumentParser:
    """What every tool takes that trains released weights."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=doc, formatter_class=formatter)
    build = runtime.COURSE / "build" / "weights"
    parser.add_argument("--to", type=Path, default=build, help="where the models' folders go")
    release = "write weights/, and score the test parts where there are any: once for a release"
    parser.add_argument("--release", action="store_true", help=release)
    parser.add_argument("--remark", default="", help="about the machine, such as: other work runs")
    return parser


def parse_options(doc: str, names: Sequence[str]) -> argparse.Namespace:
    """The command line of a tool for small models; `folder` is where the models' folders go."""
    parser = options_of_a_release(doc)
    parser.add_argument("--only", nargs="*", choices=names, default=names, help="train some")
    options = parser.parse_args()
    options.folder = runtime.COURSE / "weights" if options.release else options.to
    return options


def tell(name: str, *scores: str) -> Callable[[dict], None]:
    """Prints those entries of a history that have one of these scores."""

    def print_scores(entry: dict) -> None:
        parts = {score.replace("_", " "): entry[score] for score in scores if score in entry}
        if parts:
            parts = {"loss": entry["loss"], **parts} if "loss" in entry else parts
            text = ", ".join(f"{score} {value:,.3f}" for score, value in parts.items())
            print(f"{name}: {entry['seconds']:.0f} s, step {entry['step']}, {text}", flush=True)

    return print_scores


def card_of(name: str, run: Run, data: dict, remark: str) -> dict:
    """What all cards have; scores come later, from the stored file."""
    return {
        "name": name,
        "model": {"class": type(run.model).__name__, **run.model.settings},
        "parameters": sum(parameter.numel() for parameter in run.model.parameters()),
        "data": data,
        "recipe": run.settings,
        "steps": run.history[-1]["step"],
        "minutes": round(run.seconds / 60, 2),
        "machine": runtime.machine() + (f"; {remark}" if remark else ""),
        "date": date.today().isoformat(),
    }


def save_with_page(
    run: Run, folder: Path, page: str, others: Mapping[str, bytes] | None = None
) -> None:
    """Write a run with its card, and the card as a page for people; print the card."""
    save_run(run, folder, {"README.md": page.encode(), **(others or {})})
    print(json.dumps(run.card, indent=1), flush=True)


def describe(
    card: dict,
    tool: str,
    title: str,
    opened_by: str,
    table: Sequence[str],
    unit: str = "",
    more: Sequence[str] = (),
) -> str:
    """A card as a page for people: every number in it is from card.json.

    `unit` is what a batch is counted in, where that is not its examples; `more` are paragraphs.
    """
    model, recipe, data = card["model"], card["recipe"], card["data"]
    settings = ", ".join(f"{name} {value}" for name, value in model.items() if name != "class")
    article = "An" if model["class"][0] in "AEIO" else "A"
    encoder = f", on {card['encoder']}" if "encoder" in card else ""
    return "\n".join(
        [
            f"# {card['name']}: {title}",
            "",
            f"Written by `tools/{tool}.py` from `card.json`. Open it with `{opened_by}`.",
            f"{article} {model['class']} ({settings}), {card['parameters']:,} parameters, "
            f"half precision{encoder}.",
            "",
            f"Data: {data['source']}. Licence: {data['licence']}.",
            "",
            f"Recipe: {card['steps']:,} steps in {minutes_text(card['minutes'])}, batches of "
            f"{recipe['batch_size']:,}{unit and f' {unit}'}, learning rate "
            f"{recipe['learning_rate']:g}, gradients clipped at {recipe['clip']:g}, seed "
            f"{recipe['seed']}; on {card['machine']}; {card['date']}.",
            "",
            *table,
            "",
            *(line for paragraph in more for line in (paragraph, "")),
        ]
    )


def minutes_text(minutes: float) -> str:
    """1 -> "1 minute", 6.02 -> "6.02 minutes"."""
    return f"{minutes:g} minute{'' if minutes == 1 else 's'}"
