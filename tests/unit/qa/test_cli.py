"""The command line: answers and scores as JSON, one line with status 2 for what is wrong."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from src import assets, command
from src.qa import course_set, evaluate, evaluation
from src.qa.__main__ import main
from src.qa.answerer import QuestionAnswerer
from src.qa.dataset import load_squad
from src.qa.runs import load_run

TEXT = "Oxygen is the chemical element with symbol O and atomic number 8. "
TEXT += "Carl Scheele 北京 found it in a cafe\u0301 🙂."


@pytest.fixture
def text_file(tmp_path) -> Path:
    file = tmp_path / "oxygen text.txt"
    file.write_text(TEXT, encoding="utf-8")
    return file


def write_squad(file: Path, *qas: dict) -> Path:
    article = {"title": "Oxygen", "paragraphs": [{"context": TEXT, "qas": list(qas)}]}
    file.write_text(json.dumps({"version": "v2.0", "data": [article]}), encoding="utf-8")
    return file


@pytest.fixture
def squad_file(tmp_path) -> Path:
    price = {"id": "price", "question": "What does it cost?", "answers": [], "is_impossible": True}
    known = (("number", "Which number?", "8"), ("who", "Who?", "Carl Scheele"))
    qas = [
        {"id": name, "question": question, "is_impossible": False}
        | {"answers": [{"text": answer, "answer_start": TEXT.index(answer)}]}
        for name, question, answer in known
    ]
    return write_squad(tmp_path / "set.json", *qas, price)


def last_json(text: str) -> dict:
    return json.loads(text.splitlines()[-1])


def said(capsys, *arguments: object) -> dict:
    """What a command that ends well prints with --json."""
    assert main([*map(str, arguments), "--json"]) == 0
    return last_json(capsys.readouterr().out)


# --- what works -------------------------------------------------------------------------------


def test_ask_prints_what_the_answerer_says_as_json(capsys, tiny_folder, text_file):
    options = ["--context-file", text_file, "--model", tiny_folder, "--top", 4, "--threshold", 0]
    result = said(capsys, "ask", "Which number?", *options)
    assert list(result) == ["question", "text", "start", "end", "score", "null_score", "candidates"]
    answer = QuestionAnswerer.load(tiny_folder)("Which number?", TEXT, 0.0, n_best=4)
    assert (result["question"], result["text"]) == ("Which number?", answer.text)
    scores = (answer.score, answer.null_score)
    assert (result["score"], result["null_score"]) == pytest.approx(scores, abs=0.01)
    found = [each["text"] for each in result["candidates"]]
    assert found == [candidate.text for candidate in answer.candidates] and len(found) == 4
    for each in (result, *result["candidates"]):
        assert TEXT[each["start"] : each["end"]] == each["text"] != ""


def test_ask_speaks_plainly_without_json(capsys, tiny_folder, text_file):
    arguments = ["ask", "Which number?", "--context-file", str(text_file)]
    arguments += ["--model", str(tiny_folder), "--threshold", "0"]
    assert main(arguments) == 0
    first, *candidates = capsys.readouterr().out.splitlines()
    answer = QuestionAnswerer.load(tiny_folder)("Which number?", TEXT, 0.0)
    assert first.startswith(f"{answer.text}   (") and first.endswith("% sure)")
    assert f"{answer.text!r} at {answer.start}-{answer.end}" in candidates[0]
    assert len(candidates) == 3
    assert main([*arguments, "--top", "1"]) == 0
    assert capsys.readouterr().out.splitlines() == [first]
    assert main([*arguments[:-1], "1"]) == 0
    refusal = f"No answer in this text (the best guess is {answer.score:.0%} sure)."
    assert capsys.readouterr().out.startswith(refusal)


def test_evaluate_prints_the_scores_as_json_and_minds_the_threshold(
    capsys, tiny_folder, squad_file
):
    arguments = ["evaluate", "--data", squad_file, "--model", tiny_folder]
    answered, qa = said(capsys, *arguments), QuestionAnswerer.load(tiny_folder)
    expected = evaluate(qa, load_squad(squad_file)["train"])
    del answered["seconds"], expected["seconds"]
    assert answered == pytest.approx(expected, abs=0.01)
    counts = {"threshold": 0.5, "total": 3, "HasAns_total": 2, "NoAns_total": 1}
    assert counts.items() <= answered.items()
    assert 0 <= answered["auc"] <= 1 and 0 <= answered["ece"] <= 1
    refused = said(capsys, *arguments, "--threshold", 1)
    assert (refused["threshold"], refused["NoAns_f1"], refused["HasAns_f1"]) == (1, 100, 0)
    assert refused["exact_match"] == pytest.approx(100 / 3)


CSV = f'id,question,answer,passage\nsymbol,Which symbol?,symbol O,"{TEXT}"\n'
CSV += f'cost,How much?,,"{TEXT}"\n'


def test_evaluate_takes_a_names_validation_split_or_the_one_asked_for(
    capsys, monkeypatch, tiny_folder, tmp_path
):
    rows = "- {title: Oxygen, split: validation, questions: [{q: 'Which symbol?', a: symbol}]}\n"
    rows += "- {title: Lake, split: test, questions: [{q: 'Which symbol?', a: symbol}]}\n"
    rows += "- {title: Sea, split: test, questions: [{q: 'Why?', near: symbol}]}\n"
    (tmp_path / "small.yaml").write_text(rows, encoding="utf-8")
    passages = {title: assets.Passage(title, TEXT, "", "") for title in ("Oxygen", "Lake", "Sea")}
    monkeypatch.setattr(course_set, "FOLDER", tmp_path)
    monkeypatch.setattr(assets, "load_passages", lambda: passages)
    (tmp_path / "more.csv").write_text(CSV, encoding="utf-8")
    arguments = ["evaluate", "--data", "course", "--model", tiny_folder]
    test = [*arguments, "--split", "test"]
    assert said(capsys, *arguments)["total"] == 1
    assert said(capsys, *test)["total"] == 2
    # A file is taken whole, whatever the split is called.
    assert said(capsys, *test, "--data", tmp_path / "more.csv")["total"] == 4
    says = "course: has no split 'train'; choose one of validation, test."
    assert says in refused(capsys, *test[:-1], "train")


def test_answer_needs_no_answers_and_takes_every_kind_of_file(capsys, tiny_folder, tmp_path):
    question = {"id": 7, "question": "Which symbol?"}
    article = {"paragraphs": [{"context": TEXT, "qas": [question]}]}
    line = question | {"id": "line", "context": TEXT}
    contents = {"a.json": json.dumps({"data": [article]}), "b.jsonl": json.dumps(line) + "\n"}
    contents["c.csv"] = f'question;passage\nWhich symbol?;"{TEXT}"\n'
    arguments, output = ["answer", "--model", tiny_folder], tmp_path / "answers.jsonl"
    for name, content in contents.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        arguments += ["--data", tmp_path / name]
    assert said(capsys, *arguments, "--output", output, "--threshold", 0)["questions"] == 3
    answers = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [answer["id"] for answer in answers] == ["7", "line", "c.csv:2"]
    expected = QuestionAnswerer.load(tiny_folder)("Which symbol?", TEXT, threshold=0.0)
    assert {answer["text"] for answer in answers} == {expected.text} != {""}


def test_train_learns_from_several_files_hands_its_options_on_and_reports_the_run(
    capsys, tiny_folder, tmp_path, squad_file
):
    (tmp_path / "a.csv").write_text(CSV, encoding="utf-8")
    answers = {"text": ["Carl Scheele"], "answer_start": [TEXT.index("Carl")]}
    line = {"question": "Who?", "context": TEXT, "answers": answers}
    (tmp_path / "b.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    arguments = ["train", "--model", tiny_folder, "--output-dir", tmp_path / "run"]
    for file in (tmp_path / "a.csv", tmp_path / "b.jsonl", squad_file):
        arguments += ["--data", file]
    more = (
        "--epochs 1 --seed 7 --batch-size 2 --learning-rate 1e-3 --max-length 200 --doc-stride 50"
    )
    result = said(capsys, *arguments, *more.split())
    run = load_run(tmp_path / "run")
    assert (run.finished, run.steps) == (True, 3)  # 2 + 1 + 3 questions, two a step
    given = {"epochs": 1, "seed": 7, "batch_size": 2, "learning_rate": 1e-3, "max_length": 200}
    assert (given | {"doc_stride": 50, "minutes": None}).items() <= run.arguments.items()
    names = ["finished", "steps", "seconds", "saving_seconds", "evaluation_seconds"]
    names += ["examples_per_second", "precision", "processes"]
    about = {name: getattr(run, name) for name in names} | {"loss": run.history[-1]["loss"]}
    assert result == {"output_dir": str(tmp_path / "run")} | about
    # Once more: what is there is returned, and what cannot be uploaded stays.
    again = [*arguments, *more.split(), "--resume", "--push-to-hub", "me/reader"]
    assert main([str(word) for word in again]) == 2
    says = f"the model in {tmp_path / 'run'} is finished, but could not be uploaded to 'me/reader'"
    assert says in capsys.readouterr().err and load_run(tmp_path / "run") == run


def test_json_has_null_for_what_is_not_a_number(capsys, monkeypatch, squad_file):
    scores = {"exact_match": 50.0, "auc": float("nan"), "seconds": float("inf")}
    monkeypatch.setattr(QuestionAnswerer, "load", lambda model: None)
    monkeypatch.setattr(evaluation, "evaluate", lambda *arguments: scores)
    found = said(capsys, "evaluate", "--data", squad_file)
    assert found == {"exact_match": 50.0, "auc": None, "seconds": None}


def test_help_is_not_an_error(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(command in out for command in ("train", "evaluate", "answer", "ask"))
    assert main(["train", "--help"]) == 0
    assert "--output-dir" in capsys.readouterr().out


def test_ctrl_c_ends_with_one_line_and_the_usual_status(capsys, monkeypatch, text_file):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(QuestionAnswerer, "load", interrupted)
    arguments = ["ask", "Who?", "--context-file", str(text_file)]
    for process, says in (("0", "Interrupted.\n"), ("1", "")):  # of several the first says so
        monkeypatch.setenv("LOCAL_RANK", process)
        assert main(arguments) == 130
        assert capsys.readouterr().err == says


# --- what does not ----------------------------------------------------------------------------


def refused(capsys, *arguments: object) -> str:
    """The one line on stderr of a command line that ends with status 2."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ") and captured.err.endswith("\n") and "Traceback" not in line
    return line


