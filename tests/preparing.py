"""The three implementations of one plan, with numpy at both ends, and the cases of the official code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.choices import Backend
from effnet.decoding import decode
from effnet.frameworks import import_frameworks
from effnet_core import (
    JpegDecoding,
    Preprocessing,
    Resampling,
    later_official_crop,
    recipe_preprocessing,
    resolve,
)
from effnet_onnx.preprocessing import prepare

FOLDER = Path(__file__).parent / "data" / "oracle" / "preprocessing"
JPEG = (FOLDER / "img_97x131.jpg").read_bytes()
PNG = (FOLDER / "img_97x131.png").read_bytes()
Image = NDArray[np.uint8]
Prepared = NDArray[np.float32]

PIXEL_LIMIT = 1_000_000
"""Of the decoding graph."""
PLAIN = replace(resolve("b0").preprocessing, mean=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0))
"""The preprocessing of V1 without normalisation."""


def by_numpy(image: Image, rule: Preprocessing) -> Prepared:
    return prepare(image, rule)


def by_torch(image: Image, rule: Preprocessing) -> Prepared:
    import_frameworks(Backend)
    torch, twin = import_module("torch"), import_module("effnet_torch.preprocessing")
    return twin.prepare(torch.from_numpy(image.copy()), rule).permute(1, 2, 0).numpy()  # CHW -> HWC


@cache
def _graph(rule: Preprocessing) -> Callable[[Image], Any]:
    """Traced once for images of any size."""
    import_frameworks(Backend)
    tf, twin = import_module("tensorflow"), import_module("effnet_tf.preprocessing")
    return tf.function(
        lambda image: twin.prepare(image, rule), input_signature=[tf.TensorSpec((None, None, 3), tf.uint8)]
    )


def by_graph(image: Image, rule: Preprocessing) -> Prepared:
    return _graph(rule)(image).numpy()


WAYS = {"numpy": by_numpy, "torch": by_torch, "graph": by_graph}


@cache
def _decoding_graph(jpeg: JpegDecoding) -> Callable[[bytes], Any]:
    import_frameworks(Backend)
    tf, twin = import_module("tensorflow"), import_module("effnet_tf.decoding")
    return tf.function(
        lambda contents: twin.decode(contents, jpeg=jpeg, pixel_limit=PIXEL_LIMIT),
        input_signature=[tf.TensorSpec((), tf.string)],
    )


def decoded_by_graph(data: bytes, jpeg: JpegDecoding) -> Image:
    """As the graph decodes, traced for bytes that it does not know yet."""
    return _decoding_graph(jpeg)(data).numpy()


def official_cases() -> dict[str, tuple[Preprocessing, Prepared]]:
    """What the official code makes of `JPEG`, by name, in units of its normalisation."""
    v1, v2 = (np.load(FOLDER / name) for name in ("v1.npz", "v2.npz"))
    cases: dict[str, tuple[Preprocessing, Prepared]] = {}
    for size in (64, 96):
        for kernel in ("bicubic", "bilinear"):
            rule = replace(
                PLAIN, resolution=size, crop=later_official_crop(size), resampling=Resampling(f"legacy-{kernel}")
            )
            cases[f"v1_{kernel}_{size}"] = rule, v1[f"v1_{kernel}_{size}"]
        for name, recipe in (("v2", "v2"), ("v2_legacy", "v2-small"), ("v2_ft", "v2-21k-ft1k")):
            cases[f"{name}_{size}"] = recipe_preprocessing(recipe, resolution=size), v2[f"{name}_{size}"]
    cases["v2_330"] = recipe_preprocessing("v2", resolution=330), v2["v2_330"]
    return cases


def distance(found: Prepared, expected: Prepared, rule: Preprocessing) -> float:
    """The largest difference in pixels of 0..255."""
    assert found.shape == expected.shape
    return float((np.abs(found.astype(np.float64) - expected) * np.array(rule.scale)).max())


def decoded(data: bytes, rule: Preprocessing) -> Image:
    return decode(data, jpeg=rule.jpeg)
