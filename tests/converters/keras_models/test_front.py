"""What files of Keras weights tell of layers outside the network that may change images, in memory.

tests/foreign compares with what Keras computes from such files.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import Checkpoint, FormatError, SourceOptions
from converters.memory import MemoryReader
from converters.opening import understand
from effnet_core import resolve, without_classifier
from tests.converters.memory import in_dialect
from tests.lively import lively_state

V1 = without_classifier(resolve("b0", width=0.13, depth=0.5))
V2 = without_classifier(resolve("efficientnetv2-s", width=0.13, depth=0.1))
DEVIATION = [0.229, 0.224, 0.225]
HEAD = {"dense/kernel": np.ones((1, 5), np.float32), "dense/bias": np.zeros(5, np.float32)}
USED, NOT_USED = "a layer of the model around the network", "they are not used"
SEVERAL, LISTED = "Several layers normalise", "which may change images"


def stored(mean: Any, variance: Any, *, layer: str = "normalization") -> dict[str, np.ndarray]:
    found = {"mean": np.asarray(mean, np.float32), "variance": np.asarray(variance, np.float32)}
    return {f"{layer}/{leaf}": value for leaf, value in {**found, "count": np.asarray(0)}.items()}


OF_PIXELS = stored([120, 110, 100], [3600, 2500, 1600])


def opened(
    network: Any,
    inside: Mapping[str, np.ndarray] = {},
    outside: Mapping[str, np.ndarray] = {},
    *,
    layers: Collection[str] | None = ("net/stem_activation",),
    options: SourceOptions | None = None,
) -> Checkpoint:
    """A file with a network at `net/`, with a dense layer behind it, which also lists some `layers`."""
    dialect = "keras-applications" if network is V1 else "keras-applications-v2"
    body = in_dialect(dialect, network, lively_state(network)) | dict(inside)
    assert network.head is not None
    dense = {**HEAD, "dense/kernel": np.ones((network.head.out_channels, 5), np.float32)}
    reader = MemoryReader(
        {**{f"net/{name}": array for name, array in body.items()}, **outside, **dense}, path=Path("m"), format="memory"
    )
    if layers is not None:
        reader.layers = frozenset({*layers, *(name.rpartition("/")[0] for name in reader.tensors)})
    return understand(reader, options or SourceOptions())


def notes(found: Checkpoint, *, has_head: bool = True) -> str:
    assert (found.spec.classifier is not None) is has_head
    return " ".join(found.notes)


@pytest.mark.parametrize(
    ("outside", "layers", "is_used"),
    [
        (OF_PIXELS, ["net/stem_activation"], True),
        (stored([120] * 3, [3600] * 3, layer="mine"), ["net/stem_activation"], True),
        (OF_PIXELS, None, False),  # such as a TensorFlow checkpoint
        (OF_PIXELS, ["rescaling"], False),  # lists none inside the network
        (OF_PIXELS, ["net/stem_activation", "rescaling_2"], False),
        (OF_PIXELS, ["net/stem_activation", "net/rescaling"], False),
        (OF_PIXELS | stored([1, 2, 3], [4, 5, 6], layer="normalization_1"), ["net/stem_activation"], False),
        (stored([0.4, 0.5, 0.6], [0.04, 0.05, 0.06]), ["net/stem_activation"], False),  # of fractions
        (stored([0, 0, 0], [1, 1, 1]), ["net/stem_activation"], False),  # never adapted
        (stored([120, 110, np.nan], [3600, 2500, 1600]), ["net/stem_activation"], False),
        (stored([120, 110, 100], [3600, 2500, -1]), ["net/stem_activation"], False),
    ],
)
def test_numbers_are_used_where_it_is_certain_enough(outside: Any, layers: Any, is_used: bool) -> None:
    found = opened(V2, outside=outside, layers=layers)
    assert (USED in notes(found), NOT_USED in notes(found)) == (is_used, not is_used)
    assert (found.spec.preprocessing.recipe == "stored-normalisation") is is_used
    if is_used:
        assert (found.spec.preprocessing.mean[0], found.spec.preprocessing.scale[0]) == (120, 60)
    assert {found.ignored[name] for name in outside} == {"of a layer that normalises, outside the network"}
    said = notes(opened(V2, outside=outside, layers=layers, options=SourceOptions(recipe="v2")))
    assert USED not in said
    assert NOT_USED not in said


def test_of_many_layers_the_first_are_named() -> None:
    many = [stored([120] * 3, [3600] * 3, layer=f"normalization_{number}") for number in range(1, 6)]
    found = notes(opened(V2, outside={name: array for one in many for name, array in one.items()}))
    assert found.count(NOT_USED) == 3
    assert "So it is with 2 more." in found


@pytest.mark.parametrize(
    "outside",
    [
        stored([1] * 7, [2] * 7),  # of no images
        {name: array for name, array in OF_PIXELS.items() if not name.endswith("mean")},
        {**OF_PIXELS, "normalization/gamma": np.ones(3, np.float32)},
    ],
)
def test_what_is_no_layer_that_normalises_images_is_left_as_it_was(outside: Any) -> None:
    found = opened(V2, outside=outside)
    assert "That is no small head behind it" in notes(found, has_head=False)
    assert {found.ignored[name] for name in outside} == {"no part of the network"}


def test_a_network_with_a_layer_of_its_own() -> None:
    own = stored([0, 0, 0], [1, 1, 1])
    found = opened(V1, own, stored([120, 110, 100], [3600, 2500, 1600], layer="mine"))
    assert f"{SEVERAL} the input (mine, net/normalization)" in notes(found)
    names = {*OF_PIXELS, *(name.replace("normalization", "mine") for name in OF_PIXELS)}
    assert {found.ignored[name.replace("normalization", "net/normalization")] for name in names} == {
        "of one of several layers that normalise the input"
    }
    alone = opened(V1, own)
    assert SEVERAL not in notes(alone)
    assert alone.spec.preprocessing.scale == (255, 255, 255)
    with pytest.raises(FormatError, match="half of what its network normalises"):
        opened(V1, {"normalization/variance": np.ones(3, np.float32)}, OF_PIXELS)


@pytest.mark.parametrize(
    ("variance", "layers", "expected"),
    [
        ([1, 1, 1], ["net/rescaling"], None),
        ([1, 1, 1], ["net/rescaling_3", "rescaling_4"], "lists rescaling_4, which may change images, without numbers."),
        (
            [1, 1, 1],
            ["net/rescaling", "net/rescaling_1"],
            "which may change images, without numbers, of which 1 is the",
        ),
        (DEVIATION, ["net/rescaling", "net/rescaling_1"], None),  # what weights="imagenet" makes
        (DEVIATION, ["net/rescaling", "net/tf.math.truediv_2"], None),
        (DEVIATION, ["net/rescaling", "tf.math.truediv_2"], "lists tf.math.truediv_2, which"),
        ([1, 1, 1], ["net/rescaling", "lambda_1", "flatten"], "lists lambda_1, which"),
    ],
)
def test_listed_layers_that_are_not_the_network_s_own(variance: Any, layers: Any, expected: str | None) -> None:
    mean = [0.485, 0.456, 0.406] if variance is DEVIATION else [0, 0, 0]
    found = notes(opened(V1, stored(mean, variance), layers=layers))
    assert LISTED not in found if expected is None else expected in found


def test_the_class_tells_of_a_layer_with_a_name_of_its_own() -> None:
    reader = MemoryReader(
        {f"net/{name}": array for name, array in in_dialect("keras-applications", V1, lively_state(V1)).items()},
        path=Path("m"),
        format="memory",
    )
    reader.layers = frozenset({"to_unit"})
    assert not any(LISTED in note for note in understand(reader, SourceOptions()).notes)
    reader.layer_classes = {"to_unit": "rescaling"}
    assert any(f"lists to_unit, {LISTED}" in note for note in understand(reader, SourceOptions()).notes)
