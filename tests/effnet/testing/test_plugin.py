"""The pytest plugin, as pytest loads it for other projects: by its entry point."""

import json
import os
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[3]
TEST = """
import torch

def model(weight):
    linear = torch.nn.Linear(3, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, 2.0, weight], [3.0, 1.0, -1.0]]))
        linear.bias.zero_()
    return linear

def test_same(effnet_parity):
    effnet_parity(model(0.5), model(0.5), inputs=(4, 3))

def test_different(effnet_parity, effnet_device):
    assert effnet_device == "cpu"
    effnet_parity(model(0.5), model(0.6), inputs=(4, 3))

def test_function():
    from effnet.testing import assert_parity
    assert_parity(model(0.5), model(0.6), inputs=(4, 3), names={"": ""})
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """pytest in a project of its own, in an environment where this package is installed."""
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    metadata = pytester.mkdir("site") / "installed-1.dist-info"
    metadata.mkdir()
    lines = [f"{name} = {module}" for name, module in entries.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines]))
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: installed\nVersion: 1\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(metadata.parent), str(ROOT)]))
    return pytester.runpytest_subprocess


def test_fixtures_failures_and_reports(pytester, run):
    pytester.makepyfile(TEST)
    result = run("--effnet-report", "reports/here")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*ParityError: The models part at output.", "*1 of 1 results differ*"])
    assert "def assert_parity" not in result.stdout.str()  # the failure is shown in the test, not in our code
    names = {path.name for path in (pytester.path / "reports" / "here").iterdir()}
    stem = "test_fixtures_failures_and_reports.py_test_{}.call.{}"
    assert names == {stem.format(test, end) for test in ("different", "function") for end in ("json", "txt")}
    path = pytester.path / "reports" / "here" / stem.format("different", "json")
    document = json.loads(path.read_text())
    assert document["agrees"] is False
    assert document["comparison"]["layers"][0]["float64"]["max_abs"] > 0
    assert f"{path.relative_to(pytester.path).with_suffix('.txt')}" in result.stdout.str()


def test_an_unknown_device_is_refused(run):
    result = run("--effnet-device", "gpu")
    result.stderr.fnmatch_lines(["*--effnet-device: invalid choice: 'gpu'*"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_cuda_is_what_the_fixture_asks_for(pytester, run, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    pytester.makepyfile(TEST)
    result = run("--effnet-device", "cuda", "-k", "same")
    result.stdout.fnmatch_lines(["*DeviceUnavailable: PyTorch sees no CUDA device here*"])


def test_who_does_not_use_it_loads_nothing(pytester, run):
    pytester.makepyfile(
        """
        import sys

        def test_nothing(request):
            assert request.config.getoption("--effnet-device") == "cpu"
            ours = {name for name in sys.modules if name.split(".")[0] in ("effnet", "effnet_core", "converters")}
            assert ours == {"effnet", "effnet.testing", "effnet.testing.plugin"}
            assert not {"numpy", "torch", "tensorflow", "keras"} & set(sys.modules)
        """
    )
    run().assert_outcomes(passed=1)
