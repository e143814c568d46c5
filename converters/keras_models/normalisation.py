"""What a Keras file says of how its network normalises pixels.

The EfficientNets of keras.applications normalise inside. V1 networks compute (pixel / 255 - mean) / sqrt(variance) with
stored tensors, and where they were made with `weights="imagenet"` divide once more by sqrt(0.229, 0.224, 0.225): the
published files hold these standard deviations in the place of the variances. V2 networks have the numbers in their
configuration, or nothing of the sort with `include_preprocessing=False`.

The decision, for V1 and V2, in this order:

1. With the configuration of the model (a whole model in .h5, .keras): what its layers say, with the stored tensors.
   Layers in front that are no such arithmetic (a convolution to three channels, a Lambda) are left out with all that
   stands before them, and named: the network then starts behind them.
2. Stored deviations of ImageNet in the place of the variances: numbers that come from the published files alone. As
   often as the layers that the file lists divide (see `listed.py`); where it lists none, twice, as the networks of
   these files do. Keras itself leaves the second division out when such a file is loaded by path.
3. Other stored tensors: as they are. Fresh ones (mean 0, variance 1) leave pixel / 255.
4. Without a configuration, layers outside the network are what `converters.keras_models.front` makes of them.

The caller says otherwise with a recipe.

Source: keras/src/applications/efficientnet.py, keras/src/layers/preprocessing/normalization.py, version 3.15.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isclose, sqrt

from converters.dialects.dialect import PixelRange, StoredNormalisation
from converters.errors import FormatError, counted, some_of
from converters.formats.base import Reader
from converters.keras_json import Layer
from converters.keras_models.arithmetic import (
    SHAPING,
    channels_of,
    deviations_of,
    step_of,
    unchanged,
    variances_of,
)
from converters.keras_models.config import layers_before
from converters.keras_models.listed import Divisions, divisions
from converters.meaning import pixel_formula
from converters.metadata_keys import KERAS_CONFIG_KEY

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, for pixels in 0..1."""
_RGB = 3
_WHITE = 255
_RECIPE = "Say otherwise with --recipe."
_TO_DIVIDE_TWICE = (
    "Unless the network was trained on so, it expects to be divided twice: say so with --recipe autoaugment."
)
_LONGEST_NAME = 80
_UNCLEAR = (
    "The model's configuration does not tell how the network normalises images: the layers before its first "
    "convolution could not be followed."
)


@dataclass(frozen=True, kw_only=True)
class Stated:
    """What a file says."""

    pixels: PixelRange | None
    """None: the network takes images that are normalised already."""
    note: str
    front: str = ""
    """Which layers of the model stand in front of the network and are left out."""
    is_around: bool = False
    """Whether a layer outside the network does it."""
    divides_twice: bool = False
    """Whether, without a configuration, the network is taken to have a second layer that divides."""


def stated_normalisation(
    reader: Reader, *, stem: str, tensors: StoredNormalisation | None, names: Mapping[str, str]
) -> Stated | None:
    """How the network in a file normalises pixels, None where the file does not say.

    `stem` is the path of the first convolution's layer; `names` are those of the stored tensors in the file, by the
    dialect's name for them. Raises `FormatError` where stored numbers make no sense.
    """
    text = reader.metadata.get(KERAS_CONFIG_KEY)
    way = None if text is None else layers_before(text, stem)
    channels = input_channels(reader, stem)
    if way is not None:
        left, followed, stated = _split(reader, way, channels)
        front = "" if left is None else _front(way[: len(way) - len(followed)], left, channels)
        front = " ".join(filter(None, (front, _shaping(followed))))
        # Where nothing that normalises stands behind what is left out, that may have been the network's own.
        if left is None or stated.pixels is not None or tensors is None:
            return replace(stated, front=front)
    if tensors is None or tensors.mean not in names or tensors.variance not in names:
        return None
    mean = channels_of(reader, names[tensors.mean], channels)
    stated = _by_tensors(mean, variances_of(reader, names[tensors.variance], channels), divisions(reader, stem=stem))
    return stated if text is None else replace(stated, front=_UNCLEAR)


def check_whole(reader: Reader, tensors: StoredNormalisation, names: Mapping[str, str]) -> None:
    """Raise `FormatError` where a file holds one of the two tensors by which its network normalises pixels."""
    held = [name for name in (tensors.mean, tensors.variance) if name in names]
    if len(held) == 1:
        absent = tensors.variance if held == [tensors.mean] else tensors.mean
        raise FormatError(
            f"{reader.path} holds {names[held[0]]} and no {absent}: half of what its network normalises pixels by. "
            "Expected both. Convert the whole file, or say how images are normalised: --recipe (recipe=...)."
        )


def layers_in_front(reader: Reader, *, stem: str) -> tuple[str, ...]:
    """The paths of the layers through which the input passes before the network, by the model's configuration."""
    text = reader.metadata.get(KERAS_CONFIG_KEY)
    way = None if text is None else layers_before(text, stem)
    return tuple(layer.path for layer in way or ())


def _split(reader: Reader, way: Sequence[Layer], channels: int) -> tuple[Layer | None, tuple[Layer, ...], Stated]:
    """The last layer that has to be left out, those behind it, and what these do.

    The arithmetic of that layer is not known here, or is none that a definition has, such as a negative factor.
    """
    unknown = [
        place
        for place, layer in enumerate(way, start=1)
        if layer.kind != "InputLayer" and (not layer.is_followed or step_of(reader, layer, channels) is None)
    ]
    start = max(unknown, default=0)
    while (stated := _by_layers(reader, way[start:], channels)) is None:  # of no layers it is known
        start += 1
    return way[start - 1] if start else None, tuple(way[start:]), stated


