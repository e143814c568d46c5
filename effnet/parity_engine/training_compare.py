"""Two trainings compared after each step, tensor by tensor: numpy alone, no framework."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from effnet.parity_engine.compare import MULTIPLE, ROUNDOFF32, ROUNDOFF64
from effnet.parity_engine.trainee import Arrays, StepRecord
from effnet_core.parameters import LEAVES, STATISTICS

_SMALL = 1e-4
"""A tensor whose largest value is a smaller part of the largest of its kind is measured by that part: the gradients of
parameters that a following normalisation cancels are zero but for rounding."""
LOST = 0.1
"""A tensor whose float32 is so far from its float64, on both sides, holds nothing of it any more: how much rounding is
amplified cannot be seen from there."""
STATISTIC_LEAVES = tuple(f".{LEAVES[role]}" for role in STATISTICS)
"""By which names of moving statistics end."""


class Kind(StrEnum):
    """What is compared after a step, in the order in which a step computes it."""

    LOSS = "loss"
    GRADIENT = "gradient"
    STATISTIC = "statistic"
    WEIGHT = "weight"
    AVERAGE = "moving average"


@dataclass(frozen=True, kw_only=True)
class KindComparison:
    """One kind of tensors after one step; the largest difference of all, as a part of its tensor's largest value."""

    worst: str
    """Canonical name of the tensor."""
    float64: float
    float32: float
    first: str | None
    """The first tensor, in forward order, beyond the limit in float64."""


@dataclass(frozen=True, kw_only=True)
class StepComparison:
    """One step on both sides."""

    step: int
    """From 0."""
    learning_rate: float
    loss_a: float
    loss_b: float
    """In float64."""
    loss_a32: float
    loss_b32: float
    """In float32."""
    kinds: Mapping[Kind, KindComparison]


@dataclass(frozen=True, kw_only=True)
class TensorComparison:
    """One tensor of a kind; the largest differences of one step or of several, as parts of its largest value."""

    kind: Kind
    name: str
    """Canonical."""
    float64: float
    float32: float
    agrees: bool
    """In float64."""
    is_lost: bool
    """Whether float32 holds nothing of it any more."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Where two trainings part first."""

    step: int
    kind: Kind
    tensor: str
    relative: float
    """In float64."""


def kinds_of(record: StepRecord) -> Iterator[tuple[Kind, Arrays]]:
    """What a step gave, by kind."""
    yield Kind.LOSS, {"loss": np.array(record.loss)}
    yield Kind.GRADIENT, record.gradients
    yield Kind.STATISTIC, {name: array for name, array in record.variables.items() if name.endswith(STATISTIC_LEAVES)}
    yield Kind.WEIGHT, {name: array for name, array in record.variables.items() if not name.endswith(STATISTIC_LEAVES)}
    if record.averages:
        yield Kind.AVERAGE, record.averages


def distances(a: Arrays, b: Arrays) -> dict[str, float]:
    """Largest |a - b| of every tensor as a part of its largest value; infinite for what one side lacks or is NaN."""
    largest = {
        name: float(max(np.abs(side[name]).max() for side in (a, b) if name in side))
        for name in dict.fromkeys([*a, *b])
    }
    floor = _SMALL * max((value for value in largest.values() if np.isfinite(value)), default=0.0)
    found: dict[str, float] = {}
    for name, value in largest.items():
        both = name in a and name in b
        with np.errstate(invalid="ignore"):  # of two infinities: NaN, which is no finite gap either
            gap = float(np.abs(a[name].astype(np.float64) - b[name]).max()) if both else float("inf")
        found[name] = 0.0 if gap == 0 else gap / max(value, floor) if np.isfinite(gap) else float("inf")
    return found


def compare_step(
    number: int,
    wide: tuple[StepRecord, StepRecord],
    narrow: tuple[StepRecord, StepRecord],
    *,
    limit: float,
    shaken: StepRecord | None = None,
) -> tuple[StepComparison, tuple[TensorComparison, ...]]:
    """One step in float64 (`wide`) and in float32 (`narrow`), a and b of each; and every tensor of it by itself.

    A tensor may be `limit` apart in float64, or as far as rounding explains it: MULTIPLE times the smaller one of both
    sides' own distances between float32 and float64, in proportion to the roundoff. `shaken`: the step of a once more,
    whose weights were other in their last bits; MULTIPLE times the distance from that is rounding too, and that of the
    tensor of its kind that moved most without being lost: which one it is changes with the last bits.
    """
    tensors: list[TensorComparison] = []
    pairs = zip(kinds_of(wide[0]), kinds_of(wide[1]), kinds_of(narrow[0]), kinds_of(narrow[1]), strict=True)
    for (kind, a), (_, b), (_, a32), (_, b32) in pairs:
        float64, float32 = distances(a, b), distances(a32, b32)
        own = distances(a, a32), distances(b, b32)
        moved = {} if shaken is None else distances(a, dict(kinds_of(shaken))[kind])
        moved = {name: value for name, value in moved.items() if np.isfinite(value)}
        most = max((value for value in moved.values() if value < LOST), default=0.0)
        tensors += [
            TensorComparison(
                kind=kind,
                name=name,
                float64=value,
                float32=float32.get(name, float("inf")),
                agrees=value <= max(limit, _by_rounding(name, own), MULTIPLE * max(most, moved.get(name, 0.0))),
                is_lost=_least(name, own) >= LOST,
            )
            for name, value in float64.items()
        ]
    (a, b), (a32, b32) = wide, narrow
    compared = StepComparison(
        step=number,
        learning_rate=a.learning_rate,
        loss_a=a.loss,
        loss_b=b.loss,
        loss_a32=a32.loss,
        loss_b32=b32.loss,
        kinds={
            kind: _worst([one for one in tensors if one.kind is kind])
            for kind in dict.fromkeys(one.kind for one in tensors)
        },
    )
    return compared, tuple(tensors)


def farthest(steps: Sequence[Sequence[TensorComparison]]) -> tuple[TensorComparison, ...]:
    """The largest differences of each tensor over several steps."""
    found: dict[tuple[Kind, str], TensorComparison] = {}
    for one in (tensor for step in steps for tensor in step):
        before = found.get((one.kind, one.name), one)
        found[one.kind, one.name] = TensorComparison(
            kind=one.kind,
            name=one.name,
            float64=max(one.float64, before.float64),
            float32=max(one.float32, before.float32),
            agrees=one.agrees and before.agrees,
            is_lost=one.is_lost or before.is_lost,
        )
    return tuple(found.values())


def _worst(tensors: Sequence[TensorComparison]) -> KindComparison:
    worst = max(tensors, key=lambda one: one.float64)
    return KindComparison(
        worst=worst.name,
        float64=worst.float64,
        float32=max(one.float32 for one in tensors),
        first=next((one.name for one in tensors if not one.agrees), None),
    )


def _by_rounding(name: str, own: tuple[Mapping[str, float], Mapping[str, float]]) -> float:
    return MULTIPLE * min(_least(name, own), 1.0) * (ROUNDOFF64 / ROUNDOFF32)


def _least(name: str, own: tuple[Mapping[str, float], Mapping[str, float]]) -> float:
    return min(side.get(name, 0.0) for side in own)


def first_difference(compared: StepComparison, records: tuple[StepRecord, StepRecord]) -> Difference | None:
    """The first tensor of a step beyond the limit."""
    for kind, found in compared.kinds.items():
        if found.first is not None:
            a, b = (dict(kinds_of(record))[kind] for record in records)
            return Difference(step=compared.step, kind=kind, tensor=found.first, relative=distances(a, b)[found.first])
    return None
