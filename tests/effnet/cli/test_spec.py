"""A network whose blocks are a list of its own, on the command line: `--spec`."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import effnet
from converters import SourceOptions
from effnet.cli.app import app
from effnet.errors import InputError
from effnet_core import Stage, from_json, resolve, to_json
from tests.lively import lively_state

STAGES = (
    Stage(repeats=1, kernel_size=3, stride=1, expansion=2, in_channels=32, out_channels=16),
    Stage(repeats=2, kernel_size=5, stride=2, expansion=3, in_channels=16, out_channels=48),
)
OWN = resolve("b0", width=0.13, num_classes=7, stages=STAGES)


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def bare(tmp_path):
    """Weights without their definition."""
    path = tmp_path / "own.npz"
    np.savez(path, **lively_state(OWN))
    return path


@pytest.fixture
def definition(tmp_path):
    path = tmp_path / "own.json"
    path.write_text(to_json(OWN))
    return path


def test_without_its_definition_the_message_says_what_to_do(bare):
    assert "--spec FILE.json" in run("inspect", bare, code=2).stderr
    assert "--spec FILE.json" in run("inspect", bare, "--arch", "b0", code=2).stderr


def test_with_its_definition_it_is_known(bare, definition, tmp_path):
    target = tmp_path / "own.safetensors"
    run("convert", bare, target, "--spec", definition)
    assert effnet.info(target).spec == OWN
    assert json.loads(run("inspect", bare, "--spec", definition, "--json").stdout)["network"]["num_classes"] == 7


def test_what_info_prints_is_a_definition(bare, definition, tmp_path):
    printed = run("info", bare, "--spec", definition, "--json").stdout
    assert from_json(printed) == OWN
    (tmp_path / "printed.json").write_text(printed)
    assert run("diff", bare, bare, "--spec", tmp_path / "printed.json").exit_code == 0


def test_the_definition_of_another_network_does_not_fit(bare, tmp_path):
    (tmp_path / "b0.json").write_text(run("info", "b0", "--json").stdout)
    assert "does not fit efficientnet-b0" in run("inspect", bare, "--spec", tmp_path / "b0.json", code=2).stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--spec", "absent.json"), "absent.json cannot be read: No such file or directory"),
        (("--spec", "."), "cannot be read: it is a folder"),
        (("--spec", "README.md"), "README.md: Expected the JSON of a network definition"),
        (("--spec", "own.json", "--arch", "b0", "--width", "2"), "leave out --arch, --width"),
    ],
)
def test_what_is_no_definition_is_refused(bare, words, message):
    assert message in run("inspect", bare, *words, code=2).stderr


def test_a_name_and_a_definition_contradict_each_other(definition):
    assert "give one of them" in run("info", "b0", "--spec", definition, code=2).stderr
    with pytest.raises(InputError, match="give one of them"):
        effnet.info("b0", options=SourceOptions(spec=OWN))
