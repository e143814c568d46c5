"""Masks that are given, in place of a network's own random ones: dropout and drop-connect that others can repeat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from effnet_core import InvalidOption, MaskSite
from effnet_torch.layers import DropConnect

_Dropout = nn.Dropout | nn.Dropout1d | nn.Dropout2d | DropConnect


class GivenMask(nn.Module):
    """Drops what the mask says, in training; `mask` is channels last, 1 where a value stays and 0 where it goes."""

    def __init__(self, site: MaskSite) -> None:
        super().__init__()
        self.site = site
        self.mask: NDArray[Any] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) or (N, C) -> the same shape; what stays is divided by 1 - rate. In evaluation the same values.

        Raises `InvalidOption` where no mask was given, or one of another shape.
        """
        if not self.training:
            return x
        if self.mask is None or self.mask.shape != self.site.shape:
            found = "none" if self.mask is None else f"one of shape {self.mask.shape}"
            raise InvalidOption(f"{self.site.name} needs a mask of shape {self.site.shape}; found {found}.")
        factors = torch.as_tensor(self.mask / (1 - self.site.rate), dtype=x.dtype, device=x.device)
        # (N, H, W, C) -> (N, C, H, W)
        return x * (factors.permute(0, 3, 1, 2) if factors.ndim == 4 else factors)

    def extra_repr(self) -> str:
        """The site, for printing."""
        return f"{self.site.name}, rate={self.site.rate:g}, mask={self.site.shape}"


class Masks:
    """A network whose random layers have been exchanged, in place, for layers that take masks."""

    def __init__(self, model: nn.Module, *, input_shape: tuple[int, int, int, int]) -> None:
        """`input_shape` is that of the images that the network will get, channels last.

        Rates and shapes are read from the layers that are exchanged, not from the definition, so that a network with
        other layers than it should have shows here. Layers that drop nothing stay.
        """
        self.model = model
        places = _places(model)
        shapes = _seen_shapes(model, places, input_shape)
        self._layers: dict[str, GivenMask] = {}
        for path, layer in places.items():
            # A layer that the network does not call drops nothing.
            if path in shapes:
                site = MaskSite(name=path, rate=_rate(layer), shape=_mask_shape(layer, shapes[path]))
                self._layers[path] = GivenMask(site)
                parent, _, name = path.rpartition(".")
                setattr(model.get_submodule(parent), name, self._layers[path].train(layer.training))

    @property
    def sites(self) -> tuple[MaskSite, ...]:
        """Where the network drops, in the order of its modules."""
        return tuple(layer.site for layer in self._layers.values())

    def give(self, masks: Mapping[str, NDArray[Any]]) -> None:
        """Take the masks of the next step, by name. Raises `InvalidOption` for a missing or an unknown one."""
        if set(masks) != set(self._layers):
            raise InvalidOption(f"Expected masks for {sorted(self._layers)}, found them for {sorted(masks)}.")
        for name, layer in self._layers.items():
            layer.mask = masks[name]


def _places(model: nn.Module) -> dict[str, _Dropout]:
    modules = cast("Iterator[tuple[str, nn.Module]]", model.named_modules())
    return {path: layer for path, layer in modules if isinstance(layer, _Dropout) and 0 < _rate(layer) < 1}


def _rate(layer: _Dropout) -> float:
    return layer.rate if isinstance(layer, DropConnect) else layer.p


def _seen_shapes(
    model: nn.Module, places: Mapping[str, nn.Module], input_shape: tuple[int, int, int, int]
) -> dict[str, tuple[int, ...]]:
    """The shapes of what the layers get, channels first, found by running the network in evaluation mode."""
    shapes: dict[str, tuple[int, ...]] = {}

    def watched(path: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            shapes[path] = tuple(inputs[0].shape)

        return hook

    hooks = [layer.register_forward_pre_hook(watched(path)) for path, layer in places.items()]
    modes = {module: module.training for module in model.modules()}
    images, height, width, channels = input_shape
    like = next(model.parameters())
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(images, channels, height, width, dtype=like.dtype, device=like.device))
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode
    return shapes


def _mask_shape(layer: _Dropout, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of the mask, channels last, for an input of that shape, channels first."""
    if isinstance(layer, DropConnect):
        return (shape[0], *(1 for _ in shape[1:]))
    images, channels, *sides = shape
    if isinstance(layer, nn.Dropout1d | nn.Dropout2d):  # whole channels
        sides = [1 for _ in sides]
    return (images, *sides, channels)
