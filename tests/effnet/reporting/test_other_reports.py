"""Reports of exact arithmetic and of trainings: the same page around other tables and drawings."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import converters
import effnet
from effnet.backends import Network
from effnet.cli.app import app
from effnet.parity_engine.training_compare import Kind
from effnet_core import parameters, resolve
from tests.effnet.reporting.reading import Page, external
from tests.lively import images, lively_state

DOCUMENT = Path(__file__).parents[3] / "docs" / "reports.md"
SPEC = resolve("b0", width=0.13, num_classes=7)
SPEC = replace(SPEC, blocks=SPEC.blocks[:2], head=replace(SPEC.head, in_channels=SPEC.blocks[1].out_channels))
NETWORK = Network(spec=SPEC, state=lively_state(SPEC), name="<b>x</b>.pth")
GAMMA = "blocks.1.project.norm.gamma"
OTHER = replace(
    NETWORK, state=NETWORK.state | {GAMMA: NETWORK.state[GAMMA] * np.float32([1, 1, 2, 1, 1, 3, 1, 1])}, name="y.keras"
)
X = images(2, 24, 32)


def exact(b):
    return effnet.exact_parity(NETWORK, b, a_backend="torch", b_backend="torch", inputs=X)


def trained(b):
    return effnet.training_parity(NETWORK, b, steps=2, a_backend="torch", b_backend="torch", inputs=X)


@pytest.fixture(scope="module")
def reports():
    return {
        "exact": exact(NETWORK),
        "exact, other": exact(OTHER),
        "train": trained(NETWORK),
        "train, other": trained(OTHER),
    }


def page(report, tmp_path, b=NETWORK):
    path = tmp_path / "report.html"
    effnet.write_report(report, path, networks=(NETWORK, b), command="effnet parity x y", overwrite=True)
    text = path.read_text(encoding="utf-8")
    assert external(text) == []
    found = Page(text)
    assert "script" not in found.tags
    assert "b" not in found.tags  # names of files are text
    assert text.count('<svg role="img" aria-label="') == found.tags.count("svg")
    for words in ("effnet parity x y", "seed 0", "numpy", effnet.__version__, "<b>x</b>.pth"):
        assert words in found.text
    return found


def test_the_page_of_exact_arithmetic(reports, tmp_path):
    same = page(reports["exact"], tmp_path)
    assert "The two networks are the same, bit for bit." in same.text
    assert same.rows == list(reports["exact"].order)
    assert "differs" not in same.classes
    assert "First difference" not in same.text
    assert same.tags.count("svg") == 4
    assert "equal digests" in same.text
    other = page(reports["exact, other"], tmp_path, OTHER)
    assert "The two networks differ, first at blocks.1.project.norm." in other.text
    assert f"values of {GAMMA} differ" in other.text
    assert GAMMA in other.rows
    assert "first difference" in other.text
    assert other.classes.count("differs") == 1 + sum(
        any(item.name == name and item.differing for item in (*found.inference, *found.training))
        for found in [reports["exact, other"]]
        for name in found.order
    ) + sum(item.differing > 0 for item in reports["exact, other"].statistics)
    assert "the digests differ" in other.text


def test_the_page_of_trainings(reports, tmp_path):
    same = page(reports["train"], tmp_path)
    assert "The two trainings are the same in 2 steps." in same.text
    assert same.rows[:2] == ["0", "1"]
    names = [parameter.name for parameter in parameters(SPEC)]
    assert same.rows[2 : 2 + len(names)] == names
    assert same.rows[2 + len(names) :] == [site.name for site in reports["train"].sites]
    assert "differs" not in same.classes
    assert same.tags.count("svg") == 6
    assert "optimizer.epsilon 0.001" in same.text
    other = page(reports["train, other"], tmp_path, OTHER)
    assert "The two trainings part at step 0, first in the loss." in other.text
    assert "None of the known mistakes explains it." in other.text
    assert "differs" in other.classes


def test_every_tensor_is_reported_with_its_farthest_step(reports):
    found = {(one.kind, one.name): one for one in reports["train, other"].tensors}
    assert {kind for kind, _ in found} == set(Kind)
    for kind in Kind:
        worst = max(one.float64 for (of, _), one in found.items() if of is kind)
        assert worst == max(step.kinds[kind].float64 for step in reports["train, other"].steps)
    assert not found[Kind.LOSS, "loss"].agrees
    assert all(one.agrees for one in reports["train"].tensors)


def test_the_documents_have_the_fields_that_are_described(reports, tmp_path):
    listed = DOCUMENT.read_text(encoding="utf-8")
    for name, kind in (("exact", "effnet exact parity report"), ("train", "effnet training parity report")):
        path = effnet.write_report(reports[f"{name}, other"], tmp_path / f"{name}.json", networks=(NETWORK, OTHER))
        found = json.loads(path.read_text())
        assert (found["kind"], found["version"], found["agrees"]) == (kind, 1, False)
        assert found["weights"]["a"] != found["weights"]["b"]
        assert [field for field in found if f"`{field}`" not in listed] == []


def test_the_command_writes_both(tmp_path):
    converters.save_state(tmp_path / "x.safetensors", SPEC, NETWORK.state)
    sides = [str(tmp_path / "x.safetensors")] * 2
    torch = ["--a-backend", "torch", "--b-backend", "torch", "--size", "24"]
    for options, kind in ((["--exact", "--no-training"], "exact"), (["--train", "1"], "training")):
        path = tmp_path / f"{kind}.json"
        done = CliRunner().invoke(app, ["parity", *sides, *torch, *options, "--report", str(path)])
        assert done.exit_code == 0, done.output
        assert f"Report: {path}" in done.stdout
        found = json.loads(path.read_text())
        assert kind in found["kind"]
        assert options[0] in found["command"]
        assert "--report" not in found["command"]
        refused = CliRunner().invoke(app, ["parity", *sides, *torch, *options, "--report", str(path)])
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "exists" in refused.stderr


def test_nothing_sticks_out_of_a_page_on_a_phone(reports, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    found = {**reports, "forward": effnet.parity(NETWORK, NETWORK, a_backend="torch", b_backend="torch", inputs=X)}
    with playwright.sync_playwright() as runner:
        shown = runner.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        sheet = shown.new_page(viewport={"width": 390, "height": 844})
        for report in found.values():
            path = effnet.write_report(report, tmp_path / "report.html", overwrite=True)
            sheet.goto(path.as_uri())
            assert sheet.evaluate("document.documentElement.scrollWidth") == 390
        sheet.add_style_tag(content=".box { position: static }")  # the control: the last page, with the wide table
        assert sheet.evaluate("document.documentElement.scrollWidth") > 390
        shown.close()
