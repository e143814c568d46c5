"""The border to Keras, which has no type information: what lies behind it is `Any`, what leaves it has a type."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import keras as _keras  # pyright: ignore[reportMissingTypeStubs]  # Keras has no py.typed marker
from numpy.typing import NDArray

keras: Any = _keras
Model = _keras.Model


_DEPTH = 10_000
"""Calls inside each other; the longest published network has a path of some 1200 layers."""


class Tensor(Protocol):
    """A symbolic value in a functional model, (N, H, W, C) or (N, C); None stands for any size."""

    shape: tuple[int | None, ...]


class Variable(Protocol):
    """A tensor of numbers that a layer holds."""

    shape: tuple[int, ...]
    dtype: str
    path: str
    trainable: bool

    def assign(self, value: object) -> object:
        """Replace the numbers, converted to the variable's type."""
        ...

    def numpy(self) -> NDArray[Any]:
        """The numbers, possibly the variable's own memory."""
        ...


class Layer(Protocol):
    """A layer of a model; its variables are attributes such as `kernel` and `moving_mean`."""

    name: str
    weights: Sequence[Variable]


def layers_of(model: Model) -> Sequence[Layer]:
    """The layers of a model in forward order."""
    untyped: Any = model
    return untyped.layers


def layer_name(path: str) -> str:
    """The name of the Keras layer at a canonical path: the path itself.

    Where Keras runs on PyTorch, a layer is a module of PyTorch too, which allows no dots in names: dashes there.
    """
    return path.replace(".", "-") if keras.backend.backend() == "torch" else path


def path_of(layer: Layer) -> str:
    """The canonical path of a layer, whichever backend of Keras named it; canonical names have no dashes."""
    return layer.name.replace("-", ".")


if TYPE_CHECKING:

    class BaseLayer:
        """What a layer of our own inherits from Keras."""

        def __init__(self, *, name: str | None, dtype: Any, trainable: bool) -> None: ...

        def __call__(self, *inputs: Tensor) -> Tensor: ...

        def add_weight(self, *, shape: tuple[int, ...], initializer: Any, name: str) -> Any: ...

        def get_config(self) -> dict[str, Any]: ...

    class BaseOptimizer:
        """What an optimiser of our own inherits from Keras."""

        iterations: Any
        built: bool

        def __init__(self, learning_rate: Any, *, name: str | None) -> None: ...

        def build(self, variables: list[Any]) -> None: ...

        def add_optimizer_variables(
            self, trainable_variables: list[Any], name: str, initializer: str = "zeros"
        ) -> list[Any]: ...

        def assign(self, variable: Any, value: Any) -> None: ...

        def assign_sub(self, variable: Any, value: Any) -> None: ...

        def apply(self, grads: list[Any], trainable_variables: list[Any]) -> None: ...

        def get_config(self) -> dict[str, Any]: ...

        def index_of(self, variable: Any) -> int: ...

    class BaseSchedule:
        """What a schedule of the learning rate of our own inherits from Keras."""

else:
    BaseLayer = _keras.layers.Layer

    class BaseOptimizer(_keras.optimizers.Optimizer):
        """What an optimiser of our own inherits, with a public name for what Keras offers its subclasses."""

        def index_of(self, variable):
            """The place of a variable among those that the optimiser was built for."""
            return self._get_variable_index(variable)

    BaseSchedule = _keras.optimizers.schedules.LearningRateSchedule


@contextmanager
def deep_graphs() -> Generator[None]:
    """Let Keras follow a graph of thousands of layers while this is open.

    It goes from the outputs to the inputs with one call inside another for each layer (keras/src/ops/function.py,
    map_graph), more than Python allows for EfficientNetV2-XL and L2.
    """
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _DEPTH))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
