"""Networks of keras.applications whose configuration changes what their layers compute: read so, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
keras = pytest.importorskip("keras", reason="Keras is not installed")

from keras.src.applications.efficientnet import DEFAULT_BLOCKS_ARGS  # no public name

import effnet
from converters import SourceOptions, UnknownArchitecture, UnsupportedFile, convert, open_checkpoint
from converters.dialects import DIALECTS
from converters.dialects.dialect import PixelRange
from converters.meaning import normalised_by, understood
from effnet_core import Activation, NetworkSpec, Padding, Pooling, resolve
from tests.foreign.narrow_keras import BOUND, PIXELS, SIZE, backbone, distance, make_lively
from tests.lively import lively_state

FILES = pytest.mark.parametrize("suffix", [".keras", ".h5"])
USUAL = resolve("b0", width=0.13, depth=0.5, num_classes=5)
USUAL = replace(
    understood(USUAL, DIALECTS["keras-applications"]),
    preprocessing=normalised_by(USUAL.preprocessing, PixelRange(mean=(0.0,) * 3, scale=(255.0,) * 3)),
)
IN_SPITE = SourceOptions(spec=USUAL)


def saved(model: Any, path: Path) -> np.ndarray:
    """Writes a lively model, and gives its outputs."""
    make_lively(model)
    model.save(path)
    return model(PIXELS).numpy()


def edited(change: Callable[[dict[str, Any]], object], **options: Any) -> Any:
    """The network with a classifier, its layers' configurations changed."""
    model = backbone(include_top=True, classes=5, classifier_activation=None, **options)
    config = model.get_config()
    for layer in config["layers"]:
        change(layer["config"])
    return keras.Model.from_config(config)


def settings(**layers: dict[str, Any]) -> Callable[[dict[str, Any]], object]:
    """Changes the settings of the layers of these names."""
    return lambda config: config.update(layers.get(config["name"], {}))


def with_activation(spec: NetworkSpec, activation: Activation) -> NetworkSpec:
    assert spec.head is not None
    return replace(
        spec,
        stem=replace(spec.stem, activation=activation),
        blocks=tuple(replace(block, activation=activation) for block in spec.blocks),
        head=replace(spec.head, activation=activation),
    )


