"""What images become: how far the ways of preparing them are apart, in pixels of 0..255, and how long they take.

    .venv/bin/python tools/preprocessing.py [IMAGE.jpg]

Needs what `./tools/test` sets up. Without an image it takes scikit-image's photograph of a rocket (427 x 640, public
domain). Times are the median of 20 on one image, in this process.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from effnet.choices import Backend
from effnet.decoding import decode
from effnet.frameworks import import_frameworks
from effnet_core import JpegDecoding, Preprocessing, Resampling, ShorterSide, WholeImage, plan, resolve
from effnet_onnx import preprocessing as by_numpy

V1 = replace(resolve("b0").preprocessing, mean=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0))
TIMM = replace(V1, crop=ShorterSide(side=256), resampling=Resampling.PILLOW_BICUBIC, jpeg=JpegDecoding.ACCURATE)
SIDES = (224, 240, 260, 300)
"""Of B0 to B3."""
OTHERS = {
    "JPEG by the accurate transform": replace(V1, jpeg=JpegDecoding.ACCURATE),
    "half pixels and a = -0.5 (TensorFlow 2)": replace(V1, resampling=Resampling.HALF_PIXEL_BICUBIC),
    "bilinear without half pixels": replace(V1, resampling=Resampling.LEGACY_BILINEAR),
    "Pillow's bicubic, the same crop": replace(V1, resampling=Resampling.PILLOW_BICUBIC, jpeg=JpegDecoding.ACCURATE),
    "timm's: shorter side to 256, centre of 224": TIMM,
    "no crop": replace(V1, crop=WholeImage()),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", nargs="?", type=Path)
    path = parser.parse_args().image or rocket()
    import_frameworks(Backend)
    data = path.read_bytes()
    console = Console()
    console.print(distances(data))
    console.print(ways(data))


def rocket() -> Path:
    """The photograph of scikit-image."""
    return Path(import_module("skimage.data").__file__).parent / "rocket.jpg"


def prepared(data: bytes, rule: Preprocessing) -> Any:
    """By numpy."""
    return by_numpy.prepare(decode(data, jpeg=rule.jpeg), rule)


def distances(data: bytes) -> Table:
    """Of other rules from the official one for V1."""
    table = Table("instead of the official V1 at 224", "mean", "largest", title="Distance in pixels of 0..255")
    official = prepared(data, V1)
    for name, rule in OTHERS.items():
        table.add_row(name, *_far(prepared(data, rule), official))
    subsampled = io.BytesIO()
    Image.open(io.BytesIO(data)).save(subsampled, "JPEG", subsampling="4:2:0", quality=90)
    data = subsampled.getvalue()
    for side in SIDES:
        rule = replace(V1, resolution=side)
        found, expected = _cropped_while_decoding(data, rule), prepared(data, rule)
        columns = np.count_nonzero((found != expected).any(axis=(0, 2)))
        table.add_row(f"4:2:0, only the crop's part decoded, at {side} ({columns} columns)", *_far(found, expected))
    return table


def _cropped_while_decoding(data: bytes, rule: Preprocessing) -> Any:
    """As tf.io.decode_and_crop_jpeg does it, which the official V1 code calls."""
    tf = import_module("tensorflow")
    height, width, _ = decode(data, jpeg=rule.jpeg).shape
    made = plan(rule, height=height, width=width)
    box = made.box
    part = tf.io.decode_and_crop_jpeg(data, [box.top, box.left, box.height, box.width], channels=3).numpy()
    return by_numpy.resized(part, replace(made, box=replace(box, top=0, left=0)))


def _far(found: Any, expected: Any) -> tuple[str, str]:
    distance = np.abs(found.astype(np.float64) - expected)
    return f"{distance.mean():.2f}", f"{distance.max():.1f}"


def ways(data: bytes) -> Table:
    """The three implementations: distance from numpy and milliseconds."""
    torch, tf = import_module("torch"), import_module("tensorflow")
    by_torch, graph = import_module("effnet_torch.preprocessing"), import_module("effnet_tf.preprocessing")
    table = Table("recipe", "way", "from numpy", "milliseconds", title="From bytes to pixels at 224")
    for name, rule in (("official V1", V1), ("timm", TIMM)):

        def with_torch(rule: Preprocessing = rule) -> Any:
            image = torch.from_numpy(decode(data, jpeg=rule.jpeg))
            return by_torch.prepare(image, rule).permute(1, 2, 0).numpy()  # CHW -> HWC

        traced = tf.function(
            lambda contents, rule=rule: graph.prepare_bytes(contents, rule),
            input_signature=[tf.TensorSpec((), tf.string)],
        )
        expected = prepared(data, rule)
        runs: dict[str, Callable[[], Any]] = {
            "numpy": lambda rule=rule: prepared(data, rule),
            "torch": with_torch,
            "graph": lambda traced=traced: traced(data).numpy(),
        }
        for way, run in runs.items():
            table.add_row(name, way, f"{np.abs(run() - expected).max():g}", f"{_milliseconds(run):.1f}")
    return table


def _milliseconds(run: Callable[[], Any]) -> float:
    times: list[float] = []
    for _ in range(20):
        start = perf_counter()
        run()
        times.append(1000 * (perf_counter() - start))
    return median(times)


if __name__ == "__main__":
    main()
