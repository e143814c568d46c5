"""`effnet diff` and `effnet inspect --digest`."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

import converters
import effnet
from effnet.cli.app import app
from effnet_core import resolve
from tests import oracle
from tests.lively import lively_state

SPEC = resolve("b0", width=0.13, depth=0.1, num_classes=7)
STATE = lively_state(SPEC)
B0 = oracle.FOLDER / "efficientnet-b0"


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    other = {name: array * np.float32(1 + index * 1e-3) for index, (name, array) in enumerate(STATE.items())}
    for name, state in {"a.safetensors": STATE, "same.pth": STATE, "b.npz": other}.items():
        converters.save_state(folder / name, SPEC, state, sync=False)
    return folder


def test_equal_weights_end_with_code_0(pair):
    text = run("diff", pair / "a.safetensors", pair / "same.pth").stdout
    assert f"Tensors: {len(STATE)} equal." in text
    assert text.endswith("Equal.\n")


def test_different_weights_end_with_code_1(pair):
    text = run("diff", pair / "a.safetensors", pair / "b.npz", code=1).stdout
    assert f"... and {len(STATE) - 1 - 20} more; --all lists them." in text
    assert text.index("classifier.bias") < text.index("classifier.kernel") < text.index("head.norm.variance")
    assert f"Tensors: 1 equal, {len(STATE) - 1} different." in text
    everything = run("diff", pair / "a.safetensors", pair / "b.npz", "--all", code=1).stdout
    assert all(name in everything for name in list(STATE)[1:])


def test_the_report_as_json(pair):
    found = json.loads(run("diff", pair / "a.safetensors", pair / "b.npz", "--json", code=1).stdout)
    assert found["equal"] is False
    assert [one["name"] for one in found["tensors"]] == list(STATE)
    assert found["tensors"][0]["verdict"] == "equal"
    assert found["definition"] == []


def test_equal_weights_of_other_definitions_are_told_apart(pair, tmp_path):
    scaled = replace(SPEC, preprocessing=replace(SPEC.preprocessing, scale=(127.5,) * 3))
    converters.save_state(tmp_path / "scaled.pth", scaled, STATE, sync=False)
    text = run("diff", pair / "a.safetensors", tmp_path / "scaled.pth").stdout
    assert "Definition: preprocessing.scale is (" in text
    assert text.endswith(
        "Equal, but images are prepared differently (preprocessing.scale): the same image gives other logits.\n"
    )
    strided = replace(SPEC, stem=replace(SPEC.stem, stride=1))
    converters.save_state(tmp_path / "strided.pth", strided, STATE, sync=False)
    text = run("diff", pair / "a.safetensors", tmp_path / "strided.pth", code=1).stdout
    assert f"Tensors: {len(STATE)} equal." in text
    assert text.endswith("Definition: stem.stride is 2 in A, 1 in B.\nDifferent.\n")


def test_averages_against_variables(pair):
    text = run("diff", B0, B0, "--a-ema", "always", "--b-ema", "never", code=1).stdout
    assert "A: Took the exponential moving averages" in text
    assert "B: Took the variables" in text


def test_a_file_that_is_not_there_ends_with_code_2(pair):
    assert "absent.pth" in run("diff", pair / "a.safetensors", "absent.pth", code=2).stderr


def test_the_digest_is_shown(pair):
    value = effnet.digest(pair / "a.safetensors").value
    assert f"digest        {value}\n" in run("inspect", pair / "same.pth", "--digest", "--no-data").stdout
    found = json.loads(run("inspect", pair / "a.safetensors", "--digest", "--json").stdout)["digest"]
    assert found["value"] == value
    assert sorted(STATE) == [one["name"] for one in found["tensors"]]
    assert json.loads(run("inspect", pair / "a.safetensors", "--json").stdout)["digest"] is None
    assert effnet.digest(pair / "b.npz").value != value
