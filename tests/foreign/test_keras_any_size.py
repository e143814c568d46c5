"""Networks of keras.applications that were built for images of any size: they pad odd sides as if these were even."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
keras = pytest.importorskip("keras", reason="Keras is not installed")

import effnet
from converters import SourceOptions, UnknownArchitecture, convert, open_checkpoint
from effnet_core import Padding, resolve
from tests.foreign.narrow_keras import BOUND, backbone, make_lively
from tests.lively import lively_state

layers = keras.layers
Size = tuple[int | None, int | None]
FILES = pytest.mark.parametrize("suffix", [".keras", ".h5"])
ACCEPTED = SourceOptions(accept_different_logits=True)
SAID = "The network was built for images of any size"


def around(body: Any, size: Size, *front: Any, name: str = "predictions") -> Any:
    """The common model for other classes: a network that is called on images."""
    image = keras.Input((*size, 3))
    x = image
    for layer in front:
        x = layer(x)
    return keras.Model(image, layers.Dense(5, name=name)(layers.GlobalAveragePooling2D()(body(x))))


def saved(path: Path, body: Any, size: Size, *front: Any) -> Any:
    model = around(body, size, *front)
    make_lively(model)
    model.save(path)
    return model


def any_size(**options: Any) -> Any:
    return backbone(input_shape=None, **options)


def apart(path: Path, model: Any, size: tuple[int, int], options: SourceOptions | None = None) -> float:
    """The largest difference from a model's logits, of the largest logit, for images of a size."""
    pixels = np.random.default_rng(1).uniform(0, 255, (2, *size, 3)).astype(np.float32)
    logits = model(pixels, training=False).numpy()
    network = effnet.load_model(path, backend="torch", options=options)
    rule = network.spec.preprocessing
    with torch.no_grad():
        x = torch.from_numpy(((pixels - np.float32(rule.mean)) / np.float32(rule.scale)).transpose(0, 3, 1, 2))
        found = network(x).numpy()  # of (N, H, W, C) -> (N, C, H, W)
    return float(np.abs(found - logits).max() / np.abs(logits).max())


def notes(path: Path, options: SourceOptions | None = None) -> list[str]:
    with open_checkpoint(path, options) as checkpoint:
        return [note for note in checkpoint.notes if "any size" in note]


ODD: dict[str, tuple[Size, tuple[Any, ...], str, tuple[int, int]]] = {
    "both sides": ((75, 75), (), "given 75 x 75 pixels, of which stem_conv takes 75 x 75", (75, 75)),
    "one side": ((64, 75), (), "given 64 x 75 pixels, of which stem_conv takes 64 x 75", (64, 75)),
    "inside": ((80, 96), (), "given 80 x 96 pixels, of which block6a_dwconv takes 5 x 6", (80, 96)),
    "the width alone": ((None, 75), (), r"given \? x 75 pixels, of which stem_conv takes \? x 75", (64, 75)),
    "made so": ((None, None), (layers.Resizing(75, 75),), "given 75 x 75 pixels", (64, 64)),
}


@FILES
@pytest.mark.parametrize("name", ODD)
def test_odd_sides_are_refused_unless_other_logits_are_accepted(name: str, suffix: str, tmp_path: Path) -> None:
    path, (size, front, said, given) = tmp_path / f"m{suffix}", ODD[name]
    model = saved(path, any_size(), size, *front)
    for options in (None, SourceOptions(recipe="advprop"), SourceOptions(arch="b0", width=0.13, depth=0.5)):
        with pytest.raises(UnknownArchitecture, match=rf"{said}.* multiples of 32 .*--accept-different-logits") as no:
            open_checkpoint(path, options)
        assert len(str(no.value)) < 800
    [note] = notes(path, ACCEPTED)
    assert note.startswith(SAID)
    assert "as you accepted; with images whose sides are multiples of 32 they are the same" in note
    with open_checkpoint(path, ACCEPTED) as checkpoint:
        spec = checkpoint.spec
    [note] = notes(path, SourceOptions(spec=spec))
    assert "accepted" not in note
    if not front:
        assert apart(path, model, given, ACCEPTED) > 100 * BOUND