@FILES
def test_another_activation_is_refused_and_read_with_its_definition(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"relu{suffix}"
    logits = saved(edited(lambda config: None, activation="relu"), path)
    with pytest.raises(UnknownArchitecture, match=r"the activation relu behind stem_bn, .* --spec") as refusal:
        open_checkpoint(path)
    assert len(str(refusal.value)) < 800
    assert distance(path, logits, "torch", IN_SPITE) > 0.05  # the names and shapes are those of the usual network
    spec = with_activation(USUAL, Activation.RELU)
    assert distance(path, logits, "torch", SourceOptions(spec=spec)) < BOUND


NAMED = (
    SourceOptions(arch="b0", width=0.13, depth=0.5),
    SourceOptions(dialect="keras-applications"),
    SourceOptions(arch="b0", dialect="keras-applications", width=0.13, depth=0.5),
)


@pytest.mark.parametrize(
    ("suffix", "changes", "said"),
    [
        (".keras", {"stem_activation": {"activation": "relu"}}, "the activation relu behind stem_bn"),
        (".h5", {"stem_conv_pad": {"padding": 1}}, "another padding than same in stem_conv"),
    ],
)
def test_naming_the_network_or_its_names_changes_nothing(
    suffix: str, changes: dict[str, dict[str, Any]], said: str, tmp_path: Path
) -> None:
    path, usual = tmp_path / f"changed{suffix}", tmp_path / f"usual{suffix}"
    saved(edited(settings(**changes)), path)
    saved(edited(lambda config: None), usual)
    for options in NAMED:
        with pytest.raises(UnknownArchitecture, match=rf"{said}.* It is read as --.* leave that away"):
            open_checkpoint(path, options)
        with open_checkpoint(usual) as free, open_checkpoint(usual, options) as checkpoint:
            assert checkpoint.spec == replace(free.spec, width=checkpoint.spec.width, depth=checkpoint.spec.depth)


@FILES
def test_what_a_configuration_says_is_read_whoever_names_the_network(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"changed{suffix}"
    model = edited(settings(block4a_dwconv={"strides": 1, "padding": "same"}, block4a_dwconv_pad={"padding": 0}))
    image = keras.Input((SIZE, SIZE, 3))
    logits = saved(keras.Model(image, model(keras.layers.Rescaling(0.5, offset=3.0)(image))), path)
    for options in NAMED:
        assert distance(path, logits, "torch", options) < BOUND


@pytest.mark.parametrize(
    ("layers", "activation"),
    [("stem_activation", "gelu"), ("block2a_se_reduce", "relu"), ("block2a_se_expand", "hard_sigmoid")],
)
def test_another_activation_of_one_layer_is_refused(layers: str, activation: str, tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        if config["name"] == layers:
            config["activation"] = activation

    saved(edited(change), tmp_path / "changed.keras")
    with pytest.raises(UnknownArchitecture, match=f"the activation {activation} behind"):
        open_checkpoint(tmp_path / "changed.keras")


def test_other_names_of_the_same_activation_are_read(tmp_path: Path) -> None:
    for activation in ("silu", keras.activations.silu):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.keras"
        logits = saved(backbone(include_top=True, classes=5, classifier_activation=None, activation=activation), path)
        assert distance(path, logits, "torch") < BOUND


@FILES
def test_the_epsilon_is_that_of_the_configuration(suffix: str, tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        if "epsilon" in config:
            config["epsilon"] = 0.05

    path, target = tmp_path / f"epsilon{suffix}", tmp_path / "a.safetensors"
    logits = saved(edited(change), path)
    report = convert(path, target, sync=False)
    assert any("norms with epsilon 0.05, and so the network is taken" in note for note in report.notes)
    assert report.spec.norm is not None
    assert distance(target, logits, "torch") < BOUND
    usual = replace(report.spec, norm=replace(report.spec.norm, epsilon=1e-3))
    assert distance(target, logits, "torch", SourceOptions(spec=usual)) > 1e-3


def test_several_epsilons_are_refused(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        if config["name"] == "block3a_bn":
            config["epsilon"] = 0.01

    saved(edited(change), tmp_path / "two.keras")
    with pytest.raises(UnknownArchitecture, match=r"epsilons 0\.001 in stem_bn, 0\.01 in block3a_bn"):
        open_checkpoint(tmp_path / "two.keras")


def test_an_epsilon_that_is_none_is_refused(tmp_path: Path) -> None:
    """As somebody may have written it by hand: the configuration in the file is not Keras' own any more."""
    path = tmp_path / "wrong.h5"
    saved(edited(lambda config: None), path)
    open_checkpoint(path).reader.close()
    for epsilon in ("x", -1, None, 1e400):
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            for layer in config["config"]["layers"]:
                if layer["config"]["name"] == "stem_bn":
                    layer["config"]["epsilon"] = epsilon
            file.attrs["model_config"] = json.dumps(config)
        with pytest.raises(UnknownArchitecture, match="epsilons 0 in stem_bn"):
            open_checkpoint(path)


@FILES
@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_features_that_the_model_pools_otherwise_are_named(pooling: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"features{suffix}"
    features = saved(backbone(pooling=pooling), path)
    with open_checkpoint(path) as checkpoint:
        said = [note for note in checkpoint.notes if "takes their maximum over the image: ask for it" in note]
    assert len(said) == (pooling == "max")
    for backend in ("torch", "tf"):
        assert distance(path, features, backend, pooling={"max": Pooling.MAX, "avg": Pooling.AVERAGE}[pooling]) < BOUND
        assert (distance(path, features, backend) < BOUND) is (pooling == "avg")


@FILES
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stem_conv": {"strides": 1}, "stem_conv_pad": {"padding": 1}}, "1 in stem_conv"),
        ({"stem_conv": {"strides": [1, 1], "padding": "same"}, "stem_conv_pad": {"padding": 0}}, "1 in stem_conv"),
        (
            {
                "block4a_dwconv": {"strides": [1, 1]},
                "block4a_dwconv_pad": {"padding": [[1, 1], [1, 1]]},
                "block6a_dwconv": {"strides": [1, 1]},
                "block6a_dwconv_pad": {"padding": [[2, 2], [2, 2]]},
            },
            "1 in block4a_dwconv, 1 in block6a_dwconv",
        ),
    ],
)
def test_strides_are_those_of_the_configuration(
    changes: dict[str, dict[str, Any]], said: str, suffix: str, tmp_path: Path
) -> None:
    path, target = tmp_path / f"strides{suffix}", tmp_path / "a.safetensors"
    logits = saved(edited(settings(**changes)), path)
    report = convert(path, target, sync=False)
    assert f"The model's configuration has the stride {said}, and so the network is taken." in report.notes
    for backend in ("torch", "tf"):
        assert distance(target, logits, backend) < BOUND
    usual = resolve("b0", width=0.13, depth=0.5)
    blocks = [replace(block, stride=one.stride) for block, one in zip(report.spec.blocks, usual.blocks, strict=True)]
    control = replace(report.spec, stem=replace(report.spec.stem, stride=2), blocks=tuple(blocks))
    assert distance(target, logits, "torch", SourceOptions(spec=control)) > 1e-3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stem_conv": {"strides": [1, 1]}}, "another padding than same in stem_conv"),
        ({"stem_conv": {"strides": [1, 2]}, "stem_conv_pad": {"padding": 1}}, r"the stride \[1, 2\] in stem_conv"),
        ({"stem_conv": {"strides": 3}}, r"the stride (3|\[3, 3\]) in stem_conv"),
        ({"block6a_dwconv_pad": {"padding": [[2, 1], [2, 1]]}}, "another padding than same in block6a_dwconv"),
        ({"block7a_dwconv": {"dilation_rate": [2, 2]}}, r"the dilation \[2, 2\] in block7a_dwconv"),
        ({"top_conv": {"strides": [2, 2]}}, r"the stride \[2, 2\] in top_conv"),
    ],
)
def test_strides_and_paddings_that_no_definition_has_are_refused(
    changes: dict[str, dict[str, Any]], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "changed.keras"
    logits = saved(edited(settings(**changes)), path)
    with pytest.raises(UnknownArchitecture, match=f"the model's configuration has {said}") as refusal:
        open_checkpoint(path)
    assert len(str(refusal.value)) < 800
    assert distance(path, logits, "torch", IN_SPITE) > 1e-3


@FILES
def test_a_network_without_residuals_is_refused_and_read_with_its_definition(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"plain{suffix}"
    blocks = [block | {"id_skip": False} for block in DEFAULT_BLOCKS_ARGS]
    logits = saved(edited(lambda config: None, blocks_args=blocks), path)
    with pytest.raises(UnknownArchitecture, match="has 0 layers Add where it has 5, one for each residual"):
        open_checkpoint(path)
    assert distance(path, logits, "torch", IN_SPITE) > 0.05
    spec = replace(USUAL, blocks=tuple(replace(block, has_residual=False) for block in USUAL.blocks))
    assert distance(path, logits, "torch", SourceOptions(spec=spec)) < BOUND


@pytest.mark.parametrize(
    ("layer", "kind", "said"),
    [
        ("block5b_add", "Maximum", "Maximum block5b_add inside; 4 layers Add where it has 5"),
        ("block2a_se_excite", "Add", "6 layers Add where it has 5, .* 9 layers Multiply where it has 10"),
        ("block2a_se_squeeze", "GlobalMaxPooling2D", "GlobalMaxPooling2D block2a_se_squeeze inside"),
        ("block2a_activation", "Identity", "the activation linear behind block2a_bn"),
    ],
)
def test_another_layer_in_the_place_of_one_is_refused(layer: str, kind: str, said: str, tmp_path: Path) -> None:
    config = backbone(include_top=True, classes=5, classifier_activation=None).get_config()
    for entry in config["layers"]:
        if entry["config"]["name"] == layer:
            entry["class_name"] = kind
            entry["config"].pop("activation", None)
    path = tmp_path / "changed.keras"
    logits = saved(keras.Model.from_config(config), path)
    with pytest.raises(UnknownArchitecture, match=f"the model's configuration has {said}"):
        open_checkpoint(path)
    assert distance(path, logits, "torch", IN_SPITE) > 1e-3


class FixedDropout(keras.layers.Dropout):
    """The class with which the package `efficientnet` drops residual branches."""


def with_fixed_dropout(**kinds: str) -> Any:
    """The network with that class, and with other classes for the layers of these names."""
    config = backbone(include_top=True, classes=5, classifier_activation=None).get_config()
    for entry in config["layers"]:
        if entry["class_name"] == "Dropout" and entry["config"]["name"] != "top_dropout":
            entry |= {"class_name": "FixedDropout", "registered_name": "FixedDropout", "module": None}
        entry["class_name"] = kinds.get(entry["config"]["name"], entry["class_name"])
    with keras.saving.custom_object_scope({"FixedDropout": FixedDropout}):
        model = keras.Model.from_config(config)
    assert sum(isinstance(layer, FixedDropout) for layer in model.layers) == 4
    return model


@FILES
def test_a_dropout_of_a_class_of_its_own_hides_nothing(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"fixed{suffix}"
    logits = saved(with_fixed_dropout(), path)
    with open_checkpoint(path) as checkpoint:
        assert not any("FixedDropout" in note for note in checkpoint.notes)
    assert distance(path, logits, "torch") < BOUND
    saved(with_fixed_dropout(block2a_se_excite="Add"), tmp_path / f"sum{suffix}")
    with pytest.raises(UnknownArchitecture, match=r"6 layers Add where it has 5, .* 9 layers Multiply where it has 10"):
        open_checkpoint(tmp_path / f"sum{suffix}")


@pytest.mark.parametrize("name", ["block2a_expand_conv", "block2a_dwconv", "top_conv"])
def test_an_activation_inside_a_convolution_is_refused(name: str, tmp_path: Path) -> None:
    saved(edited(settings(**{name: {"activation": "tanh"}})), tmp_path / "inside.keras")
    with pytest.raises(UnknownArchitecture, match=f"the activation tanh behind {name}"):
        open_checkpoint(tmp_path / "inside.keras")


@keras.saving.register_keras_serializable("mine")
def own_function(x: Any) -> Any:
    return x * keras.ops.sigmoid(x)


def test_a_function_that_only_its_author_knows_is_named(tmp_path: Path) -> None:
    path = tmp_path / "own.keras"
    features = saved(backbone(activation=own_function, pooling="avg"), path)
    with open_checkpoint(path) as checkpoint:
        [note] = [note for note in checkpoint.notes if "is not known here" in note]
    assert "'mine>own_function' behind stem_bn" in note
    assert note.endswith("taken for swish.")
    assert distance(path, features, "torch") < BOUND  # it is swish


@pytest.mark.parametrize("layer", [keras.layers.Resizing(SIZE, SIZE), keras.layers.CenterCrop(SIZE, SIZE)])
def test_layers_that_change_the_size_of_images_are_named(layer: Any, tmp_path: Path) -> None:
    image = keras.Input((None, None, 3))
    saved(keras.Model(image, backbone(pooling="avg")(layer(image))), tmp_path / "front.keras")
    with open_checkpoint(tmp_path / "front.keras") as checkpoint:
        said = [note for note in checkpoint.notes if "changes the size of images" in note]
    assert len(said) == 1
    assert f"({type(layer).__name__} {layer.name})" in said[0]


@pytest.mark.parametrize("size", [65, 75, 97])
def test_paddings_are_those_of_the_size_that_keras_knows(size: int, tmp_path: Path) -> None:
    """keras.applications put zeros by the size of the tensor that reaches the first convolution."""
    image = keras.Input((None, None, 3))
    front = keras.layers.Resizing(size, size)(image)
    model = backbone(input_tensor=front, input_shape=None, pooling="avg")
    make_lively(model)
    model.save(tmp_path / "sized.keras")
    open_checkpoint(tmp_path / "sized.keras").reader.close()
    # Control: the same zeros at another size, as after keras.models.clone_model.
    config = model.get_config()
    for layer in config["layers"]:
        if layer["class_name"] == "Resizing":
            layer["config"] |= {"height": 2 * size, "width": 2 * size}
    other = keras.Model.from_config(config)
    other.save(tmp_path / "other.keras")
    with pytest.raises(UnknownArchitecture, match="another padding than same in stem_conv"):
        open_checkpoint(tmp_path / "other.keras")


def test_symmetric_padding_of_this_projects_networks_is_read(tmp_path: Path) -> None:
    """As Keras saves a model again, without the definition in the file."""
    import effnet_tf  # noqa: PLC0415 - TensorFlow may not be there

    spec = replace(resolve("b0", width=0.13, depth=0.5, num_classes=5), padding=Padding.SYMMETRIC)
    path = tmp_path / "again.keras"
    logits = saved(keras.Model.from_config(effnet_tf.create_model(spec, lively_state(spec)).get_config()), path)
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.spec.padding is Padding.SYMMETRIC
        assert any("pad symmetrically, and so the network is taken" in note for note in checkpoint.notes)
        assert checkpoint.spec.preprocessing is not None
    model = effnet.load_model(path, backend="torch")
    x = torch.from_numpy(PIXELS.transpose(0, 3, 1, 2).copy())
    found = model(x).detach().numpy()
    assert np.abs(found - logits).max() <= BOUND * np.abs(logits).max()


def test_low_rank_updates_beside_kernels_are_refused(tmp_path: Path) -> None:
    model = backbone(include_top=True, classes=5, classifier_activation=None)
    model.get_layer("predictions").enable_lora(2)
    saved(model, tmp_path / "lora.h5")
    with pytest.raises(UnsupportedFile, match=r"holds low-rank updates \(LoRA\) beside kernels"):
        open_checkpoint(tmp_path / "lora.h5")
    logits = saved(model, tmp_path / "lora.keras")
    assert distance(tmp_path / "lora.keras", logits, "torch") < BOUND
