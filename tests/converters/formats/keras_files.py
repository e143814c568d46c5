"""What the tests of Keras' files share: names and arrays that they can hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from converters.formats.base import Array
from tests.converters.formats import containers

FIXTURES = Path(__file__).parents[2] / "data/keras2"
LEAF = {"kernel": (3, 3, 2, 4), "bias": (4,)}
NORM = dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (4,))


def layers(dtype: str = "f4") -> dict[str, Array]:
    """One layer of each class, the last ones with names that want care."""
    shapes = {
        "normalization": {"mean": (3,), "variance": (3,)},
        "stem.conv": {"kernel": (3, 3, 3, 4)},
        "stem.norm": NORM,
        "blocks.0.depthwise.conv": {"depthwise_kernel": (5, 5, 4, 1)},
        "norm without scale": {"moving_mean": (4,), "moving_variance": (4,)},
        "reduce_é": {"kernel": (1, 1, 4, 3), "bias": (3,)},
        "a:0": {"kernel": (4, 7), "bias": (7,)},
    }
    arrays = {
        f"{layer}/{leaf}": containers.lively(dtype, shape, seed=number)
        for layer, leaves in shapes.items()
        for number, (leaf, shape) in enumerate(leaves.items())
    }
    arrays["normalization/count"] = np.asarray(7, dtype="i8")
    return dict(sorted(arrays.items(), key=lambda item: list(shapes).index(item[0].partition("/")[0])))


def expected() -> dict[str, Array]:
    """The weights in the files of Keras 2, as `LAYER/leaf`."""
    with np.load(FIXTURES / "weights.npz") as file:
        return dict(file)
