"""Read files of text: .txt, .md, .html, .epub, .docx and .pdf become headings and paragraphs.

    read_blocks(Path("manual.pdf"))  # [Block("Introduction", page=3, is_heading=True), ...]

Files are not trusted. All kinds but plain text are read by a process of its own, in limited time
and memory: `python src/qa/text_files.py FILE` prints the blocks as JSON. So this module imports
nothing of the course, and a library only where its kind of file is read.
"""

import json
import re
import subprocess
import sys
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

SECONDS = 120  # to read one file
MEMORY = 2**30  # bytes of address space, where the system can limit it
MAX_FILE = 300_000_000  # bytes
MAX_UNPACKED = 300_000_000  # bytes in an archive, unpacked
MAX_PAGES = 5_000
MAX_DEPTH = 2_000  # of HTML; libxml2 leaves out without a word what is deeper than 2,048
MAX_CHARACTERS = 10_000_000  # about 5,000 pages
HYPHEN = "\ufffe"  # where PDFium joined two lines, the first of which ended in a hyphen
CUT_LINE = 0.75  # of the page's long lines: a shorter line ends its paragraph
MAX_ROW = 500  # characters in a row of a table
HEAD_LINES = 3  # that a running head or foot has at most

_DROPPED = ("script", "style", "template", "noscript", "nav", "footer", "svg", "math", "title")
_INLINE_TAGS = """
a abbr b bdi bdo big br cite code data del dfn em font i img ins kbd label mark q ruby s samp small
span strike strong sub sup time tt u var wbr
"""
_INLINE = frozenset(_INLINE_TAGS.split())
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_LAID_OUT = _HEADINGS | {"table", "ul", "ol"}
_LEADER = re.compile(r"(?:\. ?){4,}\s*[\divxlc]+$")  # "Introduction . . . . . 7"
_NUMBER = re.compile(r"\d{1,9}|\b[ivxlc]+\b")
_LAST_NUMBER = re.compile(r"\s[\divxlc]+$")
_XML = (".xml", ".rels", ".opf", ".ncx", ".xhtml", ".html", ".htm")


class UnreadableError(ValueError):
    """A file that cannot be read; says why in a few words."""


class Block(NamedTuple):
    """A heading, a paragraph or a row of a table; `page` counts from 1, in a PDF only."""

    text: str
    page: int | None = None
    is_heading: bool = False


def read_blocks(file: Path) -> list[Block]:
    """The text of a file, in order.

    Raises:
        UnreadableError: it is broken, locked, too large, or another kind of file.
        OSError: it cannot be opened.
    """
    if not file.is_file():
        file.stat()  # says that there is none
        raise UnreadableError("not a regular file")
    with file.open("rb") as opened:
        size = opened.seek(0, 2)
    if size == 0:
        raise UnreadableError("empty")
    if size > MAX_FILE:
        raise UnreadableError(f"larger than {MAX_FILE // 1_000_000} MB")
    if file.suffix.lower() == ".txt":
        return _bounded(_read_plain_text(file))
    command = [sys.executable, "-P", __file__, str(file.absolute())]
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise UnreadableError(f"not read after {SECONDS} seconds") from None
    if done.returncode:
        raise UnreadableError("broken, or too large for the memory: the library that reads it died")
    reply = json.loads(done.stdout)
    if isinstance(reply, str):
        raise UnreadableError(reply)
    return [Block(*block) for block in reply]


def _bounded(blocks: Iterator[Block]) -> list[Block]:
    """The blocks that hold something, with single blanks between words and no soft hyphens."""
    kept, characters = [], 0
    for block in blocks:
        text = " ".join(block.text.replace("\xad", "").split())
        characters += len(text)
        if characters > MAX_CHARACTERS:
            raise UnreadableError(f"more than {MAX_CHARACTERS:,} characters")
        if text:
            kept.append(block._replace(text=text))
    return kept


# --- text, Markdown, HTML, EPUB, Word


