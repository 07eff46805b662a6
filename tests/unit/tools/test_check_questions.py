"""The check of question files prints the mix of the set, or one line."""

from src.qa import course_set
from tools.check_questions import main, questions_report


def test_the_report_counts_what_is_there(tmp_path):
    file = tmp_path / "chemistry.yaml"
    file.write_text(
        "- title: Oxygen\n  split: train\n  questions:\n"
        "    - {q: 'What is the atomic number of oxygen?', a: 8}\n"
        "    - {q: 'Who discovered oxygen?', near: O}\n"
    )
    passages = {"Oxygen": "Oxygen has the symbol O and its atomic number is 8."}
    splits = course_set.build_course_set([file], passages)
    report = questions_report(splits, {"Oxygen": "chemistry"})["train"]
    sizes = {"articles": 1, "passages": 1, "questions": 2, "unanswerable": 1}
    assert report["size"].to_dict() == sizes
    assert report["mean words"].to_dict() == {"passage": 11.0, "question": 5.0, "answer": 1.0}
    assert report["first word, %"].to_dict() == {"what": 50.0, "who": 50.0}
    assert report["questions by topic"].to_dict() == {"chemistry": 2}


def test_the_check_prints_the_mix_or_one_line(tmp_path, capsys):
    assert main([]) == 0
    out, err = capsys.readouterr()
    assert "unanswerable" in out and "physical sciences" in out and err == ""
    bad = "- title: No such article\n  split: train\n  questions:\n    - {q: 'What?', a: 8}\n"
    (tmp_path / "bad.yaml").write_text(bad)
    assert main([str(tmp_path / "bad.yaml")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert "bad.yaml: no passage is called 'No such article'" in err
