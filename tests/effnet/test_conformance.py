"""A conformance set judges right and wrong outputs, and names the mistake."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from effnet import SourceOptions, load_network
from effnet.backends import Network, runner
from effnet.choices import Backend, Device, Precision
from effnet.cli.app import app
from effnet.conformance import Case, check_outputs, open_set
from effnet.errors import InputError
from effnet_core import Padding, from_json
from tests import oracle

ROOT = Path(__file__).parents[2]
NAME = "efficientnet-edgetpu-S"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of one network, made by the tool."""
    target = tmp_path_factory.mktemp("conformance") / "set"
    tool = [sys.executable, str(ROOT / "tools/conformance_set.py"), str(target), NAME]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="module")
def case(folder: Path) -> Case:
    (only,) = open_set(folder)
    return only


def _network(case: Case, dialect: str) -> Network:
    spec = from_json((case.folder / "spec.json").read_text("utf-8"))
    path = next(weights.path for weights in case.weights if weights.dialect == dialect)
    return load_network(path, options=SourceOptions(spec=spec, dialect=dialect))


def _logits(network: Network, case: Case, backend: Backend, precision: Precision) -> dict[str, np.ndarray]:
    with runner(network, endpoints=["logits"], backend=backend, precision=precision, device=Device.CPU) as run:
        return {size: run(np.load(path))["logits"] for size, path in case.inputs.items()}


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("backend", Backend)
def test_our_backends_conform(backend: Backend, precision: Precision, case: Case) -> None:
    results = check_outputs(case, _logits(_network(case, "timm"), case, backend, precision))
    assert [result.output for result in results] == ["64x64/logits", "65x49/logits"]
    assert all(result.right for result in results), results


@pytest.mark.parametrize("precision", Precision)
def test_another_padding_is_named(precision: Precision, case: Case) -> None:
    network = _network(case, "native")
    wrong = replace(network, spec=replace(network.spec, padding=Padding.SYMMETRIC))
    results = check_outputs(case, _logits(wrong, case, Backend.TORCH, precision))
    assert [(result.right, result.mistake) for result in results] == [(False, "symmetric padding")] * 2


def test_a_mistake_that_nobody_knows_is_wrong_all_the_same(case: Case) -> None:
    logits = _logits(_network(case, "native"), case, Backend.TORCH, Precision.FLOAT64)["65x49"]
    (result,) = check_outputs(case, {"65x49": logits * (1 + 1e-9)})
    assert not result.right
    assert result.mistake is None
    (result,) = check_outputs(case, {"65x49": np.full_like(logits, np.nan)})
    assert not result.right


def test_intermediates_are_judged_too(case: Case) -> None:
    network = _network(case, "native")
    with runner(
        network, endpoints=["blocks.1"], backend=Backend.TF, precision=Precision.FLOAT32, device=Device.CPU
    ) as run:
        found = run(np.load(case.inputs["64x64"]))["blocks.1"]
    (result,) = check_outputs(case, {"64x64/blocks.1": found})
    assert result.right
    (result,) = check_outputs(case, {"64x64/blocks.1": found[:, ::-1]})
    assert not result.right


def test_a_dialect_whose_own_network_pads_otherwise_is_flagged(case: Case) -> None:
    flags = {weights.dialect: weights.mistake for weights in case.weights}
    assert flags["timm-symmetric"] == "symmetric padding"
    assert flags["timm"] is None
    assert {"native", "effnet-torch", "effnet-keras", "official"} <= set(flags)


def test_there_are_no_weights_for_networks_that_lack_a_residual_of_the_narrow_one(tmp_path: Path) -> None:
    found = importlib.util.spec_from_file_location("conformance_set", ROOT / "tools/conformance_set.py")
    assert found is not None
    assert found.loader is not None
    tool = importlib.util.module_from_spec(found)
    found.loader.exec_module(tool)
    spec = oracle.load("efficientnet-b0", ema=True).spec
    assert spec.blocks[0].has_residual
    written = {dialect: row["mistake"] for dialect, row in tool.write_weights("efficientnet-b0", spec, tmp_path / "b0")}
    assert written["timm"] is None
    assert written["torchvision"] == "symmetric padding"
    assert not {"efficientnet-pytorch", "huggingface"} & set(written)


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ({"70x70": np.zeros((2, 11))}, "nothing to compare '70x70/logits' with"),
        ({"65x49": np.zeros((1, 11))}, r"of shape \(1, 11\); expected floats of shape \(2, 11\)"),
        ({"65x49": np.zeros((2, 11), np.int64)}, "is int64"),
    ],
)
def test_outputs_of_another_kind_are_refused(outputs: dict[str, np.ndarray], said: str, case: Case) -> None:
    with pytest.raises(InputError, match=said):
        check_outputs(case, outputs)


