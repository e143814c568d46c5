import json
from typing import Any

import pytest

from effnet_core import VARIANTS, InvalidSpec, from_json, resolve, to_json


@pytest.mark.parametrize("name", VARIANTS)
def test_a_definition_survives_json(name: str) -> None:
    spec = resolve(name, width=0.3, num_classes=11, resolution=65, recipe=None)
    assert from_json(to_json(spec)) == spec


def _document() -> dict[str, Any]:
    return json.loads(to_json(resolve("b0")))


def _changed(path: str, value: object) -> str:
    document = _document()
    *parents, last = path.split(".")
    place: Any = document
    for part in parents:
        place = place[int(part)] if part.isdigit() else place[part]
    place[last] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("version", 99, "version 99"),
        ("network", [], "expected an object"),
        ("network.name", 5, "expected a value of type str"),
        ("network.padding", "valid", "expected one of same, symmetric"),
        ("network.padding", ["same"], "expected one of same, symmetric"),
        ("network.blocks.3.kind", ["MBConv"], "expected one of MBConv, FusedMBConv, CondMBConv"),
        ("network.blocks", {}, "expected a list"),
        ("network.blocks.3.stride", 1.5, "expected a value of type int"),
        ("network.blocks.3.stride", True, "expected a value of type int"),
        ("network.blocks.3.surprise", 1, "unknown fields"),
        ("network.blocks.3.out_channels", 9, "contradicts itself"),
        ("network.preprocessing.mean", [1.0, 2.0], "2 means and 3 scales"),
        ("network.preprocessing.mean", 1.0, "expected a list"),
        ("network.norm.epsilon", None, "expected a value of type float"),
        ("network.stem.out_channels", -8, "expected at least 1"),
    ],
)
def test_json_that_is_wrong_is_refused_with_the_place(path: str, value: object, problem: str) -> None:
    with pytest.raises(InvalidSpec, match=problem):
        from_json(_changed(path, value))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": 1}', "[" * 100_000, '"\ud800"'])
def test_what_is_no_definition_is_refused(text: str) -> None:
    with pytest.raises(InvalidSpec):
        from_json(text)


def test_a_missing_field_is_named() -> None:
    document = _document()
    del document["network"]["head"]["activation"]
    with pytest.raises(InvalidSpec, match=r"network\.head: missing fields \['activation'\]"):
        from_json(json.dumps(document))
