"""From a path to a network with its weights, and to a model of either framework."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from converters import Adaptation, Checkpoint, SourceOptions, adapt, left_out, open_checkpoint
from converters.changes.adaptation import NOTHING
from effnet.backends import Network
from effnet.choices import Backend
from effnet.formats import KERAS
from effnet.frameworks import import_frameworks, is_installed
from effnet.sources import Source, find_source
from effnet_core import InvalidOption, Pooling

HOME = {
    "tensor-bundle": Backend.TF,
    KERAS: Backend.TF,
    "keras-h5": Backend.TF,
    "keras-weights": Backend.TF,
    "pth": Backend.TORCH,
}
"""The framework that files of a format belong to; the others belong to none."""


def load_network(
    path: str | Path, *, options: SourceOptions | None = None, adaptation: Adaptation = NOTHING
) -> Network:
    """The definition and the canonical state of a checkpoint in any format; `official:NAME` is fetched first.

    `adaptation` changes the network: `converters.Adaptation(num_classes=10)` gives it a fresh classifier.

    Raises what `converters.open_checkpoint`, `converters.adapt` and `effnet.fetch` raise.
    """
    return read_source(find_source(path, options), adaptation)


def read_source(source: Source, adaptation: Adaptation = NOTHING) -> Network:
    """The same for a source that is on this machine."""
    with open_source(source) as opened:
        checkpoint = adapt(opened, adaptation)
        return Network(
            spec=checkpoint.spec,
            state=checkpoint.state(),
            name=source.name,
            format=checkpoint.format,
            notes=(*source.notes, *checkpoint.notes),
            left_out=left_out(checkpoint.ignored),
            source=source if adaptation == NOTHING else None,
        )


def open_source(source: Source) -> Checkpoint:
    """The same, open, so that its tensors are read one at a time."""
    return open_checkpoint(source.path, source.options)


def load_model(
    path: str | Path,
    *,
    backend: Backend | str,
    options: SourceOptions | None = None,
    adaptation: Adaptation = NOTHING,
    dtype: str = "float32",
    include_top: bool = True,
    pooling: Pooling | None = None,
    endpoints: Sequence[str] | None = None,
    device: str | None = None,
) -> Any:
    """A Keras model (`backend="tf"`), a PyTorch module in evaluation mode (`"torch"`) or an ONNX model (`"onnx"`, a
    `ModelProto` that takes images (N, H, W, C)) with a checkpoint's weights.

    This is how a model is made from a path or from `official:NAME`: `create_model` of `effnet_tf`, `effnet_torch` and
    `effnet_onnx` takes weights that are in memory. `adaptation` is as in `load_network`. `dtype`, `include_top`,
    `pooling` and `endpoints` are those of `create_model` of every backend; `device` is PyTorch's ("cpu" unless given),
    Keras places its models itself. Raises `InvalidOption`, and what `load_network` and `create_model` raise.
    """
    chosen = Backend(backend)
    if device is not None and chosen is Backend.TF:
        raise InvalidOption(
            f"The device {device!r} is given, and Keras places its models itself; expected none for 'tf'. Leave it "
            "out, or call within tf.device(...)."
        )
    if device is not None and chosen is Backend.ONNX:
        raise InvalidOption(
            f"The device {device!r} is given, and an ONNX model has none; expected none for 'onnx'. Leave it out, and "
            "say to the runtime that opens the model where it is to run (providers)."
        )
    import_frameworks([chosen])
    network = load_network(path, options=options, adaptation=adaptation)
    shared: dict[str, Any] = {"dtype": dtype, "include_top": include_top, "pooling": pooling, "endpoints": endpoints}
    match chosen:
        case Backend.TF:
            from effnet_tf import create_model as create_keras_model

            return create_keras_model(network.spec, network.state, **shared)
        case Backend.TORCH:
            from effnet_torch import create_model as create_torch_model

            return create_torch_model(network.spec, network.state, device=device or "cpu", **shared).eval()
        case Backend.ONNX:
            from effnet_onnx import create_model as create_onnx_model

            return create_onnx_model(network.spec, network.state, **shared)


def usual_backend(network: Network) -> Backend:
    """The framework that the file belongs to, else the one that is installed, PyTorch first: it starts faster.

    ONNX Runtime where it is installed and no framework is.
    """
    if not any(map(is_installed, (Backend.TF, Backend.TORCH))) and is_installed(Backend.ONNX):
        return Backend.ONNX
    if network.format in HOME:
        return HOME[network.format]
    return Backend.TORCH if find_spec("torch") is not None else Backend.TF
