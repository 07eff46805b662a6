"""A training in a process of its own: the error that ended it is said."""

from src.qa.background import print_failure


def test_the_error_that_ended_a_script_is_said_and_nothing_else(tmp_path, capsys):
    script, error = tmp_path / "fine_tune.py", "Traceback (most recent call last):\n  ...\n"
    print_failure(script)
    for text in ("step 1\n", f"{error}RuntimeError: no Hub\n"):
        (tmp_path / "output.txt").write_text(text)
        print_failure(script)
    assert capsys.readouterr().out == "It ended early. RuntimeError: no Hub\n"
