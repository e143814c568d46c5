"""The images that reach a network in a Keras model, by the model's configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

from converters.keras_json import Layer
from converters.keras_models.classes import IDLE, RANDOM, RESIZING, ZEROS
from converters.keras_models.config import layers_before
from converters.keras_models.operations import operation_of

_KEEPING = RANDOM | IDLE - {"InputLayer"} | {"Rescaling", "Normalization", "Activation"}
"""Layers that give images of the size that they take."""


class Image(NamedTuple):
    """The images that reach the stem."""

    size: tuple[object, object]
    """Height and width in pixels by which the network was built, None where any will do."""
    is_certain: bool
    """False where a layer in front may change the size."""
    takes_any: tuple[bool, bool] = (False, False)
    """Whether an input layer says that any height and any width will do."""
    given: tuple[int | None, int | None] = (None, None)
    """Height and width by what stands around the network, too; None where they are not known."""


def image_before(text: str, stem: str, beside: Sequence[Layer]) -> Image:
    """What reaches a network, by the configuration `text` of a model.

    `stem` is the path of the first convolution, which is one of the layers `beside`.
    """
    way = layers_before(text, stem, by_settings=True)
    is_first = any(layer.config.get("data_format") == "channels_first" for layer in beside)
    return image_of(way, beside, channels_first=is_first)


def image_of(way: Sequence[Layer] | None, beside: Sequence[Layer], *, channels_first: bool) -> Image:
    """What reaches the stem on its way through the model (None: unclear); `beside` are the layers of that model."""
    size: tuple[object, object] | None = None
    given: tuple[object, object] = (None, None)
    is_certain = True
    for place, layer in enumerate(way or (), start=1):
        if layer.kind in RESIZING:
            size, is_certain = (layer.config.get("height"), layer.config.get("width")), True
            given = size
        elif layer.kind == "InputLayer" and layer.is_followed:
            size, is_certain = _input_size(layer, channels_first=channels_first), True
            given = _known(size, given)
        elif not _keeps_size(layer) and not (layer.kind == ZEROS and place == len(way or ())):
            is_certain, given = False, (None, None)
    if size is None:
        is_certain = False
        inputs = {_input_size(layer, channels_first=channels_first) for layer in beside if layer.kind == "InputLayer"}
        sizes = inputs - {None}
        size = sizes.pop() if len(sizes) == 1 else None
    height, width = given
    return Image(
        size=size or (None, None),
        is_certain=is_certain,
        takes_any=(False, False) if size is None else (size[0] is None, size[1] is None),
        given=(height if isinstance(height, int) else None, width if isinstance(width, int) else None),
    )


def _keeps_size(layer: Layer) -> bool:
    return layer.kind in _KEEPING or operation_of(layer) is not None


def _known(size: tuple[object, object] | None, earlier: tuple[object, object]) -> tuple[object, object]:
    """The sides that an input layer says, and those known before where it takes any."""
    height, width = size or (None, None)
    return earlier[0] if height is None else height, earlier[1] if width is None else width


def _input_size(layer: Layer, *, channels_first: bool) -> tuple[object, object] | None:
    shape = layer.config.get("batch_shape", layer.config.get("batch_input_shape"))
    if not isinstance(shape, list) or len(sides := cast("list[object]", shape)) != 4:
        return None
    height, width = sides[2:] if channels_first else sides[1:3]
    return height, width
