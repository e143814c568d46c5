"""What a Keras file says of its input: every case that the module decides, in memory.

tests/foreign compares with what Keras computes from such files.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import Checkpoint, FormatError, SourceOptions, open_checkpoint, save_state
from converters.memory import MemoryReader
from converters.opening import understand
from effnet_core import RECIPES, recipe_preprocessing, resolve
from tests.converters.memory import in_dialect
from tests.lively import lively_state

V1 = resolve("b0", width=0.13, depth=0.5, num_classes=10)
V2 = {name: resolve(f"efficientnetv2-{name}", width=0.13, depth=0.5, num_classes=10) for name in ("b1", "s")}
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
IMAGENET = RECIPES["baseline"]


def stored(mean: Any, variance: Any, *, layer: str = "normalization") -> dict[str, np.ndarray]:
    arrays = {
        f"{layer}/{leaf}": np.asarray(value, np.float32) for leaf, value in (("mean", mean), ("variance", variance))
    }
    return {f"{layer}/count": np.asarray(0), **arrays}


PUBLISHED = stored(MEAN, DEVIATION)
"""The standard deviations in the place of the variances."""


def config(*layers: tuple[str, Mapping[str, Any]]) -> str:
    """A model of these layers and a first convolution, one after the other."""
    named = [(kind.lower(), kind, settings) for kind, settings in layers]
    numbered = [(f"{name}_{number}" if number else name, *rest) for number, (name, *rest) in enumerate(named)]
    found = [
        {"class_name": kind, "config": {"name": settings.get("name", name), **settings}}
        for name, kind, settings in [*numbered, ("stem_conv", "Conv2D", {"name": "stem_conv"})]
    ]
    return json.dumps({"class_name": "Sequential", "config": {"layers": found}})


def opened(
    extra: Mapping[str, np.ndarray] = {},
    *,
    text: str | None = None,
    options: SourceOptions | None = None,
    network: Any = V1,
    prefix: str = "",
) -> Checkpoint:
    dialect = "keras-applications" if network is V1 else "keras-applications-v2"
    arrays = in_dialect(dialect, network, lively_state(network)) | dict(extra)
    reader = MemoryReader({prefix + name: array for name, array in arrays.items()}, path=Path("m"), format="memory")
    if text is not None:
        reader.metadata = {"model_config": text}
    return understand(reader, options or SourceOptions())


def check(checkpoint: Checkpoint, mean: Any, scale: Any) -> str:
    """The definition has these numbers, for pixels in 0..255, and one note says so; that note."""
    found = checkpoint.spec.preprocessing
    np.testing.assert_allclose(found.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(found.scale, scale, rtol=1e-6)
    [note] = [note for note in checkpoint.notes if note.startswith(("Images are normalised", "Weights do not tell"))]
    return note


RESCALING = ("Rescaling", {"scale": 1 / 255, "offset": 0.0})
OWN = ("Normalization", {"name": "normalization", "mean": None, "variance": None})
ONCE_MORE = ("Rescaling", {"scale": list(1 / np.sqrt(DEVIATION)), "offset": 0.0})


def test_stored_variances_are_taken_as_they_are() -> None:
    note = check(opened(stored(MEAN, DEVIATION**2)), 255 * MEAN, 255 * DEVIATION)
    assert "tensors of the file" in note
    assert opened(stored(MEAN, DEVIATION**2)).spec.preprocessing == resolve("b0").preprocessing
    assert "tensors of the file" in check(
        opened(stored([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])), [25.5, 51, 76.5], 255 * np.sqrt([0.4, 0.5, 0.6])
    )
    check(opened(stored([0, 0, 0], [1, 1, 1])), [0, 0, 0], [255, 255, 255])


def test_stored_deviations_are_those_of_the_published_files() -> None:
    note = check(opened(PUBLISHED), 255 * MEAN, 255 * DEVIATION)
    assert 'weights="imagenet"' in note
    assert "--spec" in note
    assert "--recipe" not in note  # no recipe divides once


def test_the_configuration_says_whether_they_are_divided_by_once_more() -> None:
    once = check(opened(PUBLISHED, text=config(RESCALING, OWN)), 255 * MEAN, 255 * np.sqrt(DEVIATION))
    assert "loaded by path" in once
    twice = check(opened(PUBLISHED, text=config(RESCALING, OWN, ONCE_MORE)), 255 * MEAN, 255 * DEVIATION)
    assert "loaded by path" not in twice


def test_a_note_says_who_normalises_and_has_no_negative_zero() -> None:
    note = check(opened(stored([0, 0, 0], [1, 1, 1]), text=config(RESCALING, OWN)), [0, 0, 0], [255, 255, 255])
    assert "(pixel - 0) / 255" in note
    assert "has to be given images normalised so" in note


def test_layers_around_the_network_count_too() -> None:
    """A user's own layers before a nested network, whose tensors stand behind its name."""
    inner = json.loads(config(RESCALING, OWN))
    inner["config"]["name"] = "efficientnetb0"
    augment = {"class_name": "RandomFlip", "config": {"name": "flip"}}
    scale = {"class_name": "Rescaling", "config": {"name": "scale", "scale": 2, "offset": 1}}
    text = json.dumps({"class_name": "Sequential", "config": {"layers": [augment, scale, inner]}})
    found = opened(stored([0, 0, 0], [1, 1, 1]), text=text, prefix="efficientnetb0/")
    check(found, [-0.5] * 3, [127.5] * 3)  # (2 * pixel + 1) / 255


