"""What the tools that train the course's small models write alike: the model's card, its page for people, and the log on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

from src import runtime
from src.training import Run, save_run


def tell(name: str, *scores: str) -> Callable[[dict], None]:
    """Prints those entries of a history that have one of these scores."""

    def print_scores(entry: dict) -> None:
        found = ", ".join(f"{score.replace('_', ' ')} {entry[score]:,.3f}" for score in scores if score in entry)
        if found:
            loss = f"loss {entry['loss']:.3f}, " if "loss" in entry else ""
            print(f"{name}: {entry['seconds']:.0f} s, step {entry['step']}, {loss}{found}", flush=True)

    return print_scores


def card_of(name: str, run: Run, data: dict, remark: str) -> dict:
    """What all cards have; scores come later, from the stored file.   remark: words about the machine, may be empty"""
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


def save_with_page(run: Run, folder: Path, page: str, others: Mapping[str, bytes] | None = None) -> None:
    """Write a run with its card, and the card as a page for people; print the card.   others: see `src.training.write_run`"""
    save_run(run, folder, {"README.md": page.encode(), **(others or {})})
    print(json.dumps(run.card, indent=1), flush=True)


def model_line(card: dict) -> str:
    """The model in words, without the full stop."""
    settings = ", ".join(f"{name} {value}" for name, value in card["model"].items() if name != "class")
    article = "An" if card["model"]["class"][0] in "AEIO" else "A"
    return f"{article} {card['model']['class']} ({settings}), {card['parameters']:,} parameters, half precision"


def minutes_text(minutes: float) -> str:
    """1 -> "1 minute", 6.02 -> "6.02 minutes"."""
    return f"{minutes:g} minute{'' if minutes == 1 else 's'}"


def recipe_line(card: dict, unit: str = "") -> str:
    """How it was trained, and where.   unit: what a batch is counted in, where that is not its examples"""
    recipe = card["recipe"]
    return (
        f"Recipe: {card['steps']:,} steps in {minutes_text(card['minutes'])}, batches of {recipe['batch_size']:,}{unit and f' {unit}'}, "
        f"learning rate {recipe['learning_rate']:g}, gradients clipped at {recipe['clip']:g}, seed {recipe['seed']}; "
        f"on {card['machine']}; {card['date']}."
    )
