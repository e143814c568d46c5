"""The race of two trainings: step by step, both precisions, up to the first difference and on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from effnet.backends import Network
from effnet.choices import Backend, Device, Precision
from effnet.isolation import training as separate
from effnet.isolation.process import Worker
from effnet.parity_engine import causes
from effnet.parity_engine.causes import Cause
from effnet.parity_engine.compare import FLOOR, ROUNDOFF64
from effnet.parity_engine.explanation import Explanation
from effnet.parity_engine.trainee import Course, Lane, StepRecord, Trainee, lane
from effnet.parity_engine.training_compare import (
    Difference,
    Kind,
    StepComparison,
    TensorComparison,
    compare_step,
    farthest,
    first_difference,
)
from effnet_core import MaskSite, parameters


@dataclass(frozen=True, kw_only=True)
class Competitor:
    """One of the two."""

    network: Network
    trainee: Trainee
    backend: Backend
    worker: Worker | None
    """The process that trains it; None: this one."""

    def lanes(self, course: Course, device: Device, precisions: Sequence[Precision], open_: ExitStack) -> Lanes:
        """Its training in these precisions, as long as `open_` is open."""
        if self.worker is not None:
            return separate.lanes(
                self.worker,
                self.network,
                course,
                backend=self.backend,
                device=device,
                precisions=precisions,
                open_=open_,
            )
        return {
            precision: open_.enter_context(
                lane(self.network, self.trainee, course, backend=self.backend, precision=precision, device=device)
            )
            for precision in precisions
        }


Lanes = Mapping[Precision, Lane]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a race shows."""

    sites: tuple[MaskSite, ...]
    steps: tuple[StepComparison, ...]
    tensors: tuple[TensorComparison, ...]
    shaken_from: int | None
    difference: Difference | None
    causes: tuple[Cause, ...]


class Race:
    """Two trainings on the same course."""

    def __init__(self, a: Competitor, b: Competitor, course: Course, *, device: Device, limit: float) -> None:
        self._both = (a, b)
        self._course, self._device, self._limit = course, device, limit
        self._shaken: Lane | None = None
        self._shaken_from: int | None = None

    def run(self) -> Outcome:
        """Both precisions in step, so that no more than the steps before the first difference are kept."""
        with ExitStack() as open_:
            lanes = [one.lanes(self._course, self._device, list(Precision), open_) for one in self._both]
            sites, others = (both[Precision.FLOAT64].sites for both in lanes)
            explained = list(causes.of_sites(sites, others))
            explained += causes.of_recipes(*(one.trainee.recipe or self._course.recipe for one in self._both))
            compared: list[StepComparison] = []
            tensors: tuple[TensorComparison, ...] = ()
            history: list[tuple[StepRecord, StepRecord]] = []
            difference: Difference | None = None
            for number in range(self._course.steps):
                narrow, wide = (
                    (lanes[0][precision].step(number), lanes[1][precision].step(number)) for precision in Precision
                )
                step, parts = self._compared(number, wide, narrow, open_, has_differed=difference is not None)
                compared.append(step)
                tensors = farthest((tensors, parts))
                if difference is None:
                    history.append(wide)
                    difference = first_difference(step, wide)
                    if difference is not None:
                        explained += self._explain(history, step)
                        history.clear()
        return Outcome(
            sites=sites,
            steps=tuple(compared),
            tensors=self._in_forward_order(tensors),
            shaken_from=self._shaken_from,
            difference=difference,
            causes=tuple(dict.fromkeys(explained)),
        )

    def _compared(
        self,
        number: int,
        wide: tuple[StepRecord, StepRecord],
        narrow: tuple[StepRecord, StepRecord],
        open_: ExitStack,
        *,
        has_differed: bool,
    ) -> tuple[StepComparison, tuple[TensorComparison, ...]]:
        """One step; where float32 does not tell any more what rounding explains, a trained once more tells it."""
        if self._shaken is None:
            step, parts = compare_step(number, wide, narrow, limit=self._limit)
            is_blind = any(one.is_lost for one in parts) and not all(one.agrees for one in parts)
            if has_differed or not is_blind:
                return step, parts
            one = replace(self._both[0], network=_shaken(self._both[0].network))
            self._shaken = one.lanes(self._course, self._device, [Precision.FLOAT64], open_)[Precision.FLOAT64]
            self._shaken_from = number
            for earlier in range(number):
                self._shaken.step(earlier)
        return compare_step(number, wide, narrow, limit=self._limit, shaken=self._shaken.step(number))

    def _explain(self, history: Sequence[tuple[StepRecord, StepRecord]], last: StepComparison) -> Iterator[Cause]:
        a, b = self._both
        return Explanation(
            networks=(a.network, b.network),
            course=self._course,
            labels=self._course.labels,
            limit=self._limit,
            history=history,
            kinds=last.kinds,
        ).causes()

    def _in_forward_order(self, tensors: Sequence[TensorComparison]) -> tuple[TensorComparison, ...]:
        places = {parameter.name: place for place, parameter in enumerate(parameters(self._both[0].network.spec))}
        kinds = list(Kind)
        return tuple(sorted(tensors, key=lambda one: (places.get(one.name, -1), kinds.index(one.kind))))


def _shaken(network: Network) -> Network:
    """The same weights but for their last bits in float64."""
    random = np.random.default_rng(0)
    state = {
        name: array * (1 + FLOOR * ROUNDOFF64 * random.choice([-1.0, 1.0], size=array.shape))
        for name, array in ((name, array.astype(np.float64)) for name, array in network.state.items())
    }
    return replace(network, state=state)
