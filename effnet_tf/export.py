"""The network as files that TensorFlow's runtimes load: a SavedModel with signatures, and LiteRT's flat buffer.

Tensors are (N, H, W, C), in and out. Source of the layout of a SavedModel: tensorflow/python/saved_model/README.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet_core import CondMBConv, InvalidOption, NetworkSpec
from effnet_tf._keras import Tensor
from effnet_tf._tensorflow import tf
from effnet_tf.model import create_model
from effnet_tf.preprocessing import prepare_bytes
from effnet_tf.weights import named_variables

State = Mapping[str, NDArray[Any]]
IMAGES, BYTES = "images", "image_bytes"
"""Names of the signatures' inputs."""


class Quantization(StrEnum):
    """How a LiteRT model stores its numbers."""

    NONE = "none"
    """float32."""
    FLOAT16 = "float16"
    """Weights in half precision, arithmetic in float32 (or half, where a delegate offers it)."""
    INT8 = "int8"
    """Weights and activations in 8 bits, scaled by what calibration images give; input and output stay float32."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the signature `classify_bytes` says about a picture."""

    labels: Sequence[str]
    """A name for each class, in the order of the logits."""
    top: int
    """How many of the most probable classes are given."""


def write_saved_model(
    spec: NetworkSpec, state: State, folder: Path, *, answers: Answers | None, assets: Iterable[Path] = ()
) -> None:
    """Write the network into `folder`, which must not exist, with one copy of its graph and these signatures.

    `serving_default`: `images` float32 (N, H, W, C), normalised, any height and width, to `logits` and `probabilities`
    (N, classes); of a network without classifier to `features`. `features`: the same to `features` (N, channels).
    `classify_bytes`, with `answers`: `image_bytes` string (N,), whole files, to `classes` string, `probabilities`
    float32 and `indices` int32, each (N, top), the most probable first. The variables have the canonical names below
    `weights`; `assets` are files that travel along.

    Raises `InvalidOption` for answers that do not fit the network, `CheckpointMismatch` for such weights.
    """
    classifier = spec.classifier
    ends = ["features"] if classifier is None else ["features", "logits"]
    model: Any = create_model(spec, state, endpoints=_endpoints(spec))
    module: Any = tf.Module()
    # What functions use is saved only where the module holds it.
    module.weights = _values_of(model, spec)
    module.assets = [tf.saved_model.Asset(str(path)) for path in assets]
    images = tf.TensorSpec((None, None, None, spec.stem.in_channels), tf.float32, name=IMAGES)

    @tf.function(input_signature=[images])
    def forward(images: Tensor) -> dict[str, Tensor]:
        found = model(images, training=False)
        return dict(zip(ends, (found[name] for name in _endpoints(spec)), strict=True))

    signatures: dict[str, Callable[..., Any]] = {"features": _features(forward, images)}
    if classifier is None:
        signatures["serving_default"] = signatures["features"]
    else:
        signatures["serving_default"] = _classify(forward, images)
    if answers is not None:
        signatures["classify_bytes"] = _classify_bytes(forward, spec, _checked(answers, spec))
    tf.saved_model.save(module, str(folder), signatures=signatures)


def _endpoints(spec: NetworkSpec) -> list[str]:
    features = "pooled" if spec.head is not None else f"blocks.{len(spec.blocks) - 1}"
    return [features] if spec.classifier is None else [features, "logits"]


def _values_of(model: Any, spec: NetworkSpec) -> dict[str, Any]:
    """TensorFlow's variables by canonical name: Keras' own objects hold one each."""
    variables: Mapping[str, Any] = dict(named_variables(model, spec))
    return {name: variable.value for name, variable in variables.items()}


def _checked(answers: Answers, spec: NetworkSpec) -> Answers:
    classifier = spec.classifier
    if classifier is None or spec.stem.in_channels != 3:
        what = "has no classifier" if classifier is None else f"takes {spec.stem.in_channels} channels"
        raise InvalidOption(f"Answers about image files need a classifier of RGB images; this network {what}.")
    if len(answers.labels) != classifier.num_classes or not 1 <= answers.top <= classifier.num_classes:
        raise InvalidOption(
            f"Expected {classifier.num_classes} labels, one for each class, and 1 to {classifier.num_classes} answers; "
            f"found {len(answers.labels)} and {answers.top}."
        )
    return answers


def _features(forward: Any, images: Any) -> Any:
    @tf.function(input_signature=[images])
    def features(images: Tensor) -> dict[str, Tensor]:
        return {"features": forward(images)["features"]}

    return features


def _classify(forward: Any, images: Any) -> Any:
    @tf.function(input_signature=[images])
    def serving_default(images: Tensor) -> dict[str, Tensor]:
        logits = forward(images)["logits"]
        return {"logits": logits, "probabilities": tf.nn.softmax(logits)}

    return serving_default


def _classify_bytes(forward: Any, spec: NetworkSpec, answers: Answers) -> Any:
    rule, side = spec.preprocessing, spec.preprocessing.resolution
    names = tf.constant(list(answers.labels))

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name=BYTES)])
    def classify_bytes(image_bytes: Tensor) -> dict[str, Tensor]:
        def prepared(contents: Tensor) -> Tensor:
            return prepare_bytes(contents, rule)

        # Images differ in size, so each is prepared on its own.
        images = tf.map_fn(prepared, image_bytes, fn_output_signature=tf.TensorSpec((side, side, 3), tf.float32))
        probabilities, indices = tf.math.top_k(tf.nn.softmax(forward(images)["logits"]), k=answers.top)
        return {"classes": tf.gather(names, indices), "probabilities": probabilities, "indices": indices}

    return classify_bytes


def lite_model(
    spec: NetworkSpec,
    state: State,
    *,
    size: tuple[int, int],
    quantization: Quantization = Quantization.NONE,
    calibration: Iterable[NDArray[np.float32]] = (),
) -> bytes:
    """The network as a LiteRT (TensorFlow Lite) flat buffer for images of `size` (height, width) in pixels.

    The input `images` is float32 (N, height, width, C), N to be set by the interpreter; the output is `logits`
    (N, classes), or `features`. `calibration` yields normalised batches, which `Quantization.INT8` needs.

    Raises `InvalidOption` for a quantisation without calibration images, and for networks with conditional
    convolutions, whose depthwise kernels are computed: LiteRT has no such operation.
    """
    batches = list(calibration)
    if any(isinstance(block, CondMBConv) for block in spec.blocks):
        raise InvalidOption(
            f"LiteRT has no depthwise convolution with computed kernels, which {spec.name} needs; expected a network "
            "without conditional convolutions. Export it as savedmodel, onnx or torch-export."
        )
    if quantization is Quantization.INT8 and not batches:
        raise InvalidOption("8-bit activations are scaled by what real images give; expected calibration images.")
    model: Any = create_model(spec, state, endpoints=_endpoints(spec)[-1:], input_size=size)
    name = "features" if spec.classifier is None else "logits"
    images = tf.TensorSpec((None, *size, spec.stem.in_channels), tf.float32, name=IMAGES)

    @tf.function(input_signature=[images])
    def forward(images: Tensor) -> dict[str, Tensor]:
        return {name: next(iter(model(images, training=False).values()))}

    module: Any = tf.Module()
    module.weights, module.forward = _values_of(model, spec), forward  # variables that it does not hold would be NaN
    converter = tf.lite.TFLiteConverter.from_concrete_functions([forward.get_concrete_function()], module)
    match quantization:
        case Quantization.NONE:
            pass
        case Quantization.FLOAT16:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        case Quantization.INT8:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([batch[None]] for images in batches for batch in images)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return converter.convert()
