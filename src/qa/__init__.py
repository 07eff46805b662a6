"""Question answering, in the order data flows, from a file of questions to answers and scores.

The names are loaded when they are first used: reading a dataset does not wait for torch.
"""

from importlib import import_module

_HOMES = {
    "load_squad": "dataset",
    "prepare_features": "features",
    "finetune": "training",
    "load_run": "runs",
    "QuestionAnswerer": "answerer",
    "evaluate": "evaluation",
    "Retriever": "retriever",
    "WikipediaAnswerer": "open_domain",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
