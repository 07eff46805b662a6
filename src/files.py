"""Files written whole or not at all, and what the operating system refuses in one sentence."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

WRITE_AGAIN = "write it again, or get it back from where it came"  # advice for a damaged file

T = TypeVar("T")


def write_whole(file: Path, content: bytes) -> None:
    """Write a file whole or not at all: a kill or a full disk leaves it as it was."""
    write_together({file: content})


def write_json(file: Path, value: Any) -> None:
    """Write `value` as JSON, whole or not at all."""
    write_whole(file, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """`value` as all JSON files of the course are written: UTF-8, an entry a line."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def write_together(files: Mapping[Path, bytes | None]) -> None:
    """Write files that belong together, all or none.

    They are written under other names first, so a full disk changes nothing. Then they are moved
    into place, the last one, which is not None, at the end: while it is missing, the others do not
    count. None removes a file, such as one of an older set. The umask decides who may read them.

    Raises:
        OSError: the operating system refuses; see `writing`.
    """
    partial = {file: file.with_name(f".{file.name}.{os.getpid()}") for file in files}
    try:
        for file, content in files.items():
            if content is not None:
                partial[file].write_bytes(content)
        if len(files) > 1:
            next(reversed(files)).unlink(missing_ok=True)
        for file, content in files.items():
            if content is None:
                file.unlink(missing_ok=True)
            else:
                os.replace(partial[file], file)
    finally:
        for unfinished in partial.values():
            unfinished.unlink(missing_ok=True)


@contextmanager
def writing(
    place: Path, option: str = "folder", error: type[Exception] = OSError
) -> Iterator[None]:
    """Within it, a refusal of the operating system becomes one sentence: disk full, no permission.

    `place` is what is written, `option` the argument by which another is chosen.
    """
    try:
        yield
    except OSError as refused:
        found = f"{place} cannot be written ({refused.strerror or refused})"
        raise error(f"{found}; make room, or choose another {option}.") from None


def make_folder(folder: str | Path) -> Path:
    """Make a folder where there is none, and see that files can be written into it.

    To be called before a training, so that nothing is lost after it.

    Raises:
        OSError: they cannot.
    """
    folder = Path(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    return folder


def read_json(file: Path, kind: type[T]) -> T:
    """Read a JSON file that holds a `kind`: dict or list.

    Raises:
        ValueError: the file is damaged or holds something else, in one sentence.
        OSError: there is no such file, or it may not be read.
    """
    try:
        value = json.loads(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}); {WRITE_AGAIN}.") from None
    if not isinstance(value, kind):
        found = f"{file} holds a {type(value).__name__} instead of a {kind.__name__}"
        raise ValueError(f"{found}; {WRITE_AGAIN}.")
    return value
