"""Reports of comparisons: pages that need nothing else and say what is there, and documents."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import converters
import effnet
from converters.errors import OutputError
from effnet.backends import Network
from effnet.choices import Backend, Device
from effnet.cli.app import app
from effnet.errors import MissingFramework
from effnet.parity_engine.compare import Limits, Outputs, compare
from effnet.parity_engine.run import ParityReport, Side
from effnet.reporting import write
from effnet_core import resolve
from tests.effnet.reporting.reading import Page, external
from tests.lively import lively_state

NAMES = ("stem", "blocks.0.depthwise", "blocks.0", "blocks.1.depthwise", "blocks.1", "logits")
HOSTILE = "<script>alert('x')</script> & \"x\" {{ 12345 * 54321 }} ]]> $\\frac$ .pth"
DOCUMENT = Path(__file__).parents[3] / "docs" / "reports.md"
SPEC = resolve("b0", width=0.13, depth=0.1, num_classes=7)


def outputs(**changed):
    random = np.random.default_rng(0)
    wide = {name: random.normal(size=(3, 5)) for name in NAMES} | changed
    return Outputs(float64=wide, float32={name: values.astype(np.float32) for name, values in wide.items()})


def report(a, b, *, name="x.pth", notes=("A note.",), limits=None):
    side = Side(name=name, network="efficientnet-b0", format="pth", backend=Backend.TORCH, notes=notes)
    return ParityReport(
        a=side,
        b=replace(side, name="y.keras", backend=Backend.TF),
        device=Device.CPU,
        input="random N(0, 1) from seed 0",
        notes=(),
        comparison=compare(a, b, limits=limits),
        outputs=(a, b),
    )


def faulty(**changed):
    rotten = outputs(**{"blocks.1.depthwise": np.ones((3, 5)), "logits": np.full((3, 5), np.nan)} | changed)
    return report(outputs(), rotten)


def page(found, tmp_path, **options):
    path = effnet.write_report(found, tmp_path / "report.html", overwrite=True, **options)
    return path.read_text(encoding="utf-8")


def test_the_page_needs_nothing_else_and_is_well_formed(tmp_path):
    for found in (report(outputs(), outputs()), faulty()):
        text = page(found, tmp_path)
        assert text.startswith("<!doctype html>")
        assert external(text) == []
        tags = Page(text).tags
        assert "script" not in tags
        assert tags.count("svg") >= 2
        assert text.count('<svg role="img" aria-label="') == tags.count("svg")
        assert "default-src 'none'" in text


@pytest.mark.parametrize(
    "text",
    [
        '<p><img src="https://example.org/x.png"/></p>',
        "<style>p { background: url(x.png) }</style>",
        '<link href="style.css"/>',
        "<style>@import 'x.css'</style>",
    ],
)
def test_an_external_reference_is_seen(text):
    assert external(text) != []


@pytest.mark.parametrize("text", ["<p><b></p></b>", "<div>", "</p>", '<p onclick="x()"></p>'])
def test_a_page_that_is_not_well_formed_is_seen(text):
    with pytest.raises(ValueError, match=r"unexpected|never|handler"):
        Page(text)


def test_the_page_says_that_networks_are_the_same_and_names_every_layer(tmp_path):
    found = Page(page(report(outputs(), outputs()), tmp_path, command="effnet parity x.pth y.keras"))
    assert "The two networks compute the same." in found.text
    assert "The same: all 6 layers agree" in found.text
    assert found.rows == list(NAMES)
    assert "differs" not in found.classes
    assert found.text.count("✓ agrees") == 6
    for words in ("First difference", "NaN"):
        assert words not in re.sub(r"a layer with NaN or Inf leaves a gap", "", found.text)
    for words in ("effnet parity x.pth y.keras", "seed 0", "A note.", "PyTorch", "numpy", effnet.__version__):
        assert words in found.text


def test_the_page_of_a_faulty_network_says_so(tmp_path):
    found = Page(page(faulty(), tmp_path))
    assert "The two networks differ, first at blocks.1.depthwise." in found.text
    assert "compute the same." not in found.text
    assert "Up to blocks.0 the two agree." in found.text
    assert found.classes.count("differs") == 2
    assert "first difference" in found.text  # in the drawing
    assert "bad" in found.classes
    assert "NaN" in found.text


def test_rounding_is_told_from_a_difference(tmp_path):
    rounded = outputs()
    rounded.float32["blocks.1"][0, 0] += 1e-3
    found = Page(page(report(outputs(), rounded), tmp_path))
    assert "The two networks compute the same in float64." in found.text
    assert "at 1 of 6 layers" in found.text
    assert "rounding" in found.classes
    assert "first beyond the limit: blocks.1" in found.text
    assert "first difference" not in found.text.lower()
    assert "In float64 every layer agrees" in found.text
    loose = Page(page(report(outputs(), rounded, limits=Limits(float32=1e-2)), tmp_path))
    assert "The two networks compute the same." in loose.text


def test_what_comes_from_files_is_escaped(tmp_path):
    text = page(report(outputs(), outputs(), name=HOSTILE, notes=(HOSTILE,)), tmp_path, command=HOSTILE)
    found = Page(text)
    assert "script" not in found.tags
    assert external(text) == []
    assert "{{ 12345 * 54321 }}" in found.text
    assert str(12345 * 54321) not in found.text
    assert found.text.count("<script>alert('x')</script>") == 5  # title, head, side, note, command


def test_the_worst_number_of_each_column_is_marked(tmp_path):
    near = outputs()
    near.float64["blocks.0"][1, 1] += 1e-13
    near.float32["logits"][1, 1] += 1e-6
    text = page(report(outputs(), near), tmp_path)
    rows = re.findall(r'<th scope="row">([^<]*)</th>(.*?)</tr>', text, re.DOTALL)
    marked = [
        (name, column)
        for name, cells in rows
        for column, cell in enumerate(re.findall(r"<td[^>]*>", cells))
        if "worst" in cell
    ]
    float64, float32 = 1, 2  # the column before is the result
    assert {("blocks.0", float64), ("logits", float32)} <= set(marked)
    assert sorted(column for _, column in marked) == [1, 2, 3, 4]


def test_the_document_is_the_same_as_values(tmp_path):
    network = Network(spec=SPEC, state=lively_state(SPEC), name="x")
    other = replace(network, state=lively_state(SPEC, seed=1))
    path = effnet.write_report(faulty(), tmp_path / "r.json", networks=(network, other), command="c")
    found = json.loads(path.read_text())
    assert (found["kind"], found["version"], found["agrees"]) == ("effnet parity report", 1, False)
    assert found["first_difference"] == "blocks.1.depthwise"
    assert [layer["name"] for layer in found["layers"]] == list(NAMES)
    assert found["last"]["name"] == "logits"
    assert found["last"]["a"]["float64"] == outputs().float64["logits"].tolist()
    assert found["last"]["b"]["float32"][0][0] is None
    assert found["weights"]["a"] == converters.state_digest(network.state).value != found["weights"]["b"]
    assert found["command"] == "c"
    listed = DOCUMENT.read_text(encoding="utf-8")
    assert [name for name in found if f"`{name}`" not in listed] == []


def test_a_page_without_its_libraries_is_refused_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "find_spec", lambda name: None)
    with pytest.raises(MissingFramework, match=r"\.\[report\]"):
        write.check_report(tmp_path / "r.html", overwrite=False)
    write.check_report(tmp_path / "r.json", overwrite=False)


def test_a_report_is_not_overwritten_and_has_a_known_ending(tmp_path):
    path = tmp_path / "r.html"
    path.write_text("mine")
    with pytest.raises(OutputError, match="--force"):
        effnet.write_report(faulty(), path)
    assert path.read_text() == "mine"
    with pytest.raises(OutputError, match=r"\.html or \.json"):
        effnet.write_report(faulty(), tmp_path / "r.pdf")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    converters.save_state(folder / "x.safetensors", SPEC, lively_state(SPEC))
    converters.save_state(folder / "y.safetensors", SPEC, lively_state(SPEC, seed=1))
    return folder


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def test_the_command_writes_a_report_that_repeats_itself(saved, tmp_path):
    sides = (saved / "x.safetensors", saved / "x.safetensors", "--a-backend", "torch", "--b-backend", "torch")
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    assert f"Report: {first}" in run("parity", *sides, "--size", 40, "--seed", 3, "--all", "--report", first).stdout
    found = json.loads(first.read_text())
    words = shlex.split(found["command"])
    assert words[:2] == ["effnet", "parity"]
    assert not {"--report", "--all", "--force"} & set(words)
    run(*words[1:], "--report", second)
    assert json.loads(second.read_text())["layers"] == found["layers"]
    other = [word if word != "3" else "4" for word in words]
    run(*other[1:], "--report", second, "--force")
    assert json.loads(second.read_text())["layers"] != found["layers"]  # the control: another seed, other numbers


def test_the_command_gives_the_exit_code_and_refuses_first(saved, tmp_path):
    target = tmp_path / "r.html"
    sides = (saved / "x.safetensors", saved / "y.safetensors", "--a-backend", "torch", "--b-backend", "torch")
    run("parity", *sides, "--report", target, code=1)
    assert "The two networks differ, first at stem." in Page(target.read_text(encoding="utf-8")).text
    before = target.read_bytes()
    result = run("parity", *sides, "--report", target, code=2)
    assert "exists" in result.stderr
    assert result.stdout == ""
    assert target.read_bytes() == before
    assert "does not exist" in run("parity", *sides, "--report", tmp_path / "no" / "r.html", code=2).stderr