# A command line, and what it is told. TRAIN and ASK stand for the usual beginning of one.
BAD_INPUT = """
--no-such-option | No such option: --no-such-option
no-such-command | No such command 'no-such-command'
| Missing command
evaluate | Missing option '--data'
ask | Missing argument 'question'
TRAIN --minutes soon | '--minutes'
ASK --top 0 | '--top'
ask '  ' | the question is blank
ask '  ' --context-file TEXT --model MODEL | is blank
ask Stra\udcdfe? --context-file TEXT --model MODEL | surrogates
ASK --threshold 2 | --threshold is 2.0; it is a score, from 0
ASK --threshold nan | --threshold is nan
answer --data SET --output x --threshold nan | --threshold is nan
evaluate --data SET --threshold -0.1 | --threshold is -0.1
answer --data SET --output EMPTY --model MODEL | empty
answer --data SET --output INSIDE --model MODEL | oxygen text.txt
ASK --model nobody/no-such-model | the model 'nobody/no-such-model' is no folder here
ASK --model minilm | is untrained, so it would answer at random
ASK --model EMPTY | holds no model (config.json is missing)
ask Who? --context-file missing.txt | missing.txt: cannot be read as UTF-8 text (No such file or
ask Who? --context-file EMPTY | cannot be read as UTF-8 text (Is a directory)
evaluate --data missing.json | missing.json: no such file
evaluate --data SET --data SET | question 'number' is in
evaluate --data squad | squad: `datasets` cannot load it here
evaluate --data UNANSWERED | line 2: has no `answers`; give it one, or set `is_impossible` to true
train --data UNANSWERED --output-dir RUN --minutes 1 | line 2: has no `answers`
answer --data TEXT --output out.jsonl | oxygen text.txt: not JSON
answer --data missing.csv --output out.jsonl | missing.csv: no such file or folder; give the path
TRAIN --minutes 1 --epochs 1 | give either minutes or epochs
TRAIN --minutes -1 | above zero (found minutes=-1.0
TRAIN --minutes 1 --seed -1 | '--seed'
TRAIN --minutes 1 --learning-rate nan | learning_rate is nan
TRAIN --minutes 1 --model MODEL --max-length 9 | max_length 9
TRAIN --minutes 1 --model MODEL --doc-stride -1 | doc_stride is -1
train --data SET --output-dir TEXT --minutes 1 --model MODEL | oxygen text.txt cannot be written
"""


