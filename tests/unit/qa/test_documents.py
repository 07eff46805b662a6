"""A folder of texts becomes passages: cut at paragraphs, no word lost, the unreadable named."""

import pytest

from src.qa.documents import (
    OTHER_KIND,
    OVERLAP_WORDS,
    PASSAGE_WORDS,
    Document,
    RetrievalError,
    scan_folder,
)
from src.qa.keyword import KeywordIndex
from tests.unit.qa.test_text_files import book


def test_a_folder_of_texts_becomes_passages_cut_at_paragraphs(tmp_path):
    paragraphs = [" ".join(f"{name}{i}" for i in range(50)) for name in ("a", "b", "c")]
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "physics.txt").write_text("\ufeff" + "\n\n".join(paragraphs), "utf-8")
    markdown = "# The cell\nA cell is\nsmall.\n## Its wall #\n\nPlants have one.\n"
    (tmp_path / "cells.MD").write_text(markdown, encoding="utf-8")
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / ".ipynb_checkpoints" / "cells-checkpoint.md").write_text("# An older edition.")
    (tmp_path / ".hidden.txt").write_text("Not for others.")
    found = scan_folder(tmp_path)
    assert found.documents == [
        Document("cells: The cell", "A cell is small.", "cells.MD"),
        Document("cells: Its wall", "Plants have one.", "cells.MD"),
        Document("physics", "\n".join(paragraphs[:2]), "part/physics.txt"),
        Document("physics", paragraphs[2], "part/physics.txt"),
    ]
    assert found.read == {"cells.MD": 2, "part/physics.txt": 2}
    assert found.unread == {"image.png": OTHER_KIND} and found.failed == []


def test_a_long_paragraph_is_cut_between_sentences_and_no_word_is_lost(tmp_path):
    sentences = [f"Sentence {i} has exactly these eight words here." for i in range(60)]
    endless = " ".join(f"word{i}" for i in range(300))
    (tmp_path / "long.txt").write_text(" ".join(sentences) + "\n\n" + endless, encoding="utf-8")
    texts = [document.text for document in scan_folder(tmp_path).documents]
    assert all(len(text.split()) <= PASSAGE_WORDS + OVERLAP_WORDS for text in texts)
    together = texts[0].split()
    for text in texts[1:]:
        words = text.split()
        shared = max((n for n in range(31) if words[:n] == together[-n:]), default=0)
        together += words[shared:]
    assert together == " ".join([*sentences, endless]).split()
    assert texts[1].startswith(" ".join(texts[0].split("\n")[-1:]))
    assert all(text.split("\n")[-1].endswith("here.") for text in texts[:3])


def test_a_passage_begins_with_the_last_sentences_of_the_one_before_but_not_across_a_heading(
    tmp_path,
):
    first = "A long beginning. " + "It goes on and on. " * 20 + "The lamp was lit in 1911."
    second = "Its keeper was Signe. " + "She never left. " * 20
    text = f"# One\n\n{first}\n\n{second}\n\n# Two\n\nOther."
    (tmp_path / "tower.md").write_text(text, encoding="utf-8")
    one, two, three = (document.text for document in scan_folder(tmp_path).documents)
    overlap = two.split("\n")[0]
    assert one.endswith(overlap) and overlap.endswith(
        "It goes on and on. The lamp was lit in 1911."
    )
    assert len(overlap.split()) <= OVERLAP_WORDS and three == "Other."


def test_a_language_without_blanks_is_cut_and_found_by_keyword(tmp_path):
    chinese = "光合作用是植物的过程。" * 30 + "线粒体产生能量。" + "细胞有细胞壁" * 40
    (tmp_path / "biology.txt").write_text(chinese, encoding="utf-8")
    documents = scan_folder(tmp_path).documents
    assert len(documents) > 3 and all(len(doc.text) <= 160 for doc in documents)
    assert documents[0].text.endswith("。")
    assert all(part in "".join(doc.text for doc in documents) for part in ("线粒体", "细胞壁"))
    scores = KeywordIndex.build(documents).scores("线粒体产生什么？")
    assert "线粒体" in documents[scores.argmax()].text and (scores > 0).sum() < len(documents)


def test_a_character_of_a_pdf_is_on_its_page(tmp_path):
    pages = [
        ["It begins here on the first page with words"],
        ["and ends on", "the second."],
        ["Third."],
    ]
    (tmp_path / "three.pdf").write_bytes(book(pages, {"Last": 2}))
    first, last = scan_folder(tmp_path).documents
    assert (first.title, last.title) == ("three", "three: Last") and first.file == "three.pdf"
    places = [first.text.index(word) for word in ("It", "words", "and", "second")]
    assert [first.page_at(place) for place in places] == [1, 1, 2, 2] and last.page_at(0) == 3
    assert Document("Oxygen", "No pages.").page_at(3) is None


def test_files_that_cannot_be_read_are_named_all_of_them_in_one_sentence(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "book"
    outside.mkdir()
    folder.mkdir()
    (outside / "chapter.txt").write_text("Not in the folder.")
    (folder / "good.txt").write_text("Fine.")
    (folder / "latin.txt").write_bytes("Straße".encode("latin-1"))
    (folder / "blank.md").write_text(" \n")
    (folder / "scan.pdf").write_bytes(book([[""]], {"Scan": 0}))
    (folder / "gone.txt").symlink_to(folder / "nowhere.txt")
    (folder / "chapter.txt").symlink_to(outside / "chapter.txt")
    (folder / "chapters").symlink_to(outside)
    found = scan_folder(folder)
    message = ", ".join(found.failed)
    for problem in (
        "latin.txt (not UTF-8 text)",
        "blank.md (no words in it)",
        "scan.pdf (1 of 1 pages have no text: scanned?",
        "gone.txt (a link",
        "chapter.txt (a link",
        "chapters (a link",
    ):
        assert problem in message
    assert found.read == {"good.txt": 1} and len(found.failed) == 6


def test_a_folder_without_texts_is_named(tmp_path):
    with pytest.raises(RetrievalError, match=r"has no file of text \(\.txt \.md"):
        scan_folder(tmp_path)
    with pytest.raises(RetrievalError, match="is not a folder"):
        scan_folder(tmp_path / "nowhere")
    (tmp_path / "blank.txt").write_text("...")
    with pytest.raises(RetrievalError, match=r"blank\.txt \(no words in it\)"):
        scan_folder(tmp_path)
