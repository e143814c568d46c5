"""Masks that are given, in place of a network's own random ones: dropout and drop-connect that others can repeat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet_core import InvalidOption, MaskSite
from effnet_tf._keras import BaseLayer, Model, Variable, deep_graphs, keras


class _Factors:
    """Holds the variable out of Keras' sight: it is neither a weight of the model nor saved with it."""

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        self.variable: Variable = keras.Variable(np.ones(shape), dtype=dtype, trainable=False)


class GivenMask(BaseLayer):
    """Drops what the mask says, in training."""

    def __init__(self, site: MaskSite, *, dtype: Any) -> None:
        super().__init__(name=site.name, dtype=dtype, trainable=True)
        self.site = site
        self._factors = _Factors(site.shape, keras.dtype_policies.get(dtype).compute_dtype)

    def give(self, mask: NDArray[Any]) -> None:
        """Take the mask of the next step, channels last: 1 where a value stays, 0 where it goes.

        Raises `InvalidOption` for one of another shape.
        """
        if mask.shape != self.site.shape:
            raise InvalidOption(
                f"{self.site.name} needs a mask of shape {self.site.shape}; found one of shape {mask.shape}."
            )
        self._factors.variable.assign(mask / (1 - self.site.rate))

    def call(self, x: Any, training: bool = False) -> Any:
        """(N, H, W, C) or (N, C) -> the same shape; what stays is divided by 1 - rate. In evaluation the same."""
        return x * self._factors.variable if training else x

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The same shape."""
        return shape


class Masks:
    """A network whose random layers have been exchanged for layers that take masks.

    `model` is the exchanged network, for images of that one shape. It shares all its other layers, and so its weights,
    with the one that was given.
    """

    def __init__(self, model: Model, *, input_shape: tuple[int, int, int, int]) -> None:
        """`input_shape` is that of the images that the network will get, channels last.

        Rates and shapes are read from the layers that are exchanged, not from the definition, so that a network with
        other layers than it should have shows here. Layers that drop nothing stay.
        """
        self._layers: dict[str, GivenMask] = {}

        def called(layer: Any, *args: Any, **kwargs: Any) -> Any:
            if not _drops(layer):
                return layer(*args, **kwargs)
            shape = _mask_shape(layer, tuple(args[0].shape))
            site = MaskSite(name=layer.name, rate=layer.rate, shape=shape)
            self._layers[site.name] = GivenMask(site, dtype=layer.dtype_policy)
            return self._layers[site.name](*args)

        untyped: Any = model
        image = keras.Input(batch_shape=input_shape, dtype=untyped.inputs[0].dtype, name="image")
        with deep_graphs():
            self.model: Model = keras.models.clone_model(
                model, input_tensors=image, clone_function=_same, call_function=called
            )

    @property
    def sites(self) -> tuple[MaskSite, ...]:
        """Where the network drops, in the order of its layers."""
        return tuple(layer.site for layer in self._layers.values())

    def give(self, masks: Mapping[str, NDArray[Any]]) -> None:
        """Take the masks of the next step, by name. Raises `InvalidOption` for a missing or an unknown one."""
        if set(masks) != set(self._layers):
            raise InvalidOption(f"Expected masks for {sorted(self._layers)}, found them for {sorted(masks)}.")
        for name, layer in self._layers.items():
            layer.give(masks[name])


def _same(layer: Any) -> Any:
    return layer


def _drops(layer: Any) -> bool:
    kinds = tuple(getattr(keras.layers, name) for name in ("Dropout", "SpatialDropout1D", "SpatialDropout2D"))
    return isinstance(layer, kinds) and 0 < getattr(layer, "rate", 0) < 1


def _mask_shape(layer: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of the mask for an input of that shape, as keras.layers.Dropout makes it."""
    if isinstance(layer, keras.layers.SpatialDropout1D | keras.layers.SpatialDropout2D):
        return (shape[0], *(1 for _ in shape[1:-1]), shape[-1])
    if layer.noise_shape is None:
        return shape
    return tuple(side if wanted is None else wanted for wanted, side in zip(layer.noise_shape, shape, strict=True))
