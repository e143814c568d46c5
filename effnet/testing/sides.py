"""What a comparison needs of a model, whatever its framework is."""

from __future__ import annotations

import random
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from effnet.choices import Device, Layout, Precision
from effnet.errors import UnusableModel

Array = NDArray[Any]
IMAGE_AXES = 4


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a model computed, images channels last."""

    values: Mapping[str, Array]
    """What the parts that were asked for gave, in forward order."""
    outputs: Mapping[str, Array]
    """What the model gives: one array under "output", or several under "output.KEY"."""
    layout: Layout
    """How the model itself gives images."""


class Side(Protocol):
    """A model of one framework. Its methods work on copies, and leave the model and all random states as they are."""

    @property
    def title(self) -> str:
        """What messages call it."""
        ...

    def endpoints(self) -> Mapping[str, str]:
        """Endpoint -> the model's own name, where the model is an EfficientNet of this project; else empty."""
        ...

    def run(self, inputs: Array, names: Sequence[str], *, precisions: Sequence[Precision], device: Device) -> Runs:
        """The outputs for `inputs`, images channels last, and those of the parts `names`, in inference mode.

        Raises `UnusableModel` and `DeviceUnavailable`.
        """
        ...


Runs = Mapping[Precision, Recorded]


def side_of(model: Any, layout: Layout | None) -> Side:
    """The side that a Keras model or a PyTorch module is. Raises `UnusableModel` for anything else."""
    # A model's framework is loaded; Keras first, whose layers are PyTorch modules in one of its backends.
    keras, torch = sys.modules.get("keras"), sys.modules.get("torch")
    if keras is not None and isinstance(model, keras.Model):
        from effnet.testing.keras_side import KerasSide

        return KerasSide(model, layout)
    if torch is not None and isinstance(model, torch.nn.Module):
        from effnet.testing.torch_side import TorchSide

        return TorchSide(model, layout)
    from effnet.testing.elsewhere import Elsewhere, ElsewhereSide

    if isinstance(model, Elsewhere):
        return ElsewhereSide(model, layout)
    raise UnusableModel(
        f"Expected a Keras model, a PyTorch module or effnet.testing.Elsewhere, found {type(model).__name__}."
    )


def to_model(inputs: Array, layout: Layout, precision: Precision) -> Array:
    """The input as a model takes it; whole numbers stay such."""
    moved = inputs.transpose(0, 3, 1, 2) if layout is Layout.CHANNELS_FIRST and inputs.ndim == IMAGE_AXES else inputs
    return np.ascontiguousarray(moved, dtype=precision.value if inputs.dtype.kind == "f" else inputs.dtype)


def from_model(array: Array, layout: Layout) -> Array:
    """What a model gave, images channels last, False and True as 0 and 1. Raises `UnusableModel` for complex ones."""
    if array.dtype.kind == "c":
        raise UnusableModel(
            f"A model gives complex numbers ({array.dtype}); expected real ones. Wrap it so that it gives their parts."
        )
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    # (N, C, H, W) -> (N, H, W, C)
    return array.transpose(0, 2, 3, 1) if layout is Layout.CHANNELS_FIRST and array.ndim == IMAGE_AXES else array


def as_given(array: Array, layout: Layout) -> Array:
    """What `from_model` turned, as the model gave it."""
    # (N, H, W, C) -> (N, C, H, W)
    return array.transpose(0, 3, 1, 2) if layout is Layout.CHANNELS_FIRST and array.ndim == IMAGE_AXES else array


def named_outputs(value: Any) -> dict[str, Any]:
    """One tensor, or the tensors of mappings and sequences, also inside each other, by name; None counts as absent.

    Raises `UnusableModel` for outputs that hold no tensor, or anything else.
    """
    found = dict(_tensors("output", value))
    if not found:
        raise UnusableModel("A model gives no output; expected one tensor, or several in a dictionary or a list.")
    return {"output": next(iter(found.values()))} if len(found) == 1 else found


def _tensors(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if value is None:
        return
    untyped: Any = value
    if isinstance(value, Mapping):
        parts: list[tuple[Any, Any]] = list(untyped.items())
    elif isinstance(untyped, list | tuple):
        parts = list(enumerate(cast("Sequence[Any]", untyped)))
    elif hasattr(value, "shape") and len(value.shape) > 0:
        yield name, value
        return
    else:
        raise UnusableModel(
            f"{name} of a model is {type(value).__name__}; expected tensors with the batch first, in dictionaries and "
            "lists. Wrap the model so that it gives what is to be compared."
        )
    for key, item in parts:
        yield from _tensors(f"{name}.{key}", item)


def whole_numbers(inputs: Array) -> str:
    """What else may be wrong where a model does not take its input; empty for input that is no whole numbers."""
    if inputs.dtype.kind == "f":
        return ""
    return (
        f" The input holds whole numbers ({inputs.dtype}), which reach the model as such, for embeddings; where it "
        "expects others, give inputs.astype('float32')."
    )


def check_called(names: Sequence[str], calls: Mapping[str, int], title: str) -> None:
    """Raise `UnusableModel` unless each of the parts ran exactly once."""
    wrong = [f"{name} ({calls.get(name, 0)} times)" for name in names if calls.get(name, 0) != 1]
    if wrong:
        raise UnusableModel(
            f"In {title}, expected each named part to run once and to give one tensor, found {', '.join(wrong)}. Name "
            "the part that holds it, or one beside it."
        )


@contextmanager
def same_random_numbers() -> Generator[None]:
    """Python's and NumPy's random numbers go on afterwards as if nothing had happened: new layers draw seeds."""
    before, numpy_before = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(numpy_before)


def first_line(error: Exception) -> str:
    """What an error of a framework says, without the pages that follow."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
