"""A folder of texts becomes passages: cut at paragraphs, no word lost, the unreadable named."""

from __future__ import annotations

import pytest

from src.qa.documents import PASSAGE_WORDS, Document, RetrievalError, other_files, read_folder


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
    assert read_folder(tmp_path) == [
        Document("cells: The cell", "A cell is small."),
        Document("cells: Its wall", "Plants have one."),
        Document("physics", "\n".join(paragraphs[:2])),
        Document("physics", paragraphs[2]),
    ]
    assert other_files(tmp_path) == [tmp_path / "image.png"]


def test_a_long_paragraph_is_cut_between_sentences_and_no_word_is_lost(tmp_path):
    sentences = [f"Sentence {i} has exactly these eight words here." for i in range(60)]
    endless = " ".join(f"word{i}" for i in range(300))
    (tmp_path / "long.txt").write_text(" ".join(sentences) + "\n\n" + endless, encoding="utf-8")
    texts = [document.text for document in read_folder(tmp_path)]
    assert all(len(text.split()) <= PASSAGE_WORDS for text in texts)
    assert " ".join(texts).split() == " ".join([*sentences, endless]).split()
    assert all(text.split("\n")[-1].endswith("here.") for text in texts[:3])


def test_files_that_cannot_be_read_are_named_all_of_them_in_one_sentence(tmp_path):
    (tmp_path / "good.txt").write_text("Fine.")
    (tmp_path / "latin.txt").write_bytes("Straße".encode("latin-1"))
    (tmp_path / "empty.md").write_text(" \n")
    (tmp_path / "binary.txt").write_bytes(b"text\x00\x01text")
    (tmp_path / "link.txt").symlink_to(tmp_path / "nowhere.txt")
    with pytest.raises(RetrievalError) as error:
        read_folder(tmp_path)
    message = str(error.value)
    assert "latin.txt (not UTF-8 text)" in message and "binary.txt (not UTF-8 text)" in message
    assert "empty.md (no words in it)" in message
    assert "link.txt (No such file or directory)" in message
    assert "good.txt" not in message and "\n" not in message


def test_a_folder_without_texts_is_named(tmp_path):
    with pytest.raises(RetrievalError, match=r"holds no \.txt or \.md files"):
        read_folder(tmp_path)
    with pytest.raises(RetrievalError, match="is not a folder"):
        read_folder(tmp_path / "nowhere")
