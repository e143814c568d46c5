import json
from dataclasses import replace

import numpy as np

from effnet.choices import Backend, Device
from effnet.parity_engine.compare import Limits, Outputs, compare
from effnet.parity_engine.report import COLUMNS, document, heading, rows, verdict
from effnet.parity_engine.run import ParityReport, Side

NAMES = ("stem", "blocks.0.depthwise", "blocks.0", "blocks.1.depthwise", "blocks.1", "logits")


def outputs(**changed):
    random = np.random.default_rng(0)
    wide = {name: random.normal(size=(3, 5)) for name in NAMES} | changed
    return Outputs(float64=wide, float32={name: values.astype(np.float32) for name, values in wide.items()})


def report(comparison):
    side = Side(name="x.pth", network="efficientnet-b0", format="pth", backend=Backend.TORCH, notes=("A note.",))
    b = replace(side, name="memory", format=None)
    return ParityReport(a=side, b=b, device=Device.CPU, input="numbers", notes=(), comparison=comparison)


SAME = compare(outputs(), outputs())
DIFFERENT = compare(outputs(), outputs(**{"blocks.1.depthwise": np.ones((3, 5)), "logits": np.full((3, 5), np.nan)}))


def test_the_document_is_json_even_with_nan():
    found = json.loads(json.dumps(document(report(DIFFERENT)), allow_nan=False))
    assert found["agrees"] is False
    assert found["first_difference"] == "blocks.1.depthwise"
    assert [layer["name"] for layer in found["layers"]] == list(NAMES)
    assert found["layers"][-1]["float64"]["max_abs"] is None
    assert found["a"]["backend"] == "torch"
    assert found["limits"] == {"float64": None, "float32": None}


def test_the_table_has_the_blocks_and_the_first_difference():
    assert [row[0] for row in rows(SAME, every_layer=False)] == ["stem", "blocks.0", "blocks.1", "logits"]
    assert [row[0] for row in rows(SAME, every_layer=True)] == list(NAMES)
    shown = rows(DIFFERENT, every_layer=False)
    assert [row[0] for row in shown] == ["stem", "blocks.0", "blocks.1.depthwise", "blocks.1", "logits"]
    assert shown[2][-1].startswith("differs")
    assert {len(row) for row in shown} == {len(COLUMNS)}


def test_the_verdict():
    assert verdict(SAME)[-1].startswith("The same: all 6 layers")
    assert verdict(DIFFERENT)[-1].startswith("Different: 2 of 6 layers")
    assert verdict(DIFFERENT)[-1].endswith("the first is blocks.1.depthwise.")


def test_constant_layers_are_warned_about():
    dead = outputs(logits=np.zeros((3, 5)))
    assert "Careful: 1 of 6 layers" in verdict(compare(dead, dead))[-2]


def test_the_heading_names_both_sides_and_every_note_once():
    assert heading(report(SAME)) == [
        "A  x.pth: efficientnet-b0 (pth) in PyTorch",
        "B  memory: efficientnet-b0 (in memory) in PyTorch",
        "input  numbers, on cpu",
        "note  A note.",
    ]


def test_a_difference_in_float32_alone_is_called_rounding():
    rounded = outputs()
    rounded.float32["blocks.1"][0, 0] += 1e-3
    found = compare(outputs(), rounded)
    assert verdict(found)[-2].startswith("Different: 1 of 6 layers")
    assert "In float64 every layer agrees" in verdict(found)[-1]
    assert compare(outputs(), rounded, limits=Limits(float32=1e-2)).agrees
    assert not any("In float64 every layer agrees" in line for line in verdict(DIFFERENT))
