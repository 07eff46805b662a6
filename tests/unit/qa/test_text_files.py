"""Books of every kind become headings and paragraphs; what cannot be read says why, and soon."""

import os
import zipfile
import zlib
from pathlib import Path

import pytest

from src.qa import text_files
from src.qa.text_files import Block, UnreadableError, read_blocks

# --- files made by hand, by what their specifications say -----------------------------------------

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
PARTS = "http://schemas.openxmlformats.org/package/2006"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
BOMB = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'


def archive(file: Path, parts: dict[str, str]) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in parts.items():
            packed.writestr(name, text)
    return file


def docx_parts(body: str, prolog: str = "") -> dict[str, str]:
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    types = f'<Types xmlns="{PARTS}/content-types">'
    types += '<Default Extension="rels" '
    types += 'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    types += f'<Override PartName="/word/document.xml" ContentType="{kind}.document.main+xml"/>'
    types += f'<Override PartName="/word/styles.xml" ContentType="{kind}.styles+xml"/></Types>'
    style = '<w:style w:type="paragraph" w:styleId="H"><w:name w:val="heading 1"/></w:style>'

    def relation(name: str, target: str) -> str:
        inside = f'<Relationship Id="r1" Type="{OFFICE}/{name}" Target="{target}"/>'
        return f'<Relationships xmlns="{PARTS}/relationships">{inside}</Relationships>'

    document = f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>'
    return {
        "[Content_Types].xml": types,
        "_rels/.rels": relation("officeDocument", "word/document.xml"),
        "word/_rels/document.xml.rels": relation("styles", "styles.xml"),
        "word/document.xml": prolog + document,
        "word/styles.xml": f'<w:styles xmlns:w="{WORD}">{style}</w:styles>',
    }


def epub_parts(*chapters: str) -> dict[str, str]:
    numbers = range(1, len(chapters) + 1)
    items = "".join(f'<item id="c{n}" href="text/c%20{n}.xhtml"/>' for n in numbers)
    spine = "".join(f'<itemref idref="c{n}"/>' for n in reversed(numbers))
    package = f"<manifest>{items}</manifest><spine>{spine}</spine>"
    names = "urn:oasis:names:tc:opendocument:xmlns:container"
    roots = '<rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles>'
    return {
        "META-INF/container.xml": f'<container xmlns="{names}">{roots}</container>',
        "OPS/book.opf": f'<package xmlns="http://www.idpf.org/2007/opf">{package}</package>',
    } | {f"OPS/text/c {n}.xhtml": chapter for n, chapter in zip(numbers, chapters, strict=True)}


def pdf_of(objects: list[bytes], trailer: bytes = b"") -> bytes:
    """A PDF file: objects 1, 2, ..., of which the first is the catalog."""
    content, places = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(content))
        content += b"%d 0 obj\n%b\nendobj\n" % (number, one)
    size = len(objects) + 1
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 %d\n0000000000 65535 f \n%b" % (size, table)
    root = b"trailer\n<</Size %d/Root 1 0 R%b>>\n" % (size, trailer)
    return content + end + root + b"startxref\n%d\n%%%%EOF" % len(content)


def stream(content: bytes) -> bytes:
    packed = zlib.compress(content, 9)
    head = b"<</Length %d/Filter/FlateDecode>>" % len(packed)
    return head + b"stream\n" + packed + b"\nendstream"