def _decoded(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableError("not UTF-8 text") from None
    if "\0" in text:  # valid UTF-8, but not a text that a person wrote
        raise UnreadableError("not UTF-8 text")
    return text


def _read_plain_text(file: Path) -> Iterator[Block]:
    yield from map(Block, re.split(r"\n\s*\n", _decoded(file.read_bytes())))


def _read_markdown(file: Path) -> Iterator[Block]:
    from markdown_it import MarkdownIt

    text = _decoded(file.read_bytes())
    yield from _html_blocks(MarkdownIt("commonmark").enable("table").render(text))


def _read_html(file: Path) -> Iterator[Block]:
    data = file.read_bytes()
    declared = re.search(rb"""(?:charset|encoding)\s*=\s*["']?([\w-]+)""", data[:2048])
    try:
        text = _decoded(data)
    except UnreadableError:
        if declared is None or b"\0" in data:
            raise UnreadableError("not UTF-8 text, and names no other encoding") from None
        try:
            text = data.decode(declared[1].decode())
        except (UnicodeDecodeError, LookupError):
            name = declared[1].decode()
            raise UnreadableError(f"says that it is in {name}, but is not") from None
    yield from _html_blocks(text)


def _html_blocks(text: str) -> Iterator[Block]:
    from lxml import etree, html

    left_out = {"remove_comments": True, "remove_pis": True}
    parser = html.HTMLParser(encoding="utf-8", huge_tree=True, **left_out)
    parser.feed(text.encode())
    root = parser.close() if text.strip() else None
    if root is None:
        return
    etree.strip_elements(root, *_DROPPED, with_tail=False)
    for element in root.xpath("//*[@role='navigation' or @role='search']"):
        element.drop_tree()
    gathered: list[str] = []
    depth = 0
    walk = etree.iterwalk(root, events=("start", "end"))
    for event, element in walk:
        starts = event == "start"
        depth += 1 if starts else -1
        if depth > MAX_DEPTH:
            raise UnreadableError(f"more than {MAX_DEPTH:,} elements deep")
        if element.tag not in _INLINE:
            is_heading = not starts and element.tag in _HEADINGS
            text = "".join(gathered)
            yield Block(text.rstrip(" ¶\n") if is_heading else text, None, is_heading)
            gathered = []
        row = _row(element) if starts and element.tag == "tr" else ""
        if 0 < len(row) <= MAX_ROW:
            walk.skip_subtree()
            gathered.append(row)
        else:
            gathered.append((element.text if starts else element.tail) or "")
        if starts and element.tag == "br":
            gathered.append(" ")
    yield Block("".join(gathered))


def _row(element: Any) -> str:
    """A row of a table as one line; "" where the table only places things on the page."""
    if any(part.tag in _LAID_OUT for part in element.iter()):
        return ""
    cells = (" ".join(" ".join(cell.itertext()).split()) for cell in element)
    return " | ".join(cells)


def _open_archive(file: Path) -> zipfile.ZipFile:
    """The archive inside a .docx or .epub, once it is known to be harmless."""
    if file.read_bytes()[:4] == b"\xd0\xcf\x11\xe0":
        raise UnreadableError("an old .doc file or locked with a password; save as .docx")
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile:
        raise UnreadableError("broken, or another kind of file renamed") from None
    parts = archive.infolist()
    size = sum(part.file_size for part in parts)
    if size > MAX_UNPACKED:
        raise UnreadableError(f"would unpack to {size / 1e6:,.0f} MB: an archive bomb?")
    if any(part.flag_bits & 1 for part in parts):
        raise UnreadableError("locked with a password")
    if any(p.filename.lower().endswith(_XML) and b"<!ENTITY" in archive.read(p) for p in parts):
        raise UnreadableError("defines XML entities, which can be endless")
    return archive


def _read_epub(file: Path) -> Iterator[Block]:
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    with _open_archive(file) as archive:
        container = etree.fromstring(archive.read("META-INF/container.xml"), parser)
        place = container.find(".//{*}rootfile").get("full-path")
        package = etree.fromstring(archive.read(place), parser)
        items = package.iterfind("{*}manifest/{*}item")
        addresses = {item.get("id"): item.get("href") for item in items}
        for chapter in package.iterfind("{*}spine/{*}itemref"):
            path = unquote(urlsplit(addresses[chapter.get("idref")]).path)
            yield from _html_blocks(_decoded(archive.read(normpath(join(dirname(place), path)))))


def _read_docx(file: Path) -> Iterator[Block]:
    import docx
    from docx.table import Table
    from lxml import etree

    _open_archive(file).close()
    document = docx.Document(str(file))
    # What somebody inserted, and forms and covers: python-docx passes over what is inside of these.
    names = ("ins", "smartTag", "sdt", "sdtContent")
    etree.strip_tags(document.element.body, *(f"{{*}}{name}" for name in names))
    styles = {style.style_id: style.name or "" for style in document.styles}
    for item in document.iter_inner_content():
        if isinstance(item, Table):
            for row in item.rows:
                cells = dict.fromkeys(row.cells)  # one that spans two columns is there twice
                yield Block(" | ".join(cell.text for cell in cells))
        else:
            is_heading = styles.get(item._element.style, "").startswith(("Heading", "Title"))
            yield Block(item.text, None, is_heading)


# --- PDF


def _read_pdf(file: Path) -> Iterator[Block]:
    import pypdfium2

    try:
        pdf = pypdfium2.PdfDocument(file)
    except pypdfium2.PdfiumError as error:
        locked = "password" in str(error).lower()
        why = "locked with a password" if locked else "broken, or another kind of file renamed"
        raise UnreadableError(why) from None
    if len(pdf) > MAX_PAGES:
        raise UnreadableError(f"{len(pdf):,} pages, more than {MAX_PAGES:,}")
    pages, characters = [], 0
    for number in range(len(pdf)):
        try:
            text = pdf[number].get_textpage().get_text_range()
        except pypdfium2.PdfiumError:
            raise UnreadableError(f"broken: page {number + 1} cannot be read") from None
        characters += len(text)
        if characters > MAX_CHARACTERS:
            raise UnreadableError(f"more than {MAX_CHARACTERS:,} characters")
        pages.append([line.strip() for line in text.splitlines() if line.strip()])
    if 2 * pages.count([]) > len(pages):
        found = f"{pages.count([])} of {len(pages)} pages have no text"
        raise UnreadableError(f"{found}: scanned? let a program recognise its text, OCR")
    titles = defaultdict(list)
    for entry in pdf.get_toc():
        target = entry.get_dest()
        if target is not None and target.get_index() is not None:
            titles[target.get_index()].append(entry.get_title())
    _drop_running_heads(pages)
    known = {_letters(title) for entries in titles.values() for title in entries}
    words = Counter(re.findall(r"[\w-]+", "\n".join(map("\n".join, pages))))
    for index, lines in enumerate(pages):
        lines = [line for line in lines if not _in_contents(line, titles[index], known)]
        for block in _page_blocks(lines, titles[index], index + 1):
            yield block._replace(text=_with_words_joined(block.text, words))


def _drop_running_heads(pages: list[list[str]]) -> None:
    """Take off first and last lines that one of the two pages before has too.

    The page that has it first keeps it, so nothing is lost where slides repeat their lines.
    """
    for end in (0, -1):
        for _ in range(HEAD_LINES):
            edges = [lines[end] if lines else "" for lines in pages]
            for index, lines in enumerate(pages):
                back = [n for n in (1, 2) if n <= index]
                if lines and any(_is_same_head(edges[index], edges[index - n], n) for n in back):
                    del lines[end]


def _is_same_head(line: str, before: str, pages: int) -> bool:
    """Whether a line is the one of so many pages before, but for the number of its page."""
    same = _NUMBER.sub("#", line) == _NUMBER.sub("#", before)
    numbers = zip(re.findall(r"\d{1,9}", line), re.findall(r"\d{1,9}", before), strict=False)
    return same and all(int(new) - int(old) in (0, pages) for new, old in numbers)


def _with_words_joined(text: str, words: Counter[str]) -> str:
    """Words that were hyphenated at the end of a line, whole.

    The hyphen stays where the file has it elsewhere too: "well-known".
    """

    def joined(found: re.Match) -> str:
        first, second = found.groups()
        hyphenated, plain = f"{first}-{second}", first + second
        return hyphenated if words[hyphenated] > words[plain] else plain

    return re.sub(f"(\\w*){HYPHEN}(\\w*)", joined, text)


def _page_blocks(lines: list[str], titles: list[str], page: int) -> Iterator[Block]:
    """The headings, which the table of contents names, and paragraphs of a page."""
    widths = sorted(len(line) for joined in lines for line in joined.split(HYPHEN))
    wide = widths[-1 - len(widths) // 10] if widths else 0  # but for a few
    found = {_title_on(line, titles) for line in lines}
    for title in titles:
        if title not in found:
            yield Block(title, page, True)
    gathered: list[str] = []
    for line in lines:
        title = _title_on(line, titles)
        if title:
            yield Block(" ".join(gathered), page)
            yield Block(title, page, True)
            gathered = []
            continue
        gathered.append(line)
        if len(line.rpartition(HYPHEN)[-1]) < CUT_LINE * wide:
            yield Block(" ".join(gathered), page)
            gathered = []
    yield Block(" ".join(gathered), page)


def _in_contents(line: str, titles: list[str], known: set[str]) -> bool:
    """Whether a line is an entry of the table of contents: a heading of the book, and a number."""
    heading, numbers = _LAST_NUMBER.subn("", line)
    listed = bool(numbers) and _letters(heading) in known and not _title_on(line, titles)
    return listed or _LEADER.search(line) is not None


def _title_on(line: str, titles: list[str]) -> str | None:
    """The title that this line holds, or the first of its lines, with or without its number."""
    letters = _letters(line)
    for title in titles:
        wanted = _letters(title)
        if letters and (letters == wanted or (len(letters) > 20 and wanted.startswith(letters))):
            return title
    return None


def _letters(text: str) -> str:
    return re.sub(r"[\W\d_]+", "", text).lower()


# --- the process that reads

READERS: dict[str, Callable[[Path], Iterator[Block]]] = {
    ".txt": _read_plain_text,
    ".md": _read_markdown,
    ".html": _read_html,
    ".htm": _read_html,
    ".epub": _read_epub,
    ".docx": _read_docx,
    ".pdf": _read_pdf,
}


def main(file: Path) -> None:
    """Print the blocks of a file as JSON, or a sentence that says why not."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, OSError, ValueError):  # another system; the time is limited still
        pass
    try:
        reply: Any = _bounded(READERS[file.suffix.lower()](file))
    except UnreadableError as error:
        reply = str(error)
    except MemoryError:
        reply = f"needs more than {MEMORY // 2**30} GB of memory"
    except ImportError as error:
        reply = f"{error.name} is missing: run make, or pip install it"
    except Exception as error:  # of a library, about a file that it does not understand
        reply = f"broken, or another kind of file renamed ({type(error).__name__})"
    sys.stdout.buffer.write(json.dumps(reply).encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
