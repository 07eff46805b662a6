"""tools/new_exercise.py: the cells of an exercise go into its notebook once, before its end."""

import nbformat
import pytest

from tools import new_exercise, new_notebook


def test_an_exercise_comes_before_the_last_section_and_only_once(tmp_path):
    path = new_notebook.write("08_questions", tmp_path)
    assert new_exercise.put_in("08.best_span", tmp_path) == path
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    start = ids.index("08-best-span")
    tags = [cell.metadata.tags for cell in notebook.cells[start : start + 3]]
    assert tags == [["exercise"], ["exercise"], ["check"]]
    assert notebook.cells[start + 3].source.startswith("## What you take with you")
    with pytest.raises(ValueError, match=r"has 08\.best_span already"):
        new_exercise.put_in("08.best_span", tmp_path)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match="there is no notebook 08"):
        new_exercise.put_in("08.best_span", tmp_path)
    with pytest.raises(ValueError, match=r"did you mean '08\.best_span'"):
        new_exercise.put_in("08.bestspan", tmp_path)
