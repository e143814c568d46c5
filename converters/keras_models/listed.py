"""How a network of Keras normalises images itself, from the layers that a file of weights lists.

EfficientNetV2 of keras.applications normalises by layers without variables, and with `include_preprocessing=False` has
none. V1 divides by a `Normalization`, and with `weights="imagenet"` once more by a layer without variables. Files of
Keras 3 have a group for each layer (`.weights.h5`) or list its name (`.h5`), but not its numbers.

Source: keras/src/applications/efficientnet.py and efficientnet_v2.py, version 3.15.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import Enum, auto

from converters.dialects.dialect import Semantics
from converters.formats.base import Reader

_NUMBER = re.compile(r"_[0-9]+$")
_OF_IMAGES = frozenset(
    {
        *("rescaling", "normalization", "lambda", "subtract", "divide", "true_divide"),
        # What Keras 2 calls operations on tensors, and their class.
        *("tf.math.subtract", "tf.math.divide", "tf.math.truediv", "tf_op_lambda"),
    }
)
"""Classes in snake case, which are names without number where nobody chose another."""


class Divisions(Enum):
    """How often a network of keras.applications V1 divides, by the layers that a file lists."""

    NOT_LISTED = auto()
    ONE = auto()
    TWO = auto()
    UNCLEAR = auto()
    """Layers of the user's own may stand among the network's."""


_WHOLE_MODEL = ("", "layers")
"""The container of the outermost layers, where they have names and where they do not."""
_ONCE_MORE = frozenset({"tf.math.truediv"})
"""What the second division is in models of TensorFlow 2.9 and 2.10; a second `Rescaling` in later ones."""


def divisions(reader: Reader, *, stem: str) -> Divisions:
    """How often the network whose first convolution is `stem` divides.

    `.h5` files do not tell: the published ones list the single `Rescaling` of the Keras that wrote them, and
    `weights="imagenet"` makes a network with two of them. Nor do others that tell no classes.
    """
    beside = frozenset(_beside(reader, stem)) - _with_arrays(reader)
    if not reader.layer_classes or not beside:
        return Divisions.NOT_LISTED
    classes = [_class_of_images(reader, layer) for layer in beside]
    rescaling, others = classes.count("rescaling"), {*classes} - {None, "rescaling"}
    if rescaling == 1 and not others:
        return Divisions.ONE
    divides_twice = not others if rescaling == 2 else rescaling == 1 and others <= _ONCE_MORE
    # In the network's own container nothing stands in front of it; a flat model may have layers of the user's there.
    is_flat = stem.rpartition("/")[0] in _WHOLE_MODEL
    if divides_twice and not is_flat:
        return Divisions.TWO
    return Divisions.UNCLEAR if rescaling else Divisions.NOT_LISTED


def _class_of_images(reader: Reader, layer: str) -> str | None:
    """The name or the class of a layer, whichever may change the range of pixels; None where neither may."""
    found = (plain_name(layer), reader.layer_classes.get(layer))
    return next((name for name in found if name in _OF_IMAGES), None)


def normalises_itself(reader: Reader, own: Semantics, *, stem: str) -> bool | None:
    """Whether the network has the layers by which its model normalises, None where the file does not tell.

    `stem` is the path of its first convolution, beside which these layers stand.
    """
    if not lists_others(reader, stem=stem):
        return None
    counts = Counter(map(plain_name, _beside(reader, stem)))
    found = [counts[name] for name in own.normalising_layers]
    return None if max(found, default=0) > 1 else all(found)


def lists_others(reader: Reader, *, stem: str) -> bool:
    """Whether the file lists layers without arrays beside a network's first convolution."""
    return not _with_arrays(reader).issuperset(_beside(reader, stem))


def others_of_images(reader: Reader, *, stem: str, own: Mapping[str, int]) -> tuple[str, ...]:
    """Every listed layer without arrays that may change the range of pixels, apart from the network's own.

    `own` says how many of each name (without number) the network has beside its first convolution; where there are
    more, nothing tells which are its own, and all are named.
    """
    beside = frozenset(_beside(reader, stem))
    counts = Counter(map(plain_name, beside - _with_arrays(reader)))
    return tuple(
        sorted(
            layer
            for layer in (reader.layers or frozenset()) - _with_arrays(reader)
            if _class_of_images(reader, layer) is not None
            and not (layer in beside and counts[plain_name(layer)] <= own.get(plain_name(layer), 0))
        )
    )


def _beside(reader: Reader, stem: str) -> list[str]:
    around = stem.rpartition("/")[0]
    return [layer for layer in reader.layers or () if layer.rpartition("/")[0] == around]


def _with_arrays(reader: Reader) -> frozenset[str]:
    return frozenset(name.rpartition("/")[0] for name in reader.tensors)


def plain_name(layer: str) -> str:
    """The name of a layer without the models around it and without its number."""
    return _NUMBER.sub("", layer.rpartition("/")[2])


def listed(names: Iterable[str]) -> str:
    """Names for a message."""
    return " and ".join(sorted(names, reverse=True))