def test_the_command(case: Case, folder: Path, tmp_path: Path) -> None:
    commands = CliRunner()
    listed = commands.invoke(app, ["conformance", str(folder)])
    assert listed.exit_code == 0
    assert f"{NAME}   timm-symmetric" in listed.output
    logits = _logits(_network(case, "native"), case, Backend.TORCH, Precision.FLOAT32)
    np.savez(tmp_path / f"{NAME}.npz", **logits)
    right = commands.invoke(app, ["conformance", str(folder), str(tmp_path), "--json"])
    assert right.exit_code == 0, right.output
    assert json.loads(right.output)["right"] is True
    np.savez(tmp_path / f"{NAME}.npz", **{size: array[::-1] for size, array in logits.items()})
    wrong = commands.invoke(app, ["conformance", str(folder), str(tmp_path)])
    assert wrong.exit_code == 1
    assert "0 of 2 outputs are right" in wrong.output


def test_what_is_no_set_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tools/conformance_set\.py"):
        open_set(tmp_path)
    old = shutil.copytree(folder, tmp_path / "old")
    (old / "set.json").write_text(json.dumps({"version": 0, "cases": {}}))
    with pytest.raises(InputError, match="version 0; expected version 1"):
        open_set(old)
    answer = CliRunner().invoke(app, ["conformance", str(folder), str(tmp_path)])
    assert answer.exit_code == 2
    assert f"{NAME}.npz" in answer.output
    (tmp_path / f"{NAME}.npz").write_bytes(b"PK\x03\x04 cut off")
    answer = CliRunner().invoke(app, ["conformance", str(folder), str(tmp_path)])
    assert answer.exit_code == 2
    assert "cannot be read as .npz" in answer.output


def test_sizes_that_were_not_given_are_named_and_nothing_at_all_is_an_error(folder: Path, tmp_path: Path) -> None:
    with np.load(folder / NAME / "expected.npz") as expected:
        np.savez(tmp_path / f"{NAME}.npz", **{"65x49": expected["65x49/logits"]})
    done = CliRunner().invoke(app, ["conformance", str(folder), str(tmp_path)])
    assert done.exit_code == 0
    assert f"1 of 1 outputs are right. Not given: {NAME} at 64x64." in done.output
    np.savez(tmp_path / f"{NAME}.npz")
    done = CliRunner().invoke(app, ["conformance", str(folder), str(tmp_path)])
    assert done.exit_code == 2
    assert "no outputs to judge; expected logits by size: 64x64, 65x49" in done.stderr


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("set.json", '{"version": 1}'),
        ("set.json", '{"version": 1, "cases": {}}'),
        ("set.json", '{"version": 1, "cases": {"b0": {"weights": {}, "inputs": {"65x49": "x"}}}}'),
        (f"{NAME}/expected.npz", "nothing"),
        (f"{NAME}/mistakes.npz", None),
    ],
)
def test_a_damaged_set_is_named(folder: Path, tmp_path: Path, file: str, text: str | None) -> None:
    copy = shutil.copytree(folder, tmp_path / "set", ignore=shutil.ignore_patterns("weights"))
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    with np.load(folder / NAME / "expected.npz") as expected:
        np.savez(outputs / f"{NAME}.npz", **{"65x49": np.zeros_like(expected["65x49/logits"])})
    assert CliRunner().invoke(app, ["conformance", str(copy), str(outputs)]).exit_code == 1  # the control: judged
    (copy / file).unlink() if text is None else (copy / file).write_text(text)
    done = CliRunner().invoke(app, ["conformance", str(copy), str(outputs)])
    assert done.exit_code == 2
    assert f"{file} of the conformance set is damaged" in done.stderr
