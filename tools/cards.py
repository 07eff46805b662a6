"""What the tools that train released weights share: options, log, cards and their pages.

python tools/cards.py            write the pages of weights/ again, from their cards
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime
from src.training import Run, save_run

HEAD = ("name", "title", "opened_by", "note")  # of a card, which its page says in sentences


def parse_options(doc: str, names: Sequence[str]) -> argparse.Namespace:
    """The command line of a tool that trains released weights.

    Args:
        doc: the tool's docstring.
        names: of the models that can be asked for alone.

    Returns:
        The options; `folder` is where the models' folders go.
    """
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=doc, formatter_class=formatter)
    build = runtime.COURSE / "build" / "weights"
    parser.add_argument("--to", type=Path, default=build, help="where the models' folders go")
    release = "write weights/, and score the test parts where there are any: once for a release"
    parser.add_argument("--release", action="store_true", help=release)
    parser.add_argument("--remark", default="", help="about the machine, such as: other work runs")
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


def made_here(remark: str) -> dict[str, str]:
    """On what machine, with what remark, and when."""
    machine = runtime.machine_line() + (f"; {remark}" if remark else "")
    return {"machine": machine, "date": date.today().isoformat()}


def card_of(name: str, run: Run, title: str, opened_by: str, data: dict, remark: str) -> dict:
    """What all cards of small models have; scores come later, from the stored file."""
    return {
        "name": name,
        "title": title,
        "opened_by": opened_by,
        "model": {"class": type(run.model).__name__, **run.model.settings},
        "parameters": sum(parameter.numel() for parameter in run.model.parameters()),
        "data": data,
        "recipe": run.settings,
        "steps": run.history[-1]["step"],
        "minutes": round(run.seconds / 60, 2),
    } | made_here(remark)


def save_with_page(run: Run, folder: Path, others: Mapping[str, bytes] | None = None) -> None:
    """Write a run with its card and the card's page; print the card."""
    save_run(run, folder, others or {})
    write_page(folder)


def write_page(folder: Path) -> None:
    """Write README.md beside a card, and print the card."""
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    (folder / "README.md").write_text(page(card), encoding="utf-8")
    print(json.dumps(card, indent=1), flush=True)


def page(card: Mapping) -> str:
    """A card as a page for people: every number in it is from card.json."""
    facts = {name: value for name, value in card.items() if name not in HEAD}
    sections = {name: value for name, value in facts.items() if isinstance(value, Mapping)}
    lines = [
        f"# {card['name']}: {card['title']}",
        "",
        "Written by `tools/cards.py` from `card.json`. Open it with",
        f"`{card['opened_by']}`.",
        "",
        *table([("", {name: facts[name] for name in facts if name not in sections})]),
    ]
    for name, section in sections.items():
        lines += ["", f"## {words(name)}", "", *table(list(rows("", section)))]
    return "\n".join([*lines, *(["", card["note"]] if "note" in card else []), ""])


def rows(name: str, entry: Mapping) -> Iterator[tuple[str, Mapping]]:
    """The innermost mappings of an entry, each with the names that lead to it."""
    plain = {key: value for key, value in entry.items() if not isinstance(value, Mapping)}
    if plain:
        yield name, plain
    for key, value in entry.items():
        if isinstance(value, Mapping):
            yield from rows(f"{name}, {words(key)}".lstrip(", "), value)


def table(found: Sequence[tuple[str, Mapping]]) -> list[str]:
    """One row for each mapping; a single one is set as a list of its entries."""
    if len(found) == 1:
        pairs = [[words(name), shown(value)] for name, value in found[0][1].items()]
        return ["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in pairs)]
    columns = list(dict.fromkeys(name for _, entry in found for name in entry))
    lines = [f"| | {' | '.join(map(words, columns))} |", "| --- |" + " --- |" * len(columns)]
    for name, entry in found:
        lines.append(f"| {name} | {' | '.join(shown(entry.get(one, '')) for one in columns)} |")
    return lines


def words(name: str) -> str:
    """A name of a card, as a reader sees it."""
    return name.replace("_", " ")


def shown(value: object) -> str:
    """A value of a card, as a reader sees it."""
    match value:
        case None:
            return "-"
        case float():
            return f"{value:g}"
        case int():
            return f"{value:,}"
        case list() | tuple():
            return "; ".join(map(shown, value))
        case _:
            return str(value)


if __name__ == "__main__":
    for file in sorted((runtime.COURSE / "weights").glob("*/card.json")):
        write_page(file.parent)