def test_keras_numbers_its_layers() -> None:
    numbered = stored([0, 0, 0], [1, 1, 1], layer="normalization_7")
    check(opened(numbered), [0, 0, 0], [255, 255, 255])
    both = PUBLISHED | numbered
    assert "Weights do not tell" in check(opened(both), IMAGENET.mean, IMAGENET.scale)
    named = ("Normalization", {"name": "normalization_7"})
    check(opened(both, text=config(RESCALING, named)), [0, 0, 0], [255, 255, 255])


@pytest.mark.parametrize(
    "odd",
    [
        ("Lambda", {"function": "lambda x: x / 127.5 - 1"}),
        ("Rescaling", {"scale": "1/255"}),
        ("Rescaling", {"scale": 0}),
        ("Rescaling", {"scale": [1, 2]}),
        ("Rescaling", {"scale": 10**400}),
        ("Normalization", {"mean": None, "variance": None, "name": "nowhere"}),
        ("Normalization", {"mean": [0, 0, 0], "variance": [1, -1, 1]}),
    ],
)
def test_what_the_configuration_does_not_tell_the_tensors_do(odd: Any) -> None:
    check(opened(stored([0, 0, 0], [1, 1, 1]), text=config(odd, RESCALING, OWN)), [0, 0, 0], [255, 255, 255])


FRONTS = [
    ("Conv2D", {"name": "to_rgb"}),
    ("Lambda", {"name": "to_rgb"}),
    ("Rescaling", {"name": "to_rgb", "scale": "1"}),
]


@pytest.mark.parametrize("front", FRONTS)
def test_what_stands_in_front_is_named_and_the_rest_is_read(front: Any) -> None:
    """Not the opposite guess, for which the published deviations stand when there is no configuration."""
    flip = ("RandomFlip", {"name": "flip"})
    found = opened(PUBLISHED, text=config(("Rescaling", {"name": "own", "scale": 3}), front, flip, RESCALING, OWN))
    assert "loaded by path" in check(found, 255 * MEAN, 255 * np.sqrt(DEVIATION))
    [named] = [note for note in found.notes if note.startswith("In front of the network")]
    assert f"has Rescaling own, {front[0]} to_rgb, which are left out" in named
    assert "what to_rgb gives, of 3 channels" in named
    alone = opened(PUBLISHED, text=config(flip, RESCALING, OWN))
    assert not any("In front of the network" in note for note in alone.notes)


def test_a_configuration_that_cannot_be_followed_is_said() -> None:
    for text in ("{}", config(RESCALING, ("Normalization", {"name": "nowhere"}))):
        found = opened(stored([0, 0, 0], [1, 1, 1]), text=text)
        check(found, [0, 0, 0], [255, 255, 255])
        assert any("could not be followed" in note for note in found.notes)
    assert not any("followed" in note for note in opened(stored([0, 0, 0], [1, 1, 1])).notes)


@pytest.mark.parametrize(("name", "mean", "scale"), [("b1", 255 * MEAN, 255 * DEVIATION), ("s", [128] * 3, [128] * 3)])
def test_v2_without_configuration_is_normalised_as_keras_does(name: str, mean: Any, scale: Any) -> None:
    assert "as keras.applications EfficientNetV2 does" in check(opened(network=V2[name]), mean, scale)


LISTED = [
    ("b1", ["rescaling", "normalization"], True),
    ("b1", ["rescaling_4", "normalization_2"], True),
    ("b1", ["rescaling"], False),
    ("b1", [], False),
    ("s", ["rescaling"], True),
    ("s", ["inner/rescaling"], False),
    ("s", ["rescaling", "rescaling_1"], None),
]


@pytest.mark.parametrize(("name", "layers", "expected"), LISTED)
def test_v2_by_the_layers_that_a_file_lists(name: str, layers: list[str], expected: bool | None) -> None:
    arrays = in_dialect("keras-applications-v2", V2[name], lively_state(V2[name]))
    reader = MemoryReader(arrays, path=Path("m"), format="memory")
    own = {tensor.rpartition("/")[0] for tensor in arrays}
    reader.layers = frozenset({"input_layer", *own, *layers})
    notes = understand(reader, SourceOptions()).notes
    said = {
        True: any("does so itself" in note for note in notes),
        False: any("does not normalise images itself" in note for note in notes),
        None: any("assumed that it does" in note for note in notes),
    }
    assert said == {one: one is expected for one in said}
    reader.layers = frozenset(own)  # the control: a file that lists nothing else
    assert any("assumed that it does" in note for note in understand(reader, SourceOptions()).notes)


