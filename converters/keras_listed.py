"""Whether a network of Keras normalises images itself, from the layers that a file of weights lists.

EfficientNetV2 of keras.applications normalises by layers without variables, and with `include_preprocessing=False` has
none. Files of Keras 3 have a group for each layer (`.weights.h5`) or list its name (`.h5`), but not its numbers.

Source: keras/src/applications/efficientnet_v2.py, version 3.15.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from converters.dialects.dialect import Semantics
from converters.formats.base import Reader

_NUMBER = re.compile(r"_[0-9]+$")
_OF_IMAGES = frozenset({"rescaling", "normalization"})


def normalises_itself(reader: Reader, own: Semantics, *, stem: str) -> bool | None:
    """Whether the network has the layers by which its model normalises, None where the file does not tell.

    `stem` is the path of its first convolution, beside which these layers stand.
    """
    around = stem.rpartition("/")[0]
    beside = [layer for layer in reader.layers or () if layer.rpartition("/")[0] == around]
    with_arrays = {name.rpartition("/")[0] for name in reader.tensors}
    if with_arrays.issuperset(beside):  # a file that lists no other layers
        return None
    counts = Counter(map(_plain, beside))
    found = [counts[name] for name in own.normalising_layers]
    return None if max(found, default=0) > 1 else all(found)


def others_of_images(reader: Reader) -> tuple[str, ...]:
    """Every listed layer that may change the range of pixels."""
    return tuple(sorted(layer for layer in reader.layers or () if _plain(layer) in _OF_IMAGES))


def _plain(layer: str) -> str:
    return _NUMBER.sub("", layer.rpartition("/")[2])


def listed(names: Iterable[str]) -> str:
    """Names for a message."""
    return " and ".join(sorted(names, reverse=True))
