"""Train the released word vectors: `python tools/make_word2vec.py`.

Skip-gram and CBOW, 300 wide, on the Wikipedia introductions. Settings were chosen by the
development half of the Google analogies (the even lines of the file), with WordSim-353 beside.

Results go to build/weights/word2vec-skipgram and -cbow. The shipped files in weights/ are written
only with --release, which also answers the test half of the analogies and trains four more seeds
for the rank of `queen`: once, when every choice is made. --other-seeds trains those four alone and
completes the card of what is shipped.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime
from src.embeddings import WordVectors, evaluate_analogies, evaluate_similarity
from src.files import write_json
from src.word2vec import Word2VecRun, load_sentences, save_word2vec, train_word2vec

# Windows reach over the ends of sentences, within an introduction. A higher min_count would leave
# room for the second layer in the file, but rarer words then have no vector.
RECIPE = {"D": 300, "window": 10, "negatives": 5, "epochs": 20, "min_count": 5, "subsample": 1e-4}
RECIPES = {"skipgram": RECIPE, "cbow": RECIPE}
SEED, OTHER_SEEDS = 0, (1, 2, 3, 4)
EVERYTHING = 10**6  # more nearest words than there are


def rank_of_queen(wv: WordVectors) -> int:
    """The place of `queen` among the answers to king - man + woman; 1 is first."""
    return 1 + list(wv.analogy("man", "king", "woman", EVERYTHING)).index("queen")


def scores_of(wv: WordVectors, halves: tuple[str, ...]) -> dict:
    """What the card reports."""
    scores = {}
    for name in ("wordsim353", "simlex999"):
        report = evaluate_similarity(wv, name)
        scores |= {name: round(report.correlation, 3), f"{name}_pairs": len(report.used)}
    for half in halves:
        report = evaluate_analogies(wv, half)
        scores |= {
            f"analogies_{half}_percent": round(100 * report.accuracy, 2),
            f"analogies_{half}_known": report.known,
        }
    return scores | {
        "king_man_woman": list(wv.analogy("man", "king", "woman", 5)),
        "rank_of_queen": rank_of_queen(wv),
    }


def describe(card: dict) -> str:
    """The card as a page for people: every number in it is from card.json."""
    name, data, recipe, scores = (card[key] for key in ("name", "data", "recipe", "scores"))
    ranks = ", ".join(f"{seed}: {rank}" for seed, rank in card["rank_of_queen_by_seed"].items())
    rows = {
        f"WordSim-353, Spearman correlation ({scores['wordsim353_pairs']} pairs)": "wordsim353",
        f"SimLex-999, Spearman correlation ({scores['simlex999_pairs']} pairs)": "simlex999",
    }
    rows = {text: scores[score] for text, score in rows.items()}
    remarks = {"development": "settings were chosen on it", "test": "scored once"}
    for half, remark in remarks.items():
        if (percent := scores.get(f"analogies_{half}_percent")) is not None:
            known = f"{scores[f'analogies_{half}_known']:,} of known words"
            rows[f"Google analogies, {half} half ({known}), {remark}"] = f"{percent} % right"
    rows |= {"king - man + woman": ", ".join(scores["king_man_woman"])}
    rows |= {"rank of queen there, by seed": ranks}
    return f"""# {name}: word vectors from {data["words"] / 1000:,.0f} thousand words of Wikipedia

Written by `tools/make_word2vec.py` from `card.json`. Open them with `WordVectors.load("{name}")`;
`load_word2vec` reads the loss curve too. {data["vocabulary"]:,} words, {recipe["D"]} numbers each,
half precision: {", ".join(card["layers"])}.

Data: {data["source"]}, each taken whole, {data["words"]:,} words.
Licence of the text: {data["licence"]}.

Recipe: {card["architecture"]}, window {recipe["window"]}, {recipe["negatives"]} negatives,
{recipe["epochs"]} passes, words from {recipe["min_count"]} occurrences, subsampling
{recipe["subsample"]:g}, learning rate {recipe["learning_rate"]:g}, seed {recipe["seed"]};
{card["minutes"]} minutes, {card["words_per_second"]:,} words per second on {card["machine"]};
{card["date"]}.

