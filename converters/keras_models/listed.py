"""Whether a network of Keras normalises images itself, from the layers that a file of weights lists.

EfficientNetV2 of keras.applications normalises by layers without variables, and with `include_preprocessing=False` has
none. Files of Keras 3 have a group for each layer (`.weights.h5`) or list its name (`.h5`), but not its numbers.

Source: keras/src/applications/efficientnet_v2.py, version 3.15.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from converters.dialects.dialect import Semantics
from converters.formats.base import Reader

_NUMBER = re.compile(r"_[0-9]+$")
_OF_IMAGES = frozenset(
    {
        *("rescaling", "normalization", "lambda", "subtract", "divide", "true_divide"),
        *("tf.math.subtract", "tf.math.divide", "tf.math.truediv"),  # what Keras 2 calls operations on tensors
    }
)
"""Classes in snake case, which are names without number where nobody chose another."""


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
            if not _OF_IMAGES.isdisjoint((plain_name(layer), reader.layer_classes.get(layer)))
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
