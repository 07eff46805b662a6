"""What is searched: Wikipedia's introductions, or the texts in a folder of your own."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from src import assets
from src.text import split_sentences, tokenize_words

TEXT_SUFFIXES = (".txt", ".md")
PASSAGE_WORDS = 120  # about as long as the longer introductions, and within what the encoder reads


class RetrievalError(ValueError):
    """Documents that cannot be read, or an index that cannot be written; says what to do."""


@dataclass(frozen=True)
class Document:
    """A passage to search and to read, and the title it is shown under."""

    title: str
    text: str


def wikipedia() -> list[Document]:
    """The English introductions of the `wikipedia` asset, in its order."""
    return [Document(passage.title, passage.text) for passage in assets.load_passages().values()]


def read_folder(folder: str | Path) -> list[Document]:
    """Read your own textbook: all .txt and .md files in `folder` and below it, by name.

    Each is cut into passages of about PASSAGE_WORDS words. A passage ends where a paragraph ends; a
    long paragraph is cut between sentences. Its title is the file's name, in Markdown followed by
    the heading above it. Names that begin with a dot are skipped: Jupyter keeps older copies in
    .ipynb_checkpoints.

    Raises:
        RetrievalError: the folder has no such files, or some cannot be read or hold no words; it
            names them all.
    """
    folder = Path(folder)
    files = [file for file in _visible_files(folder) if file.suffix.lower() in TEXT_SUFFIXES]
    if not files:
        problem = "holds no .txt or .md files" if folder.is_dir() else "is not a folder"
        raise RetrievalError(f"{folder} {problem}; name a folder with your texts in it.")
    documents, problems = [], []
    for file in files:
        try:
            found = _passages(file)
        except UnicodeError:
            problems.append(f"{file} (not UTF-8 text)")
        except OSError as error:
            problems.append(f"{file} ({error.strerror})")
        else:
            documents += found
            problems += [] if found else [f"{file} (no words in it)"]
    if problems:
        advice = "save as UTF-8 text, or take out of the folder"
        raise RetrievalError(f"found what cannot be read: {', '.join(problems)}; {advice}.")
    return documents


def other_files(folder: str | Path) -> list[Path]:
    """What `read_folder` leaves out, since it is neither .txt nor .md, such as a PDF; by name."""
    return [f for f in _visible_files(Path(folder)) if f.suffix.lower() not in TEXT_SUFFIXES]


def _visible_files(folder: Path) -> list[Path]:
    files = (file for file in folder.rglob("*") if not file.is_dir())
    return sorted(f for f in files if not any(p[0] == "." for p in f.relative_to(folder).parts))


def _passages(file: Path) -> list[Document]:
    text = file.read_text(encoding="utf-8-sig")
    if "\0" in text:  # valid UTF-8, but not a text that a person wrote
        raise UnicodeError
    documents: list[Document] = []
    title, gathered = file.stem, []
    markdown = file.suffix.lower() == ".md"

    def end_passage() -> None:
        if tokenize_words(" ".join(gathered)):
            documents.append(Document(title, "\n".join(gathered)))
        gathered.clear()

    for paragraph in re.split(r"\n\s*\n|\n(?=#{1,6}\s)" if markdown else r"\n\s*\n", text):
        heading = re.match(r"#{1,6}\s+([^\n]+)\n?", paragraph.strip()) if markdown else None
        if heading:
            end_passage()
            title = f"{file.stem}: {heading[1].strip(' #')}"
            paragraph = paragraph.strip()[heading.end() :]
        for part in _parts(" ".join(paragraph.split())):
            if gathered and _count_words(gathered) + len(part.split()) > PASSAGE_WORDS:
                end_passage()
            gathered.append(part)
    end_passage()
    return documents


def _parts(paragraph: str) -> list[str]:
    """The paragraph where it fits into a passage, else its sentences, or pieces of them."""
    if len(paragraph.split()) <= PASSAGE_WORDS:
        return [paragraph] if paragraph else []
    pieces, n = [], PASSAGE_WORDS
    for sentence in split_sentences(paragraph):
        words = sentence.split()
        pieces += [" ".join(words[i : i + n]) for i in range(0, len(words), n)]
    return pieces


def _count_words(texts: Iterable[str]) -> int:
    return sum(len(text.split()) for text in texts)


def unique_documents(documents: Iterable[object]) -> list[Document]:
    """Each document once, in their order; anything with a title and a text is one.

    Raises:
        RetrievalError: one has no title or no text that can be read; it names the first.
    """
    found: dict[Document, None] = {}
    for place, document in enumerate(documents, 1):
        title, text = getattr(document, "title", None), getattr(document, "text", None)
        if not (isinstance(title, str) and isinstance(text, str)):
            given = f"document {place} is {reprlib.repr(document)}"
            raise RetrievalError(f"{given}; pass documents, such as Document(title, text).")
        try:
            f"{title}{text}".encode()
        except UnicodeEncodeError as error:
            unreadable = f"document {place}, {title!a}, is not readable as text ({error.reason})"
            raise RetrievalError(f"{unreadable}; correct it.") from None
        found[Document(title, text)] = None
    return list(found)