@pytest.mark.parametrize("size", [(75, 75), (80, 96)])
def test_what_is_written_is_right_for_multiples_of_32(size: tuple[int, int], tmp_path: Path) -> None:
    body = any_size()
    model = saved(tmp_path / "m.keras", body, size)
    report = convert(tmp_path / "m.keras", tmp_path / "m.npz", accept_different_logits=True, sync=False)
    assert any(SAID in note for note in report.notes)
    other = around(body, (64, 96), name="other")
    other.get_layer("other").set_weights(model.get_layer("predictions").get_weights())
    assert apart(tmp_path / "m.npz", other, (64, 96)) < BOUND


@FILES
def test_even_sides_are_read_without_a_word(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"m{suffix}"
    model = saved(path, any_size(), (64, 96), layers.RandomFlip())
    assert notes(path) == notes(path, ACCEPTED) == []
    assert apart(path, model, (64, 96)) < BOUND
    with open_checkpoint(path) as checkpoint:
        assert notes(path, SourceOptions(spec=checkpoint.spec)) == []


@FILES
@pytest.mark.parametrize("front", ["nothing", "a function"])
def test_sizes_that_are_not_known_get_a_note_of_their_own(front: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"m{suffix}"
    if front == "nothing":
        model = saved(path, any_size(), (None, None))
    else:
        model = saved(path, any_size(), (75, 75), layers.Lambda(lambda x: x, output_shape=(75, 75, 3)))
    for options in (None, SourceOptions(recipe="advprop"), SourceOptions(arch="b0", width=0.13, depth=0.5)):
        [note] = notes(path, options)
        assert note.startswith(SAID)
        assert "Where a side is odd, inside it too, its logits are others" in note
    assert "accepted" not in notes(path, ACCEPTED)[0]
    with open_checkpoint(path) as checkpoint:
        [note] = notes(path, SourceOptions(spec=checkpoint.spec))
    assert note.startswith(SAID)
    assert apart(path, model, (75, 75)) > 100 * BOUND
    if front == "nothing":
        assert apart(path, model, (64, 96)) < BOUND


def test_networks_that_were_built_for_a_size_are_read_without_a_word(tmp_path: Path) -> None:
    sized = saved(tmp_path / "sized.keras", backbone(input_shape=(75, 75, 3)), (75, 75))
    image = keras.Input((None, None, 3))
    resized = backbone(input_tensor=layers.Resizing(75, 75)(image), input_shape=None, pooling="avg")
    make_lively(resized)
    resized.save(tmp_path / "resized.keras")
    assert notes(tmp_path / "sized.keras") == notes(tmp_path / "resized.keras") == []
    assert apart(tmp_path / "sized.keras", sized, (75, 75)) < BOUND


def test_v2_pads_by_itself(tmp_path: Path) -> None:
    from keras.src.applications.efficientnet_v2 import EfficientNetV2  # noqa: PLC0415 - no public name

    body = EfficientNetV2(0.13, 0.1, 64, name="efficientnetv2-s", weights=None, include_top=False)
    model = saved(tmp_path / "m.keras", body, (75, 75))
    assert notes(tmp_path / "m.keras") == []
    assert apart(tmp_path / "m.keras", model, (75, 75)) < BOUND


@pytest.mark.parametrize("padding", [Padding.SAME, Padding.SYMMETRIC])
def test_this_projects_networks_pad_by_themselves(padding: Padding, tmp_path: Path) -> None:
    """As Keras saves one inside a model, without the definition in the file."""
    import effnet_tf  # noqa: PLC0415 - TensorFlow may not be there

    spec = replace(resolve("b0", width=0.13, depth=0.5, num_classes=5), padding=padding)
    inner = keras.Model.from_config(effnet_tf.create_model(spec, lively_state(spec)).get_config())
    image = keras.Input((75, 75, 3))
    model = keras.Model(image, inner(image))
    make_lively(model)
    model.save(tmp_path / "m.keras")
    assert notes(tmp_path / "m.keras") == []
    with open_checkpoint(tmp_path / "m.keras") as checkpoint:
        assert checkpoint.spec.padding is padding
        plain = replace(checkpoint.spec.preprocessing, mean=(0.0,) * 3, scale=(1.0,) * 3)
        options = SourceOptions(spec=replace(checkpoint.spec, preprocessing=plain))
    assert apart(tmp_path / "m.keras", model, (75, 75), options) < BOUND
