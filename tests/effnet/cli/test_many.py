"""`effnet predict FOLDER` and `effnet evaluate`, as commands."""

import csv
import json
import re
import sys

import pytest
from typer.testing import CliRunner

import converters
from effnet.cli.app import app
from effnet.cli.progress import image_progress
from tests.effnet.batch.pictures import BROKEN, NETWORK, SPEC, save_pictures

TORCH = ("--backend", "torch", "--batch", "2")


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert code == 0 or "Traceback" not in result.output
    return result


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "x.safetensors"
    converters.save_state(path, SPEC, NETWORK.state)
    return path


@pytest.fixture
def folder(tmp_path):
    save_pictures(tmp_path / "pictures", 5)
    return tmp_path / "pictures"


def test_a_folder_s_rows_go_to_standard_output(saved, folder):
    found = run("predict", saved, folder, *TORCH, "--top", "2")
    rows = list(csv.DictReader(found.stdout.splitlines()))
    assert [row["path"] for row in rows] == [str(path) for path in sorted(folder.iterdir())]
    assert list(rows[0]) == ["path", "error", "class_1", "probability_1", "class_2", "probability_2"]
    assert "5 images, in" in found.stderr
    lines = run("predict", saved, folder, *TORCH, "--top", "2", "--json").stdout.splitlines()
    assert [str(json.loads(line)["class_1"]) for line in lines] == [row["class_1"] for row in rows]


def test_a_broken_image_is_exit_code_3_and_a_strict_run_stops(saved, folder, tmp_path):
    (folder / "03.jpg").write_bytes(BROKEN)
    target = tmp_path / "x.csv"
    found = run("predict", saved, folder, *TORCH, "--out", target, code=3)
    assert "1 of them have no answer" in found.stdout
    with target.open(newline="") as file:
        errors = [row["error"] for row in csv.DictReader(file)]
    assert [bool(error) for error in errors] == [False, False, False, True, False]
    stopped = run("predict", saved, folder, *TORCH, "--out", target, "--force", "--strict", code=2)
    assert "03.jpg" in stopped.stderr
    assert target.exists()


def test_evaluate_says_the_shares_and_their_intervals(saved, folder, tmp_path):
    labels = tmp_path / "labels.csv"
    rows = list(csv.DictReader(run("predict", saved, folder, *TORCH).stdout.splitlines()))
    told = [f"{row['path']},{row['class_1'] if place else row['class_2']}" for place, row in enumerate(rows)]
    labels.write_text("\n".join(["path,class", *told]))
    found = json.loads(run("evaluate", saved, folder, "--labels", labels, *TORCH, "--json").stdout)
    assert (found["top1"]["count"], found["top1"]["of"], found["top5"]["count"]) == (4, 5, 5)
    assert found["top1"]["low"] < 0.8 < found["top1"]["high"]
    assert "Classes are numbers, from 0." in found["notes"]
    text = run("evaluate", saved, folder, "--labels", labels, *TORCH, "--out", tmp_path / "x.csv").stdout
    assert re.search(r"top-1 +80\.000 +4 +5 ", text)
    with (tmp_path / "x.csv").open(newline="") as file:
        assert [row["rank"] for row in csv.DictReader(file)] == ["2", "1", "1", "1", "1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--resume",), "no output to resume"),
        (("--out", "x.npy"), "neither .csv nor .parquet"),
        (("--out", "absent/x.csv"), "folder absent does not exist"),
        (("--parity", "torch"), "Both backends are torch"),
        (("--workers", "3"), "Workers are asked for (3), and the engine is local"),
        (("--out", "x.csv", "--resume", "--force"), "Both --resume (resume=True) and --force"),
    ],
)
def test_errors_are_a_message_and_exit_code_2(saved, folder, arguments, message):
    result = run("predict", saved, folder, *TORCH, *arguments, code=2)
    assert message in result.stderr
    assert result.stdout == ""


def test_files_that_cannot_be_read_are_named_once(saved, folder, tmp_path):
    for option in ("--labels", "--classes"):
        message = run("evaluate", saved, folder.parent, option, tmp_path / "absent.csv", *TORCH, code=2).stderr
        assert message.count("absent.csv") == 1
        assert "No such file or directory" in message
        assert "Errno" not in message


def test_evaluate_refuses_options_that_exclude_each_other(saved, folder, tmp_path):
    for options, message in (
        (("--workers", "3"), "the engine is local"),
        (("--out", tmp_path / "x.csv", "--resume", "--force"), "expected one"),
    ):
        assert message in run("evaluate", saved, folder.parent, *options, code=2).stderr


def test_folders_without_a_known_class_are_refused(saved, folder):
    result = run("evaluate", saved, folder.parent, *TORCH, code=2)
    assert "'pictures'" in result.stderr
    assert "--classes FILE" in result.stderr


def test_the_bar_is_for_terminals_alone(monkeypatch, capsys):
    with image_progress("x") as progress:
        assert progress is None
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with image_progress("classifying") as progress:
        for done in (0, 300, 600):
            progress(done, 1000)
    assert "600/1000" in capsys.readouterr().err
