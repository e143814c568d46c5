"""Why two trainings part: known mistakes are tried on the tensors, and those that explain the difference are named.

NumPy alone. A mistake explains a difference where the tensors of one side, changed by it, give those of the other up to
a millionth of the difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from effnet.plain import plain
from effnet_core import MaskSite, MovingAverage, RmsProp, Sgd, TrainingRecipe

Array = NDArray[Any]
_EXPLAINED = 1e-6


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A mistake that explains a difference."""

    side: str
    """Whose it is, `a` or `b`, if the other side is as the recipe and the definition say."""
    tensor: str
    explanation: str


def of_recipes(a: TrainingRecipe, b: TrainingRecipe) -> list[Cause]:
    """Fields of two recipes that differ; some of them, as the decay of long averages, act after thousands of steps."""
    left, right = dict(_leaves("", plain(a))), dict(_leaves("", plain(b)))
    return [
        Cause(side="b", tensor=path, explanation=f"its recipe says {right.get(path)}, that of a {left.get(path)}")
        for path in dict.fromkeys([*left, *right])
        if left.get(path) != right.get(path)
    ]


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield from _leaves(f"{path}.{key}" if path else key, item)
    else:
        yield path, value


def explains(candidate: Array, found: Array, other: Array) -> bool:
    """Whether the candidate is what was found, as far as that differs from the other side."""
    difference = np.abs(found - other).max()
    return bool(difference > 0 and np.abs(candidate - found).max() <= _EXPLAINED * difference)


def of_sites(a: Sequence[MaskSite], b: Sequence[MaskSite]) -> Iterator[Cause]:
    """Layers that drop something else, or nothing."""
    here, there = ({site.name: site for site in sites} for sites in (a, b))
    for name in dict.fromkeys([*here, *there]):
        one, other = here.get(name), there.get(name)
        if one is None or other is None:
            yield Cause(side="a" if one is None else "b", tensor=name, explanation="drops nothing there")
            continue
        if one.shape != other.shape:
            side, finer, coarser = ("a", one, other) if np.prod(one.shape) > np.prod(other.shape) else ("b", other, one)
            whole = len(coarser.shape) > 1 and set(coarser.shape[1:]) == {1}
            words = "element-wise dropout in place of drop-connect" if whole else "a mask of another shape"
            yield Cause(side=side, tensor=name, explanation=f"{words}: mask {finer.shape} against {coarser.shape}")
        if one.rate != other.rate:
            yield Cause(side="b", tensor=name, explanation=f"drops with rate {other.rate:g} against {one.rate:g}")


def of_statistic(name: str, old: Array, a: Array, b: Array, *, decay: float) -> Iterator[Cause]:
    """Moving statistics that follow the batch otherwise: old and new values of both sides."""
    for side, right, wrong in (("b", a, b), ("a", b, a)):
        batch = (right - decay * old) / (1 - decay)
        raw = (1 - decay) * old + decay * batch
        if explains(raw, wrong, right):
            words = f"the decay {decay:g} is used as momentum, raw: the old statistic keeps the weight {1 - decay:.3g}"
            yield Cause(side=side, tensor=name, explanation=words)
            return
        for kept in (decay, 1 - decay):
            values = _bessel(batch, (wrong - kept * old) / (1 - kept))
            if values is None or not name.endswith(".variance"):
                continue
            if explains(kept * old + (1 - kept) * batch * values / (values - 1), wrong, right):
                words = f"the unbiased variance of the batch in place of the biased one, n / (n - 1) with n = {values}"
                raw_too = "" if kept == decay else f", and the decay {decay:g} used as momentum, raw"
                yield Cause(side=side, tensor=name, explanation=words + raw_too)
                return
    batch = (a - decay * old) / (1 - decay)
    way = old - batch
    fitted = float(((b - batch) * way).sum() / (way * way).sum()) if way.any() else decay
    if explains(fitted * old + (1 - fitted) * batch, b, a):
        yield Cause(side="b", tensor=name, explanation=f"another decay of the statistics: {fitted:.6g}, not {decay:g}")


def _bessel(biased: Array, other: Array) -> int | None:
    """The number of values for which the other variance is the unbiased one."""
    ratio = float((biased * other).sum() / (biased * biased).sum()) if biased.any() else 1.0
    if ratio <= 1 + 1e-12:
        return None
    values = round(ratio / (ratio - 1))
    return values if values > 1 else None