@pytest.mark.parametrize("row", BAD_INPUT.strip().splitlines())
def test_bad_input_ends_with_status_2_and_one_line(
    capsys, tiny_folder, text_file, squad_file, tmp_path, monkeypatch, row
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "unanswered.jsonl").write_text('\n{"question": "Who?", "context": "x"}\n')
    names = {"UNANSWERED": "unanswered.jsonl", "EMPTY": "empty", "RUN": "run", "TEXT": text_file}
    names |= {"SET": squad_file, "MODEL": tiny_folder, "INSIDE": text_file / "out.jsonl"}
    command, says = row.split("| ")
    command = command.replace("TRAIN", "train --data SET --output-dir RUN")
    command = command.replace("ASK", "ask Who? --context-file TEXT")
    assert says in refused(capsys, *(names.get(word, word) for word in shlex.split(command)))


def test_a_misaligned_answer_is_one_line_that_names_article_paragraph_and_question(
    capsys, tmp_path
):
    question = {"id": "number", "question": "Which number?"}
    question["answers"] = [{"text": "8", "answer_start": 3}]
    file, run = write_squad(tmp_path / "set.json", question), tmp_path / "run"
    line = refused(capsys, "evaluate", "--data", file)
    assert "set.json, article 1 'Oxygen', paragraph 1, question 1 'number'" in line
    assert "offset 3" in line
    arguments = ("train", "--data", file, "--output-dir", run, "--minutes", 1)
    assert refused(capsys, *arguments) == line and not run.exists()


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK"])
def test_of_several_processes_the_first_speaks_and_all_end_with_status_2(
    capsys, monkeypatch, tmp_path, name
):
    waited = []
    monkeypatch.setattr(command.time, "sleep", waited.append)
    monkeypatch.setenv(name, "0")
    assert "missing.json" in refused(capsys, "evaluate", "--data", tmp_path / "missing.json")
    assert waited == []
    monkeypatch.setenv(name, "1")
    assert main(["evaluate", "--data", str(tmp_path / "missing.json")]) == 2
    assert tuple(capsys.readouterr()) == ("", "")
    # Or torchrun might end the first before it has spoken.
    assert waited == [command.SECONDS_TO_SPEAK]


# --- as a process of its own ------------------------------------------------------------------


def test_as_a_process_it_writes_one_json_object_or_one_line_with_status_2(
    course, clean_environment, tiny_folder, text_file
):
    command = [sys.executable, "-m", "src.qa", "ask", "Which number?", "--json", "--context-file"]
    command += [str(text_file), "--model", str(tiny_folder), "--threshold"]
    about = {"capture_output": True, "text": True, "env": clean_environment, "cwd": course}
    done = subprocess.run([*command, "0"], **about)
    assert (done.returncode, done.stderr) == (0, "")
    result = last_json(done.stdout)
    assert TEXT[result["start"] : result["end"]] == result["text"]
    assert "\\u" not in done.stdout  # 北京 stays readable
    done = subprocess.run([*command, "2"], **about)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
    assert "--threshold is 2.0" in done.stderr