def _front(dropped: Sequence[Layer], last: Layer, channels: int) -> str:
    """What is left out up to one layer, and what the network is to be given in its place."""
    named = [f"{layer.kind} {layer.path}"[:_LONGEST_NAME] for layer in dropped if layer.kind != "InputLayer"]
    return (
        f"In front of the network the model has {some_of(named)}, which {'is' if len(named) == 1 else 'are'} left out: "
        f"images have to be what {last.path[:_LONGEST_NAME]} gives, of {counted(channels, 'channel')}."
    )


def _shaping(way: Sequence[Layer]) -> str:
    """Which layers change the size of images before the network, where there are any."""
    own = way[-1:] if way and way[-1].kind == "ZeroPadding2D" else ()  # the zeros of the first convolution
    shaping = [layer for layer in way[: len(way) - len(own)] if layer.kind in SHAPING]
    if not shaping:
        return ""
    named = [f"{layer.kind} {layer.path}"[:_LONGEST_NAME] for layer in shaping]
    return (
        f"Before the network the model changes the size of images ({some_of(named)}), which is left out: images have "
        "to be as these layers give them."
    )


def input_channels(reader: Reader, stem: str) -> int:
    """What the first convolution takes; a file without it is refused later."""
    kernel = reader.tensors.get(f"{stem}/kernel")
    return kernel.shape[2] if kernel is not None and len(kernel.shape) == 4 else _RGB


def _by_layers(reader: Reader, way: Sequence[Layer], channels: int) -> Stated | None:
    """What the layers of the configuration do; None where that cannot be told."""
    affine = unchanged(channels)
    takes_fractions = _takes_fractions(reader, way, channels)
    if takes_fractions:
        affine = affine.then((1 / _WHITE,) * channels, (0.0,) * channels)
    for layer in way:
        step = step_of(reader, layer, channels)
        if step is None:
            return None
        affine = affine.then(*step)
    if not all(affine.factor):  # so small that nothing is left of it
        return None
    if affine == unchanged(channels):
        return Stated(pixels=None, note="The model's configuration has no layers that normalise pixels.")
    pixels = affine.as_range()
    if not pixels.is_sensible:
        return None
    note = f"Images are normalised as the layers of the model's configuration do: {pixel_formula(pixels)}."
    if takes_fractions:
        note += " The first of them multiplies by 255: the model is given images as pixel / 255."
    if _close(pixels.mean, [255 * one for one in _MEAN]) and _close(pixels.scale, [255 * sqrt(x) for x in _DEVIATION]):
        note += (
            " They divide by the roots of ImageNet's standard deviations: a published file was loaded by path. "
            f"{_TO_DIVIDE_TWICE}"
        )
    return Stated(pixels=pixels, note=note)


def _takes_fractions(reader: Reader, way: Sequence[Layer], channels: int) -> bool:
    """Whether a model is given numbers from 0 to 1, of which its first layer makes pixels."""
    zeros = (0.0,) * channels
    steps = (step_of(reader, layer, channels) for layer in way)
    first = next((step for step in steps if step != ((1.0,) * channels, zeros)), None)
    return first in [((factor,) * channels, zeros) for factor in (_WHITE, _WHITE + 1)]


def _by_tensors(mean: Sequence[float], variance: Sequence[float], listed: Divisions) -> Stated:
    """What stored tensors mean without a configuration, where the file lists layers that divide."""
    published = _close(mean, _MEAN) and _close(variance, _DEVIATION)
    once = _pixels(mean, deviations_of(variance))
    if not published:
        note = f"Images are normalised as tensors of the file say: {pixel_formula(once)}. {_RECIPE}"
        return Stated(pixels=once, note=note)
    if listed is Divisions.ONE:
        note = (
            f"Images are normalised as {pixel_formula(once)}: the stored variances are ImageNet's standard deviations, "
            "and by the layers that the file lists its network divides by their roots once, as where Keras loads a "
            f"published file by path. {_TO_DIVIDE_TWICE}"
        )
        return Stated(pixels=once, note=note)
    twice = _pixels(mean, variance)
    return Stated(pixels=twice, note=_on_two(twice, once, listed), divides_twice=True)


def _pixels(mean: Sequence[float], deviations: Sequence[float]) -> PixelRange:
    """(pixel / 255 - mean) / deviations."""
    factor = [1 / (_WHITE * deviation) for deviation in deviations]
    shift = [-one / deviation for one, deviation in zip(mean, deviations, strict=True)]
    return unchanged(len(mean)).then(factor, shift).as_range()


def _on_two(twice: PixelRange, once: PixelRange, listed: Divisions) -> str:
    """The note on published deviations, for a network that divides by their roots twice, or may do so."""
    note = (
        f"Images are normalised as {pixel_formula(twice)}: the stored variances are ImageNet's standard deviations, as "
        'in the files of weights="imagenet", whose network divides by their roots twice'
    )
    if listed is Divisions.TWO:
        return f"{note}, as the layers that the file lists do. {_RECIPE}"
    unclear = " The layers that the file lists do not tell which it is." if listed is Divisions.UNCLEAR else ""
    return (
        f"{note}. Keras divides once when such a file is loaded by path, and its logits are others.{unclear} If it was "
        f"so, the network takes {pixel_formula(once)}: correct mean and scale in the definition (effnet info FILE "
        "--json prints it) and give it with --spec FILE.json."
    )


def _close(found: Sequence[float], expected: Sequence[float]) -> bool:
    return len(found) == len(expected) and all(map(partial(isclose, rel_tol=1e-5), found, expected))
