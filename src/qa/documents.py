"""What is searched: Wikipedia's introductions, or the texts in a folder of your own."""

import os
import re
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from src import assets
from src.qa.text_files import READERS, Block, UnreadableError, read_blocks
from src.text import split_sentences, tokenize_words

PASSAGE_WORDS = 120  # about as long as the longer introductions, and within what the encoder reads
OVERLAP_WORDS = 30  # of whole sentences, with which the next passage begins again
OTHER_KIND = "not a kind of text that is read here"
# Chinese, Japanese, Thai and others write no blanks between words: each character counts as one.
WITHOUT_BLANKS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{WITHOUT_BLANKS}]|[^\s{WITHOUT_BLANKS}]{{1,40}}")


class RetrievalError(ValueError):
    """Documents that cannot be read, or an index that cannot be written; says what to do."""


@dataclass(frozen=True)
class Document:
    """A passage to search and to read, and the title it is shown under.

    Attributes:
        file: it is from, below the folder that was read; "" where it is from none.
        pages: where in the text a page begins, and its number: ((0, 7), (412, 8)).
    """

    title: str
    text: str
    file: str = ""
    pages: tuple[tuple[int, int], ...] = ()

    def page_at(self, character: int) -> int | None:
        """The page that this character of the text is on, counted from 1; None: no pages."""
        return max((page for begin, page in self.pages if begin <= character), default=None)


@dataclass(frozen=True)
class Folder:
    """What a folder holds.

    Attributes:
        documents: the passages of all files that were read.
        read: file -> its number of passages.
        unread: file -> why it was not read.
    """

    documents: list[Document]
    read: dict[str, int]
    unread: dict[str, str]

    @property
    def failed(self) -> list[str]:
        """The unread files that should hold text, with why: without images and other kinds."""
        return [f"{file} ({why})" for file, why in self.unread.items() if why != OTHER_KIND]


def wikipedia() -> list[Document]:
    """The English introductions of the `wikipedia` asset, in its order."""
    return [Document(passage.title, passage.text) for passage in assets.load_passages().values()]


def scan_folder(folder: str | Path) -> Folder:
    """Read your own textbook: the files of text in a folder and below it, by name.

    They are .txt, .md, .html, .epub, .docx and .pdf, cut into passages of about PASSAGE_WORDS words
    at headings, between paragraphs and sentences. A passage's title is the file's name, and the
    heading above it. One that is not the first below its heading begins with the last sentences of
    the one before. Names that begin with a dot are skipped: Jupyter keeps older copies in
    .ipynb_checkpoints. Links are named, not followed.

    Raises:
        RetrievalError: it is not a folder, or has no files of text, or none can be read.
    """
    folder = Path(folder)
    found = Folder([], {}, {})
    for path in _visible_files(folder):
        file = path.relative_to(folder).as_posix()
        try:
            documents = _read_file(path, file)
        except UnreadableError as error:
            found.unread[file] = str(error)
        except OSError as error:
            found.unread[file] = error.strerror or str(error)
        else:
            found.documents.extend(documents)
            found.read[file] = len(documents)
    if not found.read and not found.failed:
        problem = "has no file of text" if folder.is_dir() else "is not a folder"
        raise RetrievalError(f"{folder} {problem} ({' '.join(READERS)}); name one that has some.")
    if not found.read:
        problems = ", ".join(str(folder / named) for named in found.failed)
        advice = "save as another kind, or take out of the folder"
        raise RetrievalError(f"found what cannot be read: {problems}; {advice}.")
    return found


def _visible_files(folder: Path) -> list[Path]:
    """All files, and the folders that cannot be looked into: links, and those of others."""
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in files if not name.startswith(".")]
        within = [Path(parent, name) for name in folders]
        found += [one for one in within if one.is_symlink() or not os.access(one, os.R_OK)]
    return sorted(found)


def _read_file(path: Path, file: str) -> list[Document]:
    if path.is_symlink() and (path.is_dir() or path.suffix.lower() in READERS):
        raise UnreadableError("a link: put what it leads to here")
    if path.is_dir():
        raise UnreadableError("a folder that you may not open")
    if path.suffix.lower() not in READERS:
        raise UnreadableError(OTHER_KIND)
    documents = _passages(read_blocks(path), path.stem, file)
    if not documents:
        raise UnreadableError("no words in it")
    return documents


def _passages(blocks: Iterable[Block], name: str, file: str) -> list[Document]:
    documents: list[Document] = []
    title, gathered, size = name, [], 0  # (text, page) of each part, words without the overlap

    def end_passage() -> None:
        text = "\n".join(part for part, _ in gathered)
        if size and tokenize_words(text):
            documents.append(Document(title, text, file, _page_begins(gathered)))

    for block in blocks:
        if block.is_heading:
            end_passage()
            title, gathered, size = f"{name}: {block.text}", [], 0
            continue
        for part in _parts(block.text):
            words = _count_words(part)
            if size and size + words > PASSAGE_WORDS:
                end_passage()
                last, page = gathered[-1]
                overlap = _last_sentences(last)
                gathered, size = [(overlap, page)] if overlap else [], 0
            gathered.append((part, block.page))
            size += words
    end_passage()
    return documents


def _page_begins(parts: Iterable[tuple[str, int | None]]) -> tuple[tuple[int, int], ...]:
    begins: dict[int, int] = {}  # page -> where it begins
    position = 0
    for text, page in parts:
        if page is not None:
            begins.setdefault(page, position)
        position += len(text) + 1
    return tuple((begin, page) for page, begin in begins.items())


def _parts(paragraph: str) -> list[str]:
    """The paragraph where it fits into a passage, else its sentences, or pieces of them."""
    if _count_words(paragraph) <= PASSAGE_WORDS:
        return [paragraph] if paragraph else []
    pieces = []
    for sentence in _sentences(paragraph):
        ends = [word.end() for word in _WORD.finditer(sentence)]
        cuts = [0, *ends[PASSAGE_WORDS - 1 : -1 : PASSAGE_WORDS], len(sentence)]
        pieces += [sentence[begin:end].strip() for begin, end in pairwise(cuts)]
    return pieces


def _last_sentences(text: str) -> str:
    kept: list[str] = []
    for sentence in reversed(_sentences(text)):
        if _count_words(" ".join([sentence, *kept])) > OVERLAP_WORDS:
            break
        kept.insert(0, sentence)
    return " ".join(kept)


def _sentences(text: str) -> list[str]:
    marked = re.sub("([。！？])", r"\1\n", text)  # which no blank follows
    return [s for line in marked.splitlines() for s in split_sentences(line)]


def _count_words(text: str) -> int:
    return sum(1 for _ in _WORD.finditer(text))


def unique_documents(documents: Iterable[object]) -> list[Document]:
    """Each document once, in their order; anything with a title and a text is one.

    Raises:
        RetrievalError: one has no title or no text that can be read; it names the first.
    """
    found: dict[tuple[str, str], Document] = {}
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
        file, pages = getattr(document, "file", ""), getattr(document, "pages", ())
        found.setdefault((title, text), Document(title, text, file, pages))
    return list(found.values())
