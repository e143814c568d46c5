"""Small networks and folders of noise, for everything about many images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from effnet import Network
from effnet_core import NetworkSpec, Stage, resolve
from tests.lively import lively_state

_STAGES = (
    Stage(repeats=1, kernel_size=3, stride=1, expansion=1, in_channels=32, out_channels=16),
    Stage(repeats=1, kernel_size=5, stride=2, expansion=2, in_channels=16, out_channels=24),
)
_USUAL_LOGITS = (-0.3, 0.6, 0.08, 0.05, -0.1, 0.25, 0.3)


def small_spec(**changes: Any) -> NetworkSpec:
    """A network of two blocks that takes images of 67 pixels; `changes` are those of `effnet_core.resolve`."""
    spec = resolve("b0", width=0.25, stages=_STAGES, **({"num_classes": 7} | changes))
    return replace(spec, preprocessing=replace(spec.preprocessing, resolution=67))


def small_state(spec: NetworkSpec) -> dict[str, NDArray[np.float32]]:
    """Lively weights with which several of the 7 classes are the first one of some picture."""
    state = lively_state(spec)
    state["classifier.bias"] = state["classifier.bias"] - np.array(_USUAL_LOGITS, dtype=np.float32)
    return state


SPEC = small_spec()
NETWORK = Network(spec=SPEC, state=small_state(SPEC), name="small")
BROKEN = b"\xff\xd8\xff no image"


def save_pictures(folder: Path, count: int, *, seed: int = 0) -> list[Path]:
    """Different images of different sizes and formats, `00.png` and so on."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for number in range(count):
        height, width = random.integers(70, 100, 2)
        coarse = random.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        path = folder / f"{number:02}{('.png', '.jpg')[number % 2]}"
        Image.fromarray(coarse).resize((int(width), int(height)), Image.Resampling.BICUBIC).save(path)
        paths.append(path)
    return paths