| scores of this file | |
| --- | --- |
""" + "".join(f"| {text} | {value} |\n" for text, value in rows.items())


def train(architecture: str, sentences: list[list[str]], seed: int) -> Word2VecRun:
    def report(entry: dict) -> None:
        if entry["phase"] != "training" or entry["epoch"] - told[-1] >= 1:
            told.append(entry["epoch"])
            print(f"{architecture}, seed {seed}: pass {entry['epoch']:.1f}", end=", ")
            print(f"{entry['seconds']:.0f} s, loss {entry['loss']:.3f}", flush=True)

    told = [0.0]
    return train_word2vec(
        sentences, architecture, seed=seed, report=report, **RECIPES[architecture]
    )


def ranks_of_other_seeds(architecture: str, sentences: list[list[str]]) -> dict[str, int]:
    """Rank of `queen` by seed, for the seeds whose vectors are not shipped."""
    return {
        str(seed): rank_of_queen(train(architecture, sentences, seed).word_vectors())
        for seed in OTHER_SEEDS
    }


def complete_card(architecture: str, sentences: list[list[str]]) -> None:
    """Add the other seeds' ranks to the card of the shipped vectors, and write its page again."""
    folder = runtime.COURSE / "weights" / f"word2vec-{architecture}"
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["rank_of_queen_by_seed"] |= ranks_of_other_seeds(architecture, sentences)
    write_json(folder / "card.json", card)
    (folder / "README.md").write_text(describe(card), encoding="utf-8")
    print(f"{card['name']}: rank of queen by seed {card['rank_of_queen_by_seed']}", flush=True)


def release(architecture: str, sentences: list[list[str]], options: argparse.Namespace) -> None:
    """Train one of the two, and write its folder with its card."""
    name = f"word2vec-{architecture}"
    target = (runtime.COURSE / "weights" if options.release else options.to) / name
    run = train(architecture, sentences, SEED)
    card = {
        "name": name,
        "architecture": architecture,
        "layers": ["embeddings.weight"],
        "data": {
            "source": "the introductions of 10,033 English Wikipedia articles (asset wikipedia)",
            "licence": "CC BY-SA 4.0",
            "introductions": len(sentences),
            "words": sum(map(len, sentences)),
            "vocabulary": len(run.vocabulary),
        },
        "recipe": run.settings,
        "minutes": round(run.seconds / 60, 1),
        "words_per_second": round(run.words_per_second),
        "machine": runtime.machine() + (f"; {options.remark}" if options.remark else ""),
        "date": date.today().isoformat(),
    }
    save_word2vec(run, target, card, with_output=False)
    wv = WordVectors.load(target)  # the scores are those of the stored file
    halves = ("development", "test") if options.release else ("development",)
    card["scores"] = scores_of(wv, halves)
    others = ranks_of_other_seeds(architecture, sentences) if options.release else {}
    card["rank_of_queen_by_seed"] = {str(SEED): card["scores"]["rank_of_queen"]} | others
    save_word2vec(run, target, card, with_output=False)
    (target / "README.md").write_text(describe(card), encoding="utf-8")
    print(json.dumps(card, indent=1), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    built = runtime.COURSE / "build" / "weights"
    parser.add_argument("--only", choices=list(RECIPES), help="train one of the two")
    parser.add_argument("--to", type=Path, default=built, help="the folder for their folders")
    parser.add_argument("--release", action="store_true", help="write weights/, with all scores")
    parser.add_argument("--other-seeds", action="store_true", help="complete the shipped cards")
    parser.add_argument("--remark", default="", help="about the machine, such as: busy")
    options = parser.parse_args()

    sentences = load_sentences(whole=True)
    for architecture in [options.only] if options.only else RECIPES:
        if options.other_seeds:
            complete_card(architecture, sentences)
        else:
            release(architecture, sentences, options)


if __name__ == "__main__":
    main()
