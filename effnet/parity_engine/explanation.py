"""The search for what explains the first difference of two trainings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from effnet.backends import Network
from effnet.parity_engine import causes
from effnet.parity_engine.causes import Cause
from effnet.parity_engine.trainee import Array, Course, StepRecord
from effnet.parity_engine.training_compare import STATISTIC_LEAVES, Kind, KindComparison, distances
from effnet_core import Decayed, HiddenNorm, WeightDecay, norm_of, parameters


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The search for causes at the first step that differs."""

    networks: tuple[Network, Network]
    course: Course
    labels: Array
    limit: float
    history: Sequence[tuple[StepRecord, StepRecord]]
    kinds: Mapping[Kind, KindComparison]

    def causes(self) -> Iterator[Cause]:
        """Of every kind that differs there; what only follows from a difference before it has none of its own."""
        if self._first(Kind.LOSS) is not None:
            yield from self._loss()
        name = self._first(Kind.GRADIENT)
        if name is not None and self._has(name):
            a, b = (record.gradients[name] for record in self.history[-1])
            yield from causes.of_gradient(name, self._before(0, name), a, b)
        yield from self._statistics()
        name = self._first(Kind.WEIGHT)
        if name is not None and self._has(name):
            yield from self._weight(name)
        name, rule = self._first(Kind.AVERAGE), self.course.recipe.moving_average
        # Averages of variables that differ differ too.
        if name is not None and rule is not None and not (self._first(Kind.STATISTIC) or self._first(Kind.WEIGHT)):
            yield from self._average(name)

    def _first(self, kind: Kind) -> str | None:
        return self.kinds[kind].first if kind in self.kinds else None

    def _has(self, name: str) -> bool:
        return all(name in record.gradients for record in self.history[-1])

    def _before(self, side: int, name: str) -> Array:
        """A variable before the last step."""
        if len(self.history) > 1:
            return self.history[-2][side].variables[name]
        return self.networks[side].state[name].astype(np.float64)

    def _loss(self) -> Iterator[Cause]:
        recipe = self.course.recipe
        rate = 1e-5 if recipe.weight_decay is None else recipe.weight_decay.rate
        rules: dict[Decayed | None, float] = {None: 0.0, **dict.fromkeys(Decayed, rate)}
        sides: list[list[str]] = []
        for side, record in enumerate(self.history[-1]):
            penalties = {
                "none" if tensors is None else f"{rate:g} of {tensors.value}": self._penalty(side, tensors, rate)
                for tensors, rate in rules.items()
            }
            smoothings = dict.fromkeys((recipe.label_smoothing, 0.0, 0.1))
            sides.append(
                list(
                    causes.of_loss(
                        record.logits, self.labels, record.loss, smoothings=list(smoothings), penalties=penalties
                    )
                )
            )
        a, b = sides
        if a and b and a[0] != b[0]:
            yield Cause(side="b", tensor="loss", explanation=f"{b[0]} against {a[0]}")

    def _penalty(self, side: int, tensors: Decayed | None, rate: float) -> float:
        if tensors is None:
            return 0.0
        rule = WeightDecay(rate=rate, tensors=tensors)
        chosen = [item.name for item in parameters(self.networks[side].spec) if rule.applies(item)]
        decayed = [name for name in chosen if name in self.history[-1][side].gradients]
        return sum(rate * float(np.square(self._before(side, name)).sum()) / 2 for name in decayed)

    def _statistics(self) -> Iterator[Cause]:
        if self._first(Kind.GRADIENT) is not None and self._first(Kind.LOSS) is not None:
            return  # the networks had other values to normalise
        a, b = self.history[-1]
        for leaf in STATISTIC_LEAVES:
            pairs = {name: (a.variables[name], b.variables[name]) for name in a.variables if name.endswith(leaf)}
            far = distances(*({name: pair[side] for name, pair in pairs.items()} for side in (0, 1)))
            name = next((name for name, value in far.items() if not value <= self.limit), None)
            if name is not None:
                yield from causes.of_statistic(name, self._before(0, name), *pairs[name], decay=self._decay(name))

    def _decay(self, name: str) -> float:
        spec = self.networks[0].spec
        if name.startswith("hidden.") and spec.classifier is not None:
            layer = spec.classifier.hidden[int(name.split(".")[1])]
            if isinstance(layer, HiddenNorm):
                return layer.decay
        return norm_of(spec, wanted="a decay").decay

    def _weight(self, name: str) -> Iterator[Cause]:
        sides = dict(zip("ab", (0, 1), strict=True))
        yield from causes.of_weight(
            name,
            self.networks[0].state[name].astype(np.float64),
            {key: [pair[side].gradients[name] for pair in self.history] for key, side in sides.items()},
            [pair[0].learning_rate for pair in self.history],
            {key: self.history[-1][side].variables[name] for key, side in sides.items()},
            self.course.recipe.optimizer,
        )

    def _average(self, name: str) -> Iterator[Cause]:
        a, b = self.history[-1]
        old = self.history[-2][0].averages[name] if len(self.history) > 1 else self._before(0, name)
        rule = self.course.recipe.moving_average
        if rule is not None:
            yield from causes.of_average(name, old, a.variables[name], a.averages[name], b.averages[name], rule=rule)
