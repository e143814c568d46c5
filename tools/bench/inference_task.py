"""What a process of `tools/bench_inference.py` is told at its start. Standard library and numpy alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
Run = Callable[[], Any]
"""One batch: the logits, in a form that `numpy.asarray` takes; finished when it returns."""
Contender = Callable[[Images], Run]
"""Takes a normalised batch (N, H, W, C) as its runtime wants it, which is not timed."""


class Skipped(Exception):
    """A contender cannot take part, and why."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """The network, the folder of its files, and how many threads one batch may take."""

    network: str
    folder: Path
    threads: int


def images(count: int, side: int) -> Images:
    """The same normalised images in every process, (N, H, W, C)."""
    return np.random.default_rng(0).standard_normal((count, side, side, 3), dtype=np.float32)
