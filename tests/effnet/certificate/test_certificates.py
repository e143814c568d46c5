"""Certificates of conversions: written, repeated, and refuted by every kind of change."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import converters
import effnet
from converters import Adaptation, OutputError
from converters.errors import UnreadableFile
from effnet import frameworks
from effnet.certificate.agreement import Outcome
from effnet.certificate.certify import backends
from effnet.certificate.schema import certificate_path, read_certificate, to_text
from effnet.choices import Backend
from effnet.cli.app import app
from effnet.errors import InvalidCertificate, MissingFramework
from effnet_core import resolve
from tests.lively import lively_state

SPEC = resolve("b0", width=0.13, depth=0.1, num_classes=7)
STATE = lively_state(SPEC)
ROOT = Path(__file__).parents[3]


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def different(verification):
    return [check.subject for check in verification.checks if check.outcome is Outcome.DIFFERENT]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a source, its conversion and the certificate; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    converters.save_state(folder / "x.pth", SPEC, STATE)
    report = effnet.convert(folder / "x.pth", folder / "x.safetensors", verify=True)
    assert report.certificate_path == folder / "x.safetensors.certificate.json"
    return folder


@pytest.fixture
def copy(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "copy"))


def test_a_certificate_says_what_was_compared(made):
    found = read_certificate(made / "x.safetensors.certificate.json")
    assert found.agrees
    assert found.verdict[-1].startswith("The same")
    assert (found.source.backend, found.result.backend) == (Backend.TORCH, Backend.TF)
    assert [file.path for file in found.source.files] == ["x.pth"]
    assert [file.path for file in found.result.files] == ["x.safetensors"]
    assert found.result.weights == found.source.weights == effnet.digest(made / "x.pth").value
    assert found.input.shape == (2, 64, 64, 3)
    names = [layer.name for layer in found.layers]
    assert (names[0], names[-1]) == ("stem", "logits")
    assert found.layers[-1].own_result.relative > 0  # two precisions were really computed
    assert np.shape(found.result.last.values) == (2, 7)
    assert {"numpy", "torch", "keras"} <= {package.name for package in found.environment.packages}
    assert found.commands[1].startswith("effnet parity ")
    assert to_text(found) == (made / "x.safetensors.certificate.json").read_text()


def test_a_certificate_holds_with_and_without_its_source(copy):
    both = effnet.verify(copy / "x.safetensors")
    assert both.agrees
    assert [check.subject for check in both.checks if "outputs" in check.subject] == [
        "source outputs",
        "result outputs",
    ]
    (copy / "x.pth").rename(copy / "moved.pth")
    alone = effnet.verify(copy / "x.safetensors.certificate.json")
    assert alone.agrees
    assert [check.subject for check in alone.checks if check.outcome is Outcome.NOT_CHECKED] == ["source"]
    again = effnet.verify(copy / "x.safetensors", source=copy / "moved.pth")
    assert again.agrees
    assert "source outputs" in [check.subject for check in again.checks]


def test_a_changed_weight_is_seen_in_the_file_the_weights_and_the_outputs(copy):
    path = copy / "x.safetensors"
    state = dict(STATE)
    state["blocks.2.project.conv.kernel"] = state["blocks.2.project.conv.kernel"] * np.float32(1 + 1e-6)
    converters.save_state(path, SPEC, state, overwrite=True)
    (copy / "x.pth").unlink()
    assert different(effnet.verify(path)) == ["result file x.safetensors", "result weights", "result outputs"]
    assert "Different: result file" in run("verify", path, code=1).stdout


def test_a_changed_byte_that_no_network_reads_is_seen(copy):
    path = copy / "x.safetensors"
    data = path.read_bytes()
    assert data.count(b'"moving_averages') + data.count(b"moving_averages") > 0
    path.write_bytes(data.replace(b"moving_averages", b"moving_averageS", 1))
    (copy / "x.pth").unlink()
    assert different(effnet.verify(path)) == ["result file x.safetensors"]


def test_a_file_that_cannot_be_read_any_more_differs(copy):
    path = copy / "x.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert different(effnet.verify(path)) == ["result file x.safetensors", "result"]


def test_another_source_is_seen(copy):
    other = lively_state(SPEC, seed=1)
    converters.save_state(copy / "x.pth", SPEC, other, overwrite=True)
    found = different(effnet.verify(copy / "x.safetensors"))
    assert found[:3] == ["source file x.pth", "source weights", "source outputs"]
    assert "layers that differ" in found
    assert "result outputs" not in found


def rewritten(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def one_logit(document):
    document["result"]["last"]["values"][1][3] *= 1 + 1e-9


def one_mean(document):
    document["result"]["layers"][2]["mean"] += 1e-9 * document["result"]["layers"][2]["largest"]


def the_seed(document):
    document["input"]["seed"] = 1


def a_layer(document):
    document["layers"][0]["agrees"] = False


def the_limits(document):
    document["limit_float64"] = document["limit_float32"] = 1e9


def no_files(document):
    document["result"]["files"] = []


def a_distance(document):
    document["layers"][3]["float64"]["relative"] = 0.5


def a_largest_value(document):
    document["layers"][3]["largest"] *= 2


def a_layer_less(document):
    for layers in (document["layers"], document["source"]["layers"], document["result"]["layers"]):
        del layers[2]


def a_layer_of_one_list_less(document):
    del document["layers"][2]


def the_size(document):
    document["result"]["files"][0]["size"] += 1


def another_dialect(document):
    document["source"]["dialect"] = "timm"


def another_format(document):
    document["result"]["format"] = "pth"


def a_negative_distance(document):
    document["layers"][3]["own_source"]["relative_l2"] *= -1


def a_distance_less(document):
    document["layers"][3]["float32"]["max_abs"] = None


def too_many_classes(document):
    document["adaptation"]["num_classes"] = 10**15


def too_many_channels(document):
    document["adaptation"]["in_channels"] = 10**15


def another_verdict(document):
    document["first_difference"] = "stem"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (one_logit, ["result outputs"]),
        (one_mean, ["result outputs"]),
        (the_seed, ["input", "source outputs", "result outputs"]),
        (a_layer, ["certificate", "layers that differ"]),
        (the_limits, ["certificate"]),
        (no_files, ["certificate", "result file x.safetensors"]),
        (a_distance, ["certificate"]),
        (a_largest_value, ["certificate"]),
        (a_layer_less, ["source outputs", "result outputs", "layers"]),
        (a_layer_of_one_list_less, ["certificate", "layers"]),
        (another_verdict, ["certificate"]),
        (the_size, ["result file x.safetensors"]),
        (another_dialect, ["source format and names"]),
        (another_format, ["result format and names"]),
        (a_negative_distance, ["certificate"]),
        (a_distance_less, ["certificate"]),
        (too_many_classes, ["adaptation"]),
        (too_many_channels, ["adaptation"]),
    ],
)
def test_other_numbers_in_a_certificate_are_seen(copy, change, expected):
    rewritten(copy / "x.safetensors.certificate.json", change)
    assert different(effnet.verify(copy / "x.safetensors")) == expected


def test_without_its_source_a_layer_less_is_seen_too(copy):
    (copy / "x.pth").unlink()
    assert effnet.verify(copy / "x.safetensors").agrees  # the control
    rewritten(copy / "x.safetensors.certificate.json", a_layer_less)
    assert different(effnet.verify(copy / "x.safetensors")) == ["result outputs"]


def test_a_source_that_is_nowhere_is_not_looked_at_and_a_damaged_one_differs(copy):
    path = copy / "x.safetensors.certificate.json"
    (copy / "x.pth").write_bytes(b"nothing")
    assert different(effnet.verify(path)) == ["source file x.pth", "source"]
    rewritten(path, lambda document: document["source"].update(path="/nonexistent/x"))
    found = effnet.verify(path)
    assert found.agrees
    assert [check.subject for check in found.checks if check.outcome is Outcome.NOT_CHECKED] == ["source"]
    assert "result outputs" in [check.subject for check in found.checks]


def test_a_certificate_is_not_believed_in_its_own_words(copy):
    path = copy / "x.safetensors.certificate.json"
    rewritten(path, lambda document: document.update(verdict=["Audited by an authority."]))
    assert "Audited" not in run("verify", path).output


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rounded_to": "float31"}, "rounded_to is 'float31'; expected null or one of float32"),
        ({"verdict": []}, "verdict is empty"),
        ({"limit_float64": float("nan")}, "holds NaN"),
        ({"limit_float32": float("inf")}, "holds Infinity"),
    ],
)
def test_what_cannot_be_repeated_is_refused(made, tmp_path, changes, message):
    path = Path(shutil.copy(made / "x.safetensors.certificate.json", tmp_path))
    rewritten(path, lambda document: document.update(changes))
    result = run("verify", path, code=2)
    assert message in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": [2, 1_000_000, 1_000_000, 3]}, "shape is"),
        ({"shape": [2, 64, 3]}, "shape is"),
        ({"shape": [2, 64, 32, 3]}, "square"),
        ({"shape": [0, 64, 64, 3]}, "shape is"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_input_that_cannot_be_drawn_is_damage(made, tmp_path, changes, message):
    path = Path(shutil.copy(made / "x.safetensors.certificate.json", tmp_path))
    read_certificate(path)  # the control
    rewritten(path, lambda document: document["input"].update(changes))
    result = run("verify", path, code=2)
    assert "damaged certificate" in result.stderr
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_other_versions_are_named_and_allowed(copy):
    path = copy / "x.safetensors.certificate.json"
    rewritten(path, lambda document: document["environment"].update(python="3.0.0"))
    found = effnet.verify(path)
    assert found.agrees
    [check] = [check for check in found.checks if check.outcome is Outcome.OTHER]
    assert (check.subject, check.detail.split(",")[0]) == ("python", "3.0.0 then")


def test_a_result_that_does_not_agree_stays_and_is_not_certified(made, tmp_path):
    """The same weights in networks that pad symmetrically give other numbers."""
    target = tmp_path / "symmetric.safetensors"
    flags = ("--to", "timm-symmetric", "--accept-different-logits", "--verify", "--no-fsync")
    text = run("convert", made / "x.pth", target, *flags, code=1).stdout
    assert "Different" in text
    assert "stays, and is not verified" in text
    assert target.is_file()
    found = read_certificate(certificate_path(target))
    assert not found.agrees
    assert found.first_difference == "stem"
    assert different(effnet.verify(target)) == ["verdict"]


def test_rounded_weights_are_compared_with_the_source_rounded_likewise(made, tmp_path):
    report = effnet.convert(made / "x.pth", tmp_path / "half.npz", dtype="bfloat16", verify=True)
    assert report.certificate is not None
    assert report.certificate.agrees
    assert report.certificate.rounded_to == "bfloat16"
    assert report.certificate.source.weights != report.certificate.result.weights
    assert len(report.certificate.commands) == 1  # effnet parity of the two files would not agree
    assert effnet.verify(tmp_path / "half.npz").agrees
    rewritten(tmp_path / "half.npz.certificate.json", lambda document: document.update(rounded_to=None))
    assert "source outputs" in different(effnet.verify(tmp_path / "half.npz"))


def test_a_changed_network_is_compared_with_the_source_changed_likewise(made, tmp_path):
    adaptation = Adaptation(num_classes=3, seed=5)
    report = effnet.convert(made / "x.pth", tmp_path / "new.pth", adaptation=adaptation, verify=True)
    assert report.certificate is not None
    assert report.certificate.agrees
    assert np.shape(report.certificate.source.last.values) == (2, 3)
    assert effnet.verify(tmp_path / "new.pth").agrees
    rewritten(tmp_path / "new.pth.certificate.json", lambda document: document["adaptation"].update(seed=6))
    assert "source outputs" in different(effnet.verify(tmp_path / "new.pth"))


@pytest.mark.parametrize(
    ("target", "options", "files"),
    [
        ("out.ckpt", {}, {"out.ckpt.index", "out.ckpt.data-00000-of-00001", "out.ckpt.effnet.json"}),
        ("folder", {"to_format": "hf-folder"}, {"folder/model.safetensors"}),
        ("out.keras", {}, {"out.keras"}),
    ],
)
def test_every_file_of_a_result_is_certified(made, tmp_path, target, options, files):
    report = effnet.convert(made / "x.pth", tmp_path / target, verify=True, **options)
    assert report.certificate_path == tmp_path / f"{target}.certificate.json"
    assert report.certificate is not None
    assert report.certificate.agrees
    assert {file.path for file in report.certificate.result.files} >= files
    assert effnet.verify(tmp_path / target).agrees


def test_a_certificate_moves_with_its_file(copy, tmp_path):
    shutil.move(copy, tmp_path / "elsewhere")
    assert effnet.verify(tmp_path / "elsewhere" / "x.safetensors").agrees


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "holds no JSON"),
        ("[]", "is no certificate"),
        ('{"kind": "another"}', "is no certificate"),
        ('{"kind": "effnet certificate", "version": 99}', "version 99; expected version 1"),
        ('{"kind": "effnet certificate", "version": 1}', "missing fields"),
        ("[" * 100_000, "holds no JSON"),
    ],
)
def test_what_is_no_certificate_is_refused(tmp_path, text, message):
    path = tmp_path / "x.pth.certificate.json"
    path.write_text(text)
    result = run("verify", path, code=2)
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_missing_files_are_named(copy):
    with pytest.raises(InvalidCertificate, match=r"nowhere\.pth does not exist"):
        effnet.verify(copy / "nowhere.pth")
    with pytest.raises(InvalidCertificate, match="There is no certificate"):
        effnet.verify(copy / "x.pth")
    with pytest.raises(UnreadableFile, match=r"nowhere\.pth"):
        effnet.verify(copy / "x.safetensors", source=copy / "nowhere.pth")
    (copy / "x.safetensors").unlink()
    with pytest.raises(UnreadableFile, match=r"x\.safetensors does not exist"):
        effnet.verify(copy / "x.safetensors.certificate.json")


def test_a_certificate_that_exists_is_not_overwritten_and_nothing_is_converted(made, tmp_path):
    certificate_path(tmp_path / "y.pth").write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        effnet.convert(made / "x.pth", tmp_path / "y.pth", verify=True)
    assert [path.name for path in tmp_path.iterdir()] == ["y.pth.certificate.json"]
    assert effnet.convert(made / "x.pth", tmp_path / "y.pth", verify=True, overwrite=True).certificate is not None
    assert read_certificate(certificate_path(tmp_path / "y.pth")).agrees


def test_without_a_framework_nothing_is_converted(made, tmp_path, monkeypatch):
    monkeypatch.setattr(frameworks, "find_spec", lambda name: None)
    with pytest.raises(MissingFramework, match="PyTorch is needed"):
        effnet.convert(made / "x.pth", tmp_path / "y.pth", verify=True)
    assert list(tmp_path.iterdir()) == []


def test_each_side_runs_in_its_framework_and_else_in_both():
    assert backends("tensor-bundle", "pth") == (Backend.TF, Backend.TORCH)
    assert backends("pth", "keras") == (Backend.TORCH, Backend.TF)
    assert backends("pth", "pth") == (Backend.TORCH, Backend.TORCH)
    assert backends("pth", "safetensors") == (Backend.TORCH, Backend.TF)
    assert backends("safetensors", "npz") == (Backend.TF, Backend.TORCH)


def test_the_command_reports_the_certificate(made, tmp_path):
    target = tmp_path / "y.pth"
    found = json.loads(run("convert", made / "x.pth", target, "--verify", "--json").stdout)
    assert (found["verified"], found["certificate"]) == (True, str(certificate_path(target)))
    checks = json.loads(run("verify", target, "--json").stdout)
    assert checks["agrees"]
    assert {check["outcome"] for check in checks["checks"]} == {"same"}


def test_a_plain_conversion_loads_neither_frameworks_nor_certificates(made, tmp_path):
    code = (
        "import sys, effnet\n"
        f"report = effnet.convert({str(made / 'x.pth')!r}, {str(tmp_path / 'y.npz')!r})\n"
        "assert report.certificate is None\n"
        "print(*(name for name in sys.modules if name.startswith(('effnet.', 'torch', 'tensorflow', 'keras'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "effnet.conversion" in loaded  # the control: the listing sees what is loaded
    assert [name for name in loaded if "certificate" in name or not name.startswith("effnet.")] == []


def test_no_limit_hides_numbers_that_are_not_finite(copy):
    """A certificate whose recorded numbers were taken out says nothing about finite ones."""
    path = copy / "x.safetensors.certificate.json"
    found = read_certificate(path)
    layers = tuple(replace(layer, mean=None) for layer in found.result.layers)
    path.write_text(to_text(replace(found, result=replace(found.result, layers=layers))))
    assert different(effnet.verify(path)) == ["result outputs"]