def book(pages: list[list[str]], headings: dict[str, int], trailer: bytes = b"") -> bytes:
    """A PDF of these lines; headings are bookmarks to pages, counted from 0."""
    kids = [4 + 2 * index for index in range(len(pages))]
    marks = kids[-1] + 2  # the objects of pages, then the outline and its entries
    objects = [
        b"<</Type/Catalog/Pages 2 0 R/Outlines %d 0 R>>" % marks,
        b"<</Type/Pages/Count %d/Kids[%b]>>"
        % (len(kids), b" ".join(b"%d 0 R" % kid for kid in kids)),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for kid, lines in zip(kids, pages, strict=True):
        shown = b"".join(b"(%b) ' " % line.encode("latin-1") for line in lines)
        size = b"/MediaBox[0 0 600 800]/Resources<</Font<</F 3 0 R>>>>"
        objects.append(b"<</Type/Page/Parent 2 0 R%b/Contents %d 0 R>>" % (size, kid + 1))
        objects.append(stream(b"BT /F 10 Tf 14 TL 50 750 Td %bET" % shown))
    last = marks + len(headings)
    objects.append(b"<</First %d 0 R/Last %d 0 R>>" % (marks + 1, last))
    for number, (title, page) in enumerate(headings.items(), marks + 1):
        near = b"/Next %d 0 R" % (number + 1) if number < last else b""
        target = b"/Dest[%d 0 R/Fit]/Parent %d 0 R" % (kids[page], marks)
        objects.append(b"<</Title(%b)%b%b>>" % (title.encode(), target, near))
    return pdf_of(objects, trailer)


# --- what is in them ------------------------------------------------------------------------------


def test_a_pdf_gives_pages_headings_whole_words_and_no_running_heads(tmp_path):
    long = "These words are a line of this page that is about as long as all others"
    pages = [
        ["Contents", "Baking . . . . . . . . . . . 2", "Its end 3"],
        [
            "Bread 2",
            "1.1 Baking",
            f"{long} are, exam-",
            "ples of well-known bread.",
            "Rye 60 %",
            long,
        ],
        ["Bread 3", long, "which is well-known.", "1.2 Its end", "Examples end.", "iii"],
        ["Bread 4", f"At last {long}", "ends.", "iv"],
    ]
    file = tmp_path / "bread.pdf"
    file.write_bytes(book(pages, {"Baking": 1, "Its end": 2, "Colophon": 3}))
    assert read_blocks(file) == [
        Block("Contents", 1),
        Block("Bread 2", 2),  # a head and a foot stay on their first pages
        Block("Baking", 2, True),
        Block(f"{long} are, examples of well-known bread.", 2),
        Block("Rye 60 %", 2),
        Block(long, 2),
        Block(f"{long} which is well-known.", 3),
        Block("Its end", 3, True),
        Block("Examples end.", 3),
        Block("iii", 3),
        Block("Colophon", 4, True),  # which no line of its page says
        Block(f"At last {long} ends.", 4),
    ]


MARKDOWN = """# The cell #
A *cell* is
small.

```sh
# no heading
```
Its wall
--------
| part | colour |
| --- | --- |
| leaf | green |
"""
HTML = """<!doctype html><title>Cells</title><style>p {}</style><nav>Home</nav>
<div role=search>Go</div><table><tr><td><h1>The <b>c</b>ell<a>¶</a></h1>
<p>A cell<br>is sm<i>al&shy;l</i>.
<ul><li>One<li>Two &amp; more</ul>
<table><tr><th>part</th><th><p>colour</p></th></tr></table></td></tr></table><script>1</script>"""


def test_markdown_and_html_give_headings_paragraphs_and_rows(tmp_path):
    (tmp_path / "cell.md").write_text(MARKDOWN, encoding="utf-8")
    assert read_blocks(tmp_path / "cell.md") == [
        Block("The cell", None, True),
        Block("A cell is small."),
        Block("# no heading"),  # it is in a code fence
        Block("Its wall", None, True),
        Block("part | colour"),
        Block("leaf | green"),
    ]
    (tmp_path / "cell.htm").write_text(HTML + "<p>" + "word " * 200, encoding="utf-8")
    assert read_blocks(tmp_path / "cell.htm")[:-1] == [
        Block("The cell", None, True),
        Block("A cell is small."),
        Block("One"),
        Block("Two & more"),
        Block("part | colour"),
    ]
    (tmp_path / "old.html").write_bytes('<meta charset="latin-1"><p>Straße'.encode("latin-1"))
    assert read_blocks(tmp_path / "old.html") == [Block("Straße")]


def test_an_epub_is_read_in_the_order_of_its_spine(tmp_path):
    chapters = (
        "<html><h1>Second</h1><p>Two.<?x y?></p></html>",
        "<html><p>One &#8212; “it”.</p></html>",
    )
    file = archive(tmp_path / "book.epub", epub_parts(*chapters))
    assert read_blocks(file) == [Block("One — “it”."), Block("Second", None, True), Block("Two.")]


def test_a_word_file_gives_headings_paragraphs_links_and_rows(tmp_path):
    def run(text: str) -> str:
        return f"<w:r><w:t>{text}</w:t></w:r>"

    cells = "".join(f"<w:tc><w:p>{run(text)}</w:p></w:tc>" for text in ("leaf", "green"))
    body = f'<w:p><w:pPr><w:pStyle w:val="H"/></w:pPr>{run("The cell")}</w:p>'
    body += f"<w:p>{run('A cell ')}<w:hyperlink>{run('is small.')}</w:hyperlink></w:p>"
    body += f"<w:sdt><w:sdtContent><w:p><w:ins>{run('Green.')}</w:ins></w:p></w:sdtContent></w:sdt>"
    body += f"<w:tbl><w:tblGrid><w:gridCol/><w:gridCol/></w:tblGrid><w:tr>{cells}</w:tr></w:tbl>"
    file = archive(tmp_path / "cell.docx", docx_parts(body))
    assert read_blocks(file) == [
        Block("The cell", None, True),
        Block("A cell is small."),
        Block("Green."),
        Block("leaf | green"),
    ]


# --- what cannot be read --------------------------------------------------------------------------

PAGE = (
    b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>"
)
CATALOG, FONT = b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
ENDLESS = stream(b"BT /F 9 Tf " + b"1 0 0 1 9 9 Tm (words) Tj " * 4_000_000)
LOCK = b"/Encrypt<</Filter/Standard/V 1/R 2/P -4/O<%b>/U<%b>>>/ID[<41><41>]" % (
    b"41" * 32,
    b"42" * 32,
)
SCAN, LOCKED = book([[""]] * 3, {"Scan": 0}), book([["Secret."]], {"Secret": 0}, LOCK)
ONE_PAGE = b"<</Type/Pages/Count 1/Kids[3 0 R]>>"
MANY_PAGES = b"<</Type/Pages/Count 5001/Kids[%b]>>" % (b"3 0 R " * 5001)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("empty.pdf", b"", "empty"),
        ("scan.pdf", SCAN, "3 of 3 pages have no text: scanned"),
        ("locked.pdf", LOCKED, "locked with a password"),
        ("half.pdf", LOCKED[: len(LOCKED) // 3], "broken"),
        ("many.pdf", pdf_of([CATALOG, MANY_PAGES, PAGE, stream(b""), FONT]), "5,001 pages"),
        ("endless.pdf", pdf_of([CATALOG, ONE_PAGE, PAGE, ENDLESS, FONT]), "memory|characters"),
        ("letter.docx", b"\xd0\xcf\x11\xe0" + bytes(999), "an old .doc file or locked"),
        ("letter.epub", b"{\\rtf1 a letter}", "broken, or another kind"),
        ("deep.html", b"<div>" * 3_000 + b"down here", "more than 2,000 elements deep"),
        ("latin.html", b"<p>Stra\xdfe", "not UTF-8 text, and names no other encoding"),
        ("odd.html", b"<meta charset=klingon><p>Stra\xdfe", "says that it is in klingon"),
        ("binary.txt", b"text\x00\x01text", "not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, name, content, why):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableError, match=why):
        read_blocks(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "parts", "why"),
    [
        ("bomb.docx", docx_parts("") | {"word/media/a.png": "0" * 310_000_000}, "to 310 MB"),
        ("laughs.docx", docx_parts("", BOMB), "XML entities"),
        ("laughs.epub", epub_parts(BOMB + "<html>&b;</html>"), "XML entities"),
        ("other.docx", {"sheet.xml": "<sheet/>"}, "broken, or another kind"),
        ("noise.epub", epub_parts("\0"), "not UTF-8 text"),
    ],
)
def test_an_archive_that_cannot_be_trusted_says_why(tmp_path, name, parts, why):
    with pytest.raises(UnreadableError, match=why):
        read_blocks(archive(tmp_path / name, parts))


def test_reading_ends_in_time_and_within_bounds(tmp_path, monkeypatch):
    (tmp_path / "long.txt").write_text("word " * 30)
    (tmp_path / "slow.md").write_text("# Slow")
    os.mkfifo(tmp_path / "pipe.txt")
    for name, limit, value, why in (
        ("long.txt", "MAX_CHARACTERS", 99, "more than 99 characters"),
        ("long.txt", "MAX_FILE", 99, "larger than 0 MB"),
        ("slow.md", "SECONDS", 0.001, "not read after 0.001 seconds"),
        ("pipe.txt", "SECONDS", 1, "not a regular file"),
    ):
        with monkeypatch.context() as patched, pytest.raises(UnreadableError, match=why):
            patched.setattr(text_files, limit, value)
            read_blocks(tmp_path / name)
