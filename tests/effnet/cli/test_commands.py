"""The commands, in this process; what they need of a process is in test_process.py."""

import json
import tomllib

import numpy as np
import pytest
from typer.testing import CliRunner

import converters
import effnet
from effnet.cli.app import app
from effnet_core import VARIANTS, from_json, resolve
from tests import oracle
from tests.lively import images, lively_state

SPEC = resolve("b0", width=0.13, depth=0.1, num_classes=7)
STATE = lively_state(SPEC)
B0 = oracle.FOLDER / "efficientnet-b0"
COMMANDS = (
    "convert",
    "inspect",
    "info",
    "list",
    "fetch",
    "predict",
    "evaluate",
    "export",
    "serve",
    "parity",
    "diff",
    "verify",
)


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert code == 0 or "Traceback" not in result.output
    return result


def report(*arguments, code=0):
    return json.loads(run(*arguments, "--json", code=code).stdout)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "x.safetensors"
    converters.save_state(path, SPEC, STATE)
    return path


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    path = tmp_path_factory.mktemp("input") / "input.npy"
    np.save(path, images(2, 33, 32))
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command):
    text = run(command, "--help").stdout
    assert f"\n    effnet {command}" in text.split("Example")[1]
    assert "\\b" not in text


@pytest.mark.parametrize("command", ["convert", "inspect", "info", "predict", "evaluate", "parity", "diff"])
def test_the_source_options_are_the_same_everywhere(command):
    text = run(command, "--help").stdout
    for option in ("format", "from", "arch", "width", "depth", "num-classes", "recipe", "ema", "spec"):
        assert f" --{option} " in text
        assert (f" --a-{option} " in text and f" --b-{option} " in text) == (command in ("parity", "diff"))


def test_help_names_every_format_and_dialect():
    text = " ".join(run("convert", "--help").stdout.split())
    for heading, names in {
        "Format of the file:": converters.FORMATS,
        "Format to write:": (*converters.WRITTEN_FORMATS, "keras"),
        "Naming of its tensors:": converters.DIALECTS,
    }.items():
        shown = text.partition(heading)[2].partition(".")[0]
        assert sorted(shown.replace(" ", "").split(",")) == sorted(names), heading
    assert (
        "Names to write: one of those for --from but keras-order, which is only read." in text
    )  # the list once, so that the page stays short


def test_the_version_is_the_project_s():
    project = tomllib.loads((oracle.FOLDER.parents[2] / "pyproject.toml").read_text())["project"]
    assert run("--version").stdout == f"effnet {project['version']}\n"


def test_list():
    text = run("list").stdout
    assert all(name in text for name in VARIANTS)
    assert [row["name"] for row in report("list")] == list(VARIANTS)


def test_info_of_a_name_and_of_a_checkpoint(saved):
    assert from_json(run("info", "b3", "--num-classes", "10", "--json").stdout) == resolve("b3", num_classes=10)
    assert from_json(run("info", saved, "--json").stdout) == SPEC
    text = run("info", "efficientnet_b0").stdout
    assert "5,288,548 parameters" in text
    assert "blocks.15" in text


def test_inspect(saved):
    found = report("inspect", saved)
    assert (found["format"], found["dialect"], found["network"]["num_classes"]) == ("safetensors", "native", 7)
    assert {tensor["name"] for tensor in found["tensors"]} == STATE.keys()
    text = run("inspect", B0, "--tensors").stdout
    assert "the variable itself; its moving average was taken" in text
    assert "blocks.15.project.norm.variance" in text
    assert run("inspect", saved, "--no-data").stdout.count("not looked for") == 1


def test_convert_says_what_it_did(tmp_path):
    target = tmp_path / "x.pth"
    found = report("convert", B0, target, "--ema", "never", "--no-fsync")
    assert (found["files"], found["format"], found["dialect"]) == ([str(target)], "pth", "effnet-torch")
    assert found["network"] == {
        "name": "efficientnet-b0",
        "width": 0.13,
        "depth": 1.0,
        "num_classes": 10,
        "recipe": "autoaugment",
    }
    assert "exists" in run("convert", B0, target, code=2).stderr
    run("convert", B0, target, "--force", "--to", "timm", "--recipe", "advprop")
    with converters.open_checkpoint(target) as checkpoint:
        assert checkpoint.dialect.name == "timm"
        assert checkpoint.spec.preprocessing.recipe == "advprop"


def test_predict_writes_logits(saved, batch, tmp_path):
    target = tmp_path / "logits.npy"
    run("predict", saved, batch, "--backend", "torch", "--dtype", "float64", "--output", target)
    logits = np.load(target)
    assert (logits.shape, logits.dtype) == ((2, 7), np.float64)
    assert "exists" in run("predict", saved, batch, "--output", target, code=2).stderr
    found = report("predict", saved, batch, "--backend", "torch", "--top", "2")
    assert [guess["index"] for guess in found["images"][0]["top"]] == list(np.argsort(-logits[0])[:2])
    assert "probability" in run("predict", saved, batch, "--backend", "torch").stdout


