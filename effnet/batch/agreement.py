"""Two backends on the same batches: how far their logits are apart, and whether rounding explains it.

How far rounding takes this network is measured once, on random input: each backend's own distance from float32 to
float64. An image whose logits are farther apart than the usual multiple of that is run again by both in float64, and
judged by its own rounding, as `effnet parity` judges a layer.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.backends import Network, Runner, runner
from effnet.choices import Backend, Device, Precision
from effnet.frameworks import import_frameworks
from effnet.inputs import random_input
from effnet.parity_engine.compare import MULTIPLE, Array, LayerComparison, Outputs, compare, distance

_IMAGES = 2
"""On which rounding is measured, as in `effnet parity`."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """A network and what runs it."""

    network: Network
    backend: Backend


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What two backends gave for one image."""

    other_class: int | None
    """The second one's most probable class; None where its logits are no numbers."""
    difference: float | None
    """Largest |a - b| of the logits; None where they are no numbers."""
    relative: float | None
    """The same as a part of the largest |logit| of both."""
    agrees: bool
    """Rounding explains it."""


def measure_rounding(a: Side, b: Side, device: Device) -> LayerComparison:
    """Both sides in both precisions on random input of the network's resolution: the logits compared.

    Raises what `runner` raises.
    """
    spec = a.network.spec
    batch = random_input(images=_IMAGES, size=spec.preprocessing.resolution, channels=spec.stem.in_channels, seed=0)
    import_frameworks([a.backend, b.backend])
    [found] = compare(*(_in_both(side, batch, device) for side in (a, b))).layers
    return found


class Judge:
    """Compares the logits of both sides, image by image; open it with `judging`."""

    def __init__(self, a: Side, b: Side, device: Device, *, explained: float, stack: ExitStack) -> None:
        self._sides, self._device, self._stack = (a, b), device, stack
        self._limit = MULTIPLE * explained
        self._other = stack.enter_context(_opened(b, device, Precision.FLOAT32))
        self._exact: tuple[Runner, ...] = ()

    def verdicts(self, logits: NDArray[Any], batch: NDArray[Any]) -> list[Verdict]:
        """For the first side's logits (N, classes) of a batch (N, H, W, C): what the second one gives."""
        other = self._other(batch)["logits"]
        return [self._verdict(*three) for three in zip(logits, other, batch, strict=True)]

    def _verdict(self, a: Array, b: Array, image: Array) -> Verdict:
        gap = distance(a, b)
        if not np.isfinite(gap.max_abs):
            other = int(b.argmax()) if np.isfinite(b).all() else None
            return Verdict(other_class=other, difference=None, relative=None, agrees=False)
        agrees = gap.relative_l2 <= self._limit or self._explained(a, b, image)
        return Verdict(other_class=int(b.argmax()), difference=gap.max_abs, relative=gap.relative, agrees=agrees)

    def _explained(self, a: Array, b: Array, image: Array) -> bool:
        """Whether the image's own rounding explains the distance, and both agree on it in float64."""
        if not self._exact:
            self._exact = tuple(
                self._stack.enter_context(_opened(side, self._device, Precision.FLOAT64)) for side in self._sides
            )
        wide = [run(image[None])["logits"] for run in self._exact]
        outputs = [
            Outputs(float32={"logits": narrow[None]}, float64={"logits": exact})
            for narrow, exact in zip((a, b), wide, strict=True)
        ]
        return compare(outputs[0], outputs[1]).agrees


@contextmanager
def judging(a: Side, b: Side, device: Device, *, explained: float) -> Generator[Judge]:
    """A judge whose networks are open; `explained` as `measure_rounding` found it. Raises what `runner` raises."""
    with ExitStack() as stack:
        yield Judge(a, b, device, explained=explained, stack=stack)


def sides(network: Network, backends: Sequence[Backend]) -> tuple[Side, ...]:
    """The same network in several backends."""
    return tuple(Side(network=network, backend=backend) for backend in backends)


def _opened(side: Side, device: Device, precision: Precision) -> AbstractContextManager[Runner]:
    return runner(side.network, endpoints=["logits"], backend=side.backend, precision=precision, device=device)


def _in_both(side: Side, batch: Array, device: Device) -> Outputs:
    found: dict[Precision, Array] = {}
    for precision in (Precision.FLOAT32, Precision.FLOAT64):
        with _opened(side, device, precision) as run:
            found[precision] = run(batch)["logits"]
    narrow, wide = found[Precision.FLOAT32], found[Precision.FLOAT64]
    return Outputs(float32={"logits": narrow}, float64={"logits": wide})