def of_gradient(name: str, variable: Array, a: Array, b: Array) -> Iterator[Cause]:
    """Weight decay on a tensor where the other side has none, or another."""
    difference = b - a
    rate = float((difference * variable).sum() / (variable * variable).sum()) if variable.any() else 0.0
    if explains(a + rate * variable, b, a):
        side = "b" if rate > 0 else "a"
        words = f"weight decay of {abs(rate):.3g} on this tensor that the other side does not have"
        yield Cause(side=side, tensor=name, explanation=words)


def of_average(name: str, old: Array, variable: Array, a: Array, b: Array, *, rule: MovingAverage) -> Iterator[Cause]:
    """Shadows that follow their variables otherwise."""
    way = old - variable
    if not way.any():
        return
    for side, found, other in (("b", b, a), ("a", a, b)):
        fitted = float(((found - variable) * way).sum() / (way * way).sum())
        if not explains(fitted * old + (1 - fitted) * variable, found, other):
            continue
        words = f"the shadow keeps the weight {fitted:.6g}"
        if abs(fitted - rule.decay) < 1e-9:
            words += ": the decay without warm-up"
        elif abs(fitted - 1) < 1e-9:
            words += ": it is not updated"
        other_fit = float(((other - variable) * way).sum() / (way * way).sum())
        if abs(fitted - other_fit) > 1e-12 and side == "b":
            yield Cause(side=side, tensor=name, explanation=f"{words}, the other side's {other_fit:.6g}")
            return


def of_weight(
    name: str,
    start: Array,
    gradients: Mapping[str, Sequence[Array]],
    rates: Sequence[float],
    ends: Mapping[str, Array],
    rule: Sgd | RmsProp,
) -> Iterator[Cause]:
    """Optimisers with other arithmetic, by side: gradients of every step, learning rates, and what came out."""
    for side, other in (("a", "b"), ("b", "a")):
        if explains(_replay(rule, start, gradients[side], rates), ends[side], ends[other]):
            continue  # as the recipe says
        for words, candidate in _variants(rule):
            if explains(_replay(rule, start, gradients[side], rates, **candidate), ends[side], ends[other]):
                yield Cause(side=side, tensor=name, explanation=words)
                break


def _variants(rule: Sgd | RmsProp) -> Iterator[tuple[str, dict[str, bool]]]:
    """Mistakes of an optimiser, single ones first."""
    words = {"rate_outside": "the learning rate is multiplied with the momentum, not with the gradient"}
    if isinstance(rule, RmsProp):
        words["epsilon_outside"] = "epsilon is added to the root of the mean square, not inside"
        words["starts_at_zero"] = f"the mean square starts at zero, not at {rule.initial_mean_square:g}"
    else:
        words = {"rate_outside": "the learning rate goes into the momentum"}
    for flags in sorted(product((False, True), repeat=len(words)), key=sum):
        chosen = dict(zip(words, flags, strict=True))
        if any(flags):
            yield "; ".join(words[name] for name, flag in chosen.items() if flag), chosen


def _replay(
    rule: Sgd | RmsProp,
    start: Array,
    gradients: Sequence[Array],
    rates: Sequence[float],
    *,
    epsilon_outside: bool = False,
    starts_at_zero: bool = False,
    rate_outside: bool = False,
) -> Array:
    """The variable after those gradients."""
    variable, gathered = start.astype(np.float64), np.zeros(start.shape)
    is_rmsprop = isinstance(rule, RmsProp)
    mean_square = np.full(start.shape, rule.initial_mean_square if is_rmsprop and not starts_at_zero else 0.0)
    inside = is_rmsprop is not rate_outside
    for gradient, rate in zip(gradients, rates, strict=True):
        scaled = gradient
        if is_rmsprop:
            mean_square = mean_square + (gradient**2 - mean_square) * (1 - rule.decay)
            root = np.sqrt(mean_square) + rule.epsilon if epsilon_outside else np.sqrt(mean_square + rule.epsilon)
            scaled = gradient / root
        gathered = rule.momentum * gathered + (rate * scaled if inside else scaled)
        variable = variable - (gathered if inside else rate * gathered)
    return variable


def of_loss(
    logits: Array, labels: Array, found: float, *, smoothings: Sequence[float], penalties: Mapping[str, float]
) -> Iterator[str]:
    """Which label smoothing and which weight decay make the loss of one side from its own logits."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    taken = -logs[np.arange(len(labels)), labels].mean()
    for smoothing, (words, penalty) in product(smoothings, penalties.items()):
        loss = (1 - smoothing) * taken - smoothing * logs.mean() + penalty
        if abs(loss - found) <= 1e-12 * max(1.0, abs(found)):
            yield f"label smoothing {smoothing:g}, weight decay {words}"