def test_predict_keeps_its_input(saved, batch, tmp_path):
    before = batch.read_bytes()
    assert "is an input" in run("predict", saved, batch, "--output", batch, "--force", code=2).stderr
    assert batch.read_bytes() == before
    assert ".npy" in run("predict", saved, batch, "--output", tmp_path / "l.txt", code=2).stderr
    assert list(tmp_path.iterdir()) == []


def test_parity_gives_the_verdict_as_exit_code(saved, batch, tmp_path):
    other = tmp_path / "other.pth"
    swapped = STATE | {"head.norm.beta": STATE["head.norm.beta"][::-1]}
    converters.save_state(other, SPEC, swapped)
    sides = ("--a-backend", "torch", "--b-backend", "torch")
    assert report("parity", saved, saved, batch, *sides)["agrees"] is True
    found = report("parity", saved, other, *sides, "--size", "32", "--seed", "3", code=1)
    assert found["first_difference"] == "head"
    text = run("parity", saved, other, *sides, "--size", "32", code=1).stdout
    assert "Different: 3 of" in text
    assert "the first is head." in text


@pytest.mark.parametrize("limit", ["nan", "inf", "-1"])
def test_a_limit_that_nothing_exceeds_is_refused(saved, limit):
    for options in ((), ("--train", "1")):
        found = run("parity", saved, saved, "--float64-limit", limit, *options, code=2)
        assert "float64" in found.stderr
        assert "Traceback" not in found.output


def test_exact_parity_gives_the_verdict_as_exit_code(saved, batch, tmp_path):
    other = tmp_path / "other.pth"
    kernel = STATE["head.conv.kernel"].copy()
    kernel.view(np.uint32).flat[3] ^= 1
    converters.save_state(other, SPEC, STATE | {"head.conv.kernel": kernel})
    sides = ("--a-backend", "torch", "--b-backend", "torch", "--exact")
    assert "The same, bit for bit" in run("parity", saved, saved, batch, *sides).stdout
    found = report("parity", saved, other, batch, *sides, code=1)
    assert (found["agrees"], found["first_difference"]) == (False, "head.conv")
    text = run("parity", saved, other, batch, *sides, "--no-training", "--grid-bits", "8", code=1).stdout
    assert "Different: 1 of 140 tensors of weights." in text
    said = " ".join(text.split())
    assert "The first layer whose weights differ is head.conv; the results of all layers are the same on this" in said
    assert "The first layer that differs" not in said


def test_options_with_a_prefix_are_for_one_side_and_prevail():
    sides = ("--a-backend", "torch", "--b-backend", "torch", "--size", "32")
    path = oracle.FOLDER / "train-v1"
    found = report("parity", path, path, *sides, "--ema", "never", "--b-ema", "always", code=1)
    assert found["first_difference"] == "stem"
    assert "moving averages" in found["b"]["notes"][-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("info", "b9"), "Near:"),
        (("inspect", "absent.pth"), "absent.pth"),
        (("inspect", B0, "--from", "oficial"), "Did you mean official?"),
        (("convert", B0, "official:b0"), "published checkpoint, which can only be read"),
        (("inspect", B0, "--ema", "perhaps"), "--ema is 'perhaps'"),
        (("inspect", B0, "--arch", "b1"), "does not fit efficientnet-b1"),
        (("convert", B0, "absent/x.pth"), "folder absent does not exist"),
        (("convert", B0, f"{__file__}/x.pth"), f"{__file__} is a file; expected a folder"),
        (("convert", B0, f"{__file__}/absent/x.pth"), f"{__file__} is a file; expected a folder"),
        (("convert", B0, "x.unknown"), "--to-format"),
        (("convert", B0, "x", "--to-format", "kears"), "Did you mean keras?"),
        (("inspect", B0, "--format", "kears"), "keras-h5, keras."),
        (("inspect", B0 / "input_64x64.npy", "--format", "keras"), "no sound zip archive"),
        (("predict", B0, "absent.png", "--backend", "torch"), "absent.png"),
        (("predict", B0), "Missing argument"),
        (("parity", B0, oracle.FOLDER / "train-v1"), "number of blocks: 16 against 10"),
        (("parity", B0, B0, "--size", "none"), "--size"),
        (("parity", B0, B0, "--exact", "--train", "2"), "one batch of training in exact arithmetic; found both"),
        (("nothing",), "nothing"),
    ],
)
def test_errors_are_a_message_and_exit_code_2(arguments, message):
    result = run(*arguments, code=2)
    assert message in result.stderr
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) < 60


def test_control_characters_in_names_do_not_reach_the_terminal(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, **{"evil\x1b[31mname": np.ones(2, np.float32)})
    assert "\x1b" not in run("inspect", path, code=2).stderr


def test_every_function_of_the_front_door_exists():
    assert all(getattr(effnet, name) is not None for name in effnet.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = effnet.nothing
    assert set(effnet.__all__) <= set(dir(effnet))
    assert issubclass(effnet.errors.InputError, effnet.EffnetError)


def test_help_has_its_options_under_headings():
    text = run("convert", "--help").stdout
    places = [text.index(f"\n{heading}:\n") for heading in ("Arguments", "What to write", "Changes to the network")]
    assert places == sorted(places)
    assert text.index("--to DIALECT") < text.index("\nWhat the source is") < text.index("--from DIALECT")
    assert "\nOptions:\n" in run("list", "--help").stdout