def test_v2_with_its_configuration() -> None:
    numbers = ("Normalization", {"mean": [[[[0.1, 0.2, 0.3]]]], "variance": [0.04, 0.09, 0.16]})
    found = opened(network=V2["b1"], text=config(RESCALING, numbers))
    check(found, [25.5, 51, 76.5], [51, 76.5, 102])
    back = ("Normalization", {"mean": 1, "variance": 4, "invert": True})
    check(opened(network=V2["b1"], text=config(back)), [-0.5] * 3, [0.5] * 3)  # 2 * pixel + 1


def test_a_network_without_preprocessing_leaves_it_to_the_recipe() -> None:
    found = opened(network=V2["s"], text=config(("InputLayer", {})))
    prepared = resolve("efficientnetv2-s").preprocessing
    assert "Weights do not tell" in check(found, prepared.mean, prepared.scale)
    assert "The model's configuration has no layers that normalise pixels." in found.notes


def test_the_caller_says_otherwise() -> None:
    for text in (None, config(RESCALING, OWN)):
        found = opened(PUBLISHED, text=text, options=SourceOptions(recipe="advprop"))
        assert found.spec.preprocessing == recipe_preprocessing("advprop", resolution=224)


@pytest.mark.parametrize(
    ("mean", "variance", "message"),
    [
        ([0, 0, 0], [1, 1, -1], "variances of at least 0"),
        ([0, 0], [1, 1], "one finite number a channel"),
        ([0, 0, np.nan], [1, 1, 1], "one finite number a channel"),
    ],
)
def test_numbers_without_sense_are_refused(mean: Any, variance: Any, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        opened(stored(mean, variance))


@pytest.mark.parametrize("absent", ["mean", "variance"])
def test_half_a_normalisation_is_refused(absent: str) -> None:
    arrays = stored([0, 0, 0], [1, 1, 1])
    del arrays[f"normalization/{absent}"]
    with pytest.raises(FormatError, match=rf"no normalization/{absent}: half of what .*--recipe"):
        opened(arrays)
    said = opened(arrays, options=SourceOptions(recipe="advprop"))
    assert said.spec.preprocessing.recipe == "advprop"


def test_several_layers_that_normalise_are_named() -> None:
    """Only the model's configuration tells the user's own from the network's."""
    two = stored([0, 0, 0], [1, 1, 1]) | stored(MEAN, DEVIATION, layer="normalization_1")
    found = opened(two)
    assert found.spec.preprocessing.recipe != "stored-normalisation"
    [note] = [note for note in found.notes if note.startswith("Several layers")]
    assert "(normalization, normalization_1)" in note
    assert {found.ignored[name] for name in two} == {"of one of several layers that normalise the input"}
    for said in (opened(two, options=SourceOptions(recipe="advprop")), opened(stored(MEAN, DEVIATION))):
        assert not any(note.startswith("Several layers") for note in said.notes)


def test_a_variance_of_zero_is_bounded_as_keras_does() -> None:
    check(opened(stored([0, 0, 0], [0, 0, 0])), [0, 0, 0], [255e-7] * 3)


def test_what_is_written_gives_the_same_logits(tmp_path: Path) -> None:
    """As variances, which a network made with weights=None needs; a reader without our definition finds them too."""
    prepared = replace(V1.preprocessing, mean=(1.0, 2.0, 3.0), scale=(4.0, 5.0, 6.0))
    spec = replace(V1, preprocessing=prepared)
    save_state(tmp_path / "m.npz", spec, lively_state(spec), to="keras-applications", sync=False)
    with open_checkpoint(tmp_path / "m.npz") as checkpoint:
        assert checkpoint.spec == spec
        arrays = {name: np.array(checkpoint.reader.read(name)) for name in checkpoint.reader.tensors}
    np.testing.assert_allclose(arrays["normalization/variance"], (np.array(prepared.scale) / 255) ** 2, rtol=1e-6)
    without = understand(MemoryReader(arrays, path=Path("m"), format="memory"), SourceOptions())
    check(without, prepared.mean, prepared.scale)


@pytest.mark.parametrize(
    ("first", "is_fractions"),
    [({"scale": 255.0}, True), ({"scale": 256, "offset": 0}, True), ({"scale": 255.0, "offset": 1.0}, False)],
)
def test_a_model_that_is_given_fractions(first: Mapping[str, Any], is_fractions: bool) -> None:
    """Its first layer makes pixels of them: what the network itself does with pixels is done with pixel / 255."""
    numbers = ("Normalization", {"mean": [[[[0.1, 0.2, 0.3]]]], "variance": [0.04, 0.09, 0.16]})
    found = opened(network=V2["b1"], text=config(("Rescaling", first), RESCALING, numbers))
    assert any("the model is given images as pixel / 255" in note for note in found.notes) is is_fractions
    scale = first["scale"]
    if is_fractions:
        check(found, np.multiply([25.5, 51, 76.5], 255 / scale), np.multiply([51, 76.5, 102], 255 / scale))
        cancelled = opened(network=V2["b1"], text=config(("Rescaling", first), ("Rescaling", {"scale": 1 / scale})))
        check(cancelled, [0, 0, 0], [255, 255, 255])
    else:
        check(found, np.subtract([0.1, 0.2, 0.3], 1 / 255), [0.2, 0.3, 0.4])
