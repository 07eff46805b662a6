"""What tests of training and answering compare of the folders that runs leave."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from src.qa.processes import LOCK, RunError
from src.qa.runs import PROGRESS

# These add the same to the score of every token, which no softmax sees: their gradient is rounding
# alone, and AdamW takes steps of full length along it.
WITHOUT_GRADIENT = ("key.bias", "layer.1.output.LayerNorm.bias", "qa_outputs.bias")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def different(a: Path, b: Path) -> list[str]:
    """Names of the parameters of two runs that are not equal to the bit."""
    first, second = weights(a), weights(b)
    both = first.keys() & second.keys()
    unequal = [name for name in both if not torch.equal(first[name], second[name])]
    return sorted(first.keys() ^ second.keys()) + unequal


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """What is in a run's folder, but for the report on how far it is."""
    files = [file for file in folder.iterdir() if file.is_file()]
    kept = [file for file in files if file.name not in (LOCK, PROGRESS)]
    return {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in kept}


def refusal(call: Callable, *args: object, **options: object) -> str:
    """What a call says that is refused, in one line."""
    with pytest.raises(RunError) as error:
        call(*args, **options)
    assert "\n" not in str(error.value)
    return str(error.value)
