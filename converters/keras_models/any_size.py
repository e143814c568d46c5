"""Networks that were built in Keras for images of any size, of which the model's configuration tells.

keras.applications V1 put zeros before convolutions of stride 2 by the size that is known then: without one, as if it
were even, and so it stays whatever images come. Where a side is odd, the network computes something else than with SAME
padding. Source: keras/src/applications/imagenet_utils.py, correct_pad, version 3.15.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from converters.keras_models.config import layers_beside
from converters.keras_models.end import last_layer
from converters.keras_models.geometry import Convolution, convolutions_of, stride_of
from converters.keras_models.image import Image, image_before
from converters.names.matching import Recognised
from effnet_core import NetworkSpec, Padding


class AnySize(NamedTuple):
    """What such a network is given."""

    odd: str
    """The size that the model's images have, and the first convolution of stride 2 that takes an odd side, a few words;
    empty where none is known to."""
    multiple: int
    """With images whose sides are multiples of it no such side is odd."""

    def refusal(self, spec: NetworkSpec) -> str:
        """Why the network is not read, and what to do."""
        return (
            f"the network was built for images of any size, where keras.applications pads as if every side were even, "
            f"and {self.odd}. There its logits are others than those of {spec.name} with {spec.padding} padding. Ways "
            f"out: use it in Keras; or, as with images whose sides are multiples of {self.multiple} its logits are "
            "those computed here, take the network for such images: effnet convert --accept-different-logits "
            "(SourceOptions(accept_different_logits=True))."
        )

    def note(self, *, is_accepted: bool) -> str:
        """What the user has to know where the network is read."""
        what = f"By the model's configuration {self.odd}, where" if self.odd else "Where a side is odd, inside it too,"
        accepted = ", as you accepted" if self.odd and is_accepted else ""
        return (
            "The network was built for images of any size, where keras.applications pads as if every side were even. "
            f"{what} its logits are others than those of the SAME padding that is read here{accepted}; with images "
            f"whose sides are multiples of {self.multiple} they are the same."
        )


def built_for_any_size(spec: NetworkSpec, convolutions: Sequence[Convolution], image: Image) -> AnySize | None:
    """What such a network is given; None for others, and where every side that counts is known to be even."""
    if spec.padding is not Padding.SAME:
        return None
    sides, odd, is_certain = list(image.given), "", True
    for convolution in convolutions:
        if stride_of(convolution, spec) == (1, 1):
            continue
        if convolution.layer.config.get("padding") == "valid":
            counting = [side for side, any_will_do in zip(sides, image.takes_any, strict=True) if any_will_do]
            is_certain &= None not in counting
            if not odd and any(side is not None and side % 2 for side in counting):
                odd = f"it is given {_shown(image.given)} pixels, of which {convolution.name} takes {_shown(sides)}"
        sides = [None if side is None else side // 2 for side in sides]
    if is_certain and not odd:
        return None
    return AnySize(odd=odd, multiple=spec.stem.stride * prod(block.stride for block in spec.blocks))


def notes_on_size(spec: NetworkSpec, recognised: Recognised, text: str) -> tuple[str, ...]:
    """The note on such a network whose definition the user gives; `text` is the model's configuration."""
    beside = layers_beside(text, last_layer(recognised, spec))
    if beside is None or spec.padding is not Padding.SAME:
        return ()
    convolutions = convolutions_of(spec, recognised, beside)
    stem = recognised.prefix + recognised.dialect.layers["stem.conv"]
    image = image_before(text, stem, [layer for layer, _ in beside])
    found = built_for_any_size(spec, convolutions, image)
    return () if found is None else (found.note(is_accepted=False),)


def _shown(sides: Sequence[int | None]) -> str:
    return " x ".join("?" if side is None else str(side) for side in sides)
