"""Train the released word vectors: `python tools/make_word2vec.py`.

Skip-gram and CBOW, 300 wide, on the Wikipedia introductions. Settings were chosen by the
development half of the Google analogies (the even lines of the file), with WordSim-353 beside.

Results go to build/weights/word2vec-skipgram and -cbow. The shipped files in weights/ are written
only with --release, which also answers the test half of the analogies and trains four more seeds
for the rank of `queen`: once, when every choice is made.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src.assets import load_passages
from src.embeddings import WordVectors, evaluate_analogies, evaluate_similarity
from src.text import tokenize_words
from src.word2vec import Word2VecRun, save_word2vec, train_word2vec
from tools.cards import made_here, parse_options, write_page

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


def release(architecture: str, sentences: list[list[str]], options: argparse.Namespace) -> None:
    """Train one of the two, and write its folder with its card."""
    name = f"word2vec-{architecture}"
    target = options.folder / name
    run = train(architecture, sentences, SEED)
    card = {
        "name": name,
        "title": "word vectors learned from introductions of Wikipedia",
        "opened_by": f'WordVectors.load("{name}")',
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
    } | made_here(options.remark)
    save_word2vec(run, target, card)
    wv = WordVectors.load(target)  # the scores are those of the stored file
    halves = ("development", "test") if options.release else ("development",)
    card["scores"] = scores_of(wv, halves)
    others = ranks_of_other_seeds(architecture, sentences) if options.release else {}
    card["rank_of_queen_by_seed"] = {str(SEED): card["scores"]["rank_of_queen"]} | others
    save_word2vec(run, target, card)
    write_page(target)


def main() -> None:
    options = parse_options(__doc__, list(RECIPES))
    # Each introduction is one long sentence, so that windows reach from one into the next.
    sentences = [tokenize_words(passage.text) for passage in load_passages().values()]
    for architecture in options.only:
        release(architecture, sentences, options)


if __name__ == "__main__":
    main()
