"""Why two networks part: the tensors around the first layer that does, and the usual causes, tried out.

A suspicion is a changed network (`effnet.parity_engine.hypotheses`). It is run as the original was, up to the layer in
question, and explains the difference when float64 then holds it to what rounding explains; only such a one is run
whole. One that takes most of the difference away, and leaves more than rounding explains, is told apart from that.
Nothing is concluded from names or numbers alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from effnet.backends import Network
from effnet.choices import Backend
from effnet.parity_engine.bits import differing_bits
from effnet.parity_engine.compare import MULTIPLE, ROUNDOFF64, Array, Comparison, Outputs, distance, explained
from effnet.parity_engine.hypotheses import Hypothesis, Place, Suspect, belongs, hypotheses, up_to
from effnet.parity_engine.pair import Again
from effnet_core import parameters

_IMAGE_AXES = 4
NEARLY = 100
"""How many times smaller a suspicion has to make a difference to be told although it does not explain all of it."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One tensor in a few numbers."""

    name: str
    """An endpoint, "input", or the canonical name of a weight."""
    shape: tuple[int, ...]
    mean: float
    std: float
    largest: float
    """Largest |value|."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What goes into a layer of one network, what it has, and what comes out."""

    before: Summary
    weights: tuple[Summary, ...]
    """As the network was given them, in forward order."""
    after: Summary


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A change of one network with which it agrees with the other one at the first layer that differed."""

    suspect: Suspect
    side: str
    """The network that was changed: "a" or "b"."""
    words: str
    """What it does then: "is padded symmetrically"."""
    relative_l2: float
    """What is left between the two at the layer, in float64."""
    is_whole: bool
    """Whether the networks then agree in every layer."""
    is_everywhere: bool
    """Whether the change was made in every layer, and not at this one alone."""
    next_difference: str | None
    """The first layer that still differs; None where `is_whole`."""


@dataclass(frozen=True, kw_only=True)
class NearCause:
    """A change of one network that takes away most of the difference at the first layer, and not all of it."""

    suspect: Suspect
    side: str
    words: str
    relative_l2: float
    """What is left between the two at the layer, in float64."""
    before: float
    """What there was without the change."""


@dataclass(frozen=True, kw_only=True)
class WeightDifference:
    """A tensor of the first layer that differs whose values are not the same in both networks."""

    name: str
    differing: int
    """Values of which a bit differs; all of them where the shapes differ or one side does not have it."""
    size: int
    not_finite: tuple[str, ...]
    """The sides that hold NaN or Inf in it: "a", "b"."""
    only: str | None
    """The side that alone has it; None where both do."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What is known about the first layer that differs."""

    layer: str
    a: Surroundings
    b: Surroundings
    causes: tuple[Cause, ...]
    """Whatever explains the layer, what explains the whole network first; empty where nothing that was tried does."""
    tried: tuple[Suspect, ...]
    """What was suspected."""
    nearest: NearCause | None
    """Of what was tried, what comes nearest, where nothing explains the difference and this makes it `NEARLY` times
    smaller.
    """
    weights: tuple[WeightDifference, ...]
    """The tensors of the layer that differ, as the networks were given them, in forward order."""
    folded: str | None
    """The side whose normalisations alone are folded into the convolutions, so that its weights are others."""


@dataclass(frozen=True, kw_only=True)
class Party:
    """One network, what it gave, and how to run another in its place."""

    letter: str
    network: Network
    backend: Backend
    outputs: Outputs
    again: Again


def diagnose(comparison: Comparison, a: Party, b: Party, batch: Array) -> Diagnosis | None:
    """What surrounds the first difference of two networks, and what explains it; None where they agree.

    A difference in float32 alone has no cause to be looked for: the networks mean the same.
    """
    layer = comparison.first_difference
    if layer is None:
        return None
    names = tuple(one.name for one in comparison.layers)
    before = names[names.index(layer) - 1] if names[0] != layer else None
    causes: list[Cause] = []
    near: list[NearCause] = []
    tried: list[Suspect] = []
    # PyTorch builds a network faster than Keras, and one explanation is enough.
    for changed, fixed in sorted(((a, b), (b, a)), key=lambda pair: pair[0].backend is not Backend.TORCH):
        if causes or all(one.agrees64 for one in comparison.layers):
            break
        source = batch if before is None else changed.outputs.float64[before]
        size = (source.shape[1], source.shape[2]) if source.ndim == _IMAGE_AXES else None
        place = Place(layer=layer, is_first=before is None, size=size)
        for hypothesis in hypotheses(changed.network, fixed.network.spec, place, batch):
            tried.append(hypothesis.suspect)
            found = _tested(hypothesis, changed, fixed, comparison, layer)
            if isinstance(found, NearCause):
                near.append(found)
            elif found is not None:
                causes.append(found)
    return Diagnosis(
        layer=layer,
        a=_surroundings(a, layer, before, batch),
        b=_surroundings(b, layer, before, batch),
        causes=tuple(sorted(causes, key=lambda cause: not cause.is_whole)),
        tried=tuple(dict.fromkeys(tried)),
        nearest=None if causes else min(near, key=lambda one: one.relative_l2, default=None),
        weights=_weights(layer, a.network, b.network),
        folded=_folded(a.network, b.network),
    )


def _tested(
    hypothesis: Hypothesis, changed: Party, fixed: Party, comparison: Comparison, layer: str
) -> Cause | NearCause | None:
    """The cause that a suspicion turns out to be, or nearly: first up to the layer, then whole."""
    names = tuple(one.name for one in comparison.layers)
    near = names[: names.index(layer) + 1]
    found = changed.again(up_to(hypothesis.here, layer), hypothesis.batch, near)
    following = _first_difference(found, fixed, comparison, near)
    if following not in (None, layer) or found[layer].shape != fixed.outputs.float64[layer].shape:
        return None
    left = distance(found[layer], fixed.outputs.float64[layer]).relative_l2
    if following is not None:
        before = comparison.layers[names.index(layer)].float64.relative_l2
        if not left * NEARLY <= before:
            return None
        return NearCause(
            suspect=hypothesis.suspect, side=changed.letter, words=hypothesis.words, relative_l2=left, before=before
        )
    reached: list[tuple[int, bool, str | None]] = []
    for network, is_everywhere in ((hypothesis.everywhere, True), (hypothesis.here, False)):
        if network is not None:
            whole = changed.again(network, hypothesis.batch, names)
            following = _first_difference(whole, fixed, comparison, names)
            reached.append((len(names) if following is None else names.index(following), is_everywhere, following))
            if following is None:
                break
    _, is_everywhere, following = max(reached, key=lambda one: one[0])
    return Cause(
        suspect=hypothesis.suspect,
        side=changed.letter,
        words=hypothesis.words,
        relative_l2=left,
        is_whole=following is None,
        is_everywhere=is_everywhere,
        next_difference=following,
    )


def _first_difference(
    found: Mapping[str, Array], fixed: Party, comparison: Comparison, names: tuple[str, ...]
) -> str | None:
    """The first of the layers in which a changed network is not as the other one, in float64."""
    return next((name for name in names if not _agrees(name, found[name], fixed.outputs, comparison)), None)


def _agrees(name: str, found: Array, outputs: Outputs, comparison: Comparison) -> bool:
    wanted = outputs.float64[name]
    if found.shape != wanted.shape:
        return False
    apart, limit = distance(found, wanted), comparison.limits.float64
    if limit is not None:
        return apart.relative <= limit
    # What rounding does to the other network: a right change computes the same.
    own = distance(outputs.float32[name], wanted).relative_l2
    return apart.relative_l2 <= MULTIPLE * explained(own, own, roundoff=ROUNDOFF64)


def _weights(layer: str, a: Network, b: Network) -> tuple[WeightDifference, ...]:
    names = [
        parameter.name for network in (a, b) for parameter in parameters(network.spec) if belongs(parameter, layer)
    ]
    found: list[WeightDifference] = []
    for name in dict.fromkeys(names):
        held = {"a": a.state.get(name), "b": b.state.get(name)}
        bits = differing_bits(name, *held.values())
        bad = [side for side, values in held.items() if values is not None and not np.isfinite(values).all()]
        having = [side for side, values in held.items() if values is not None]
        if bits.differing:
            found.append(
                WeightDifference(
                    name=name,
                    differing=bits.differing,
                    size=bits.size,
                    not_finite=tuple(bad),
                    only=having[0] if len(having) == 1 else None,
                )
            )
    return tuple(found)


def _folded(a: Network, b: Network) -> str | None:
    if (a.spec.norm is None) is (b.spec.norm is None):
        return None
    return "a" if a.spec.norm is None else "b"


def _surroundings(party: Party, layer: str, before: str | None, batch: Array) -> Surroundings:
    network, outputs = party.network, party.outputs.float64
    weights = [parameter.name for parameter in parameters(network.spec) if belongs(parameter, layer)]
    return Surroundings(
        before=_summary("input", batch) if before is None else _summary(before, outputs[before]),
        weights=tuple(_summary(name, network.state[name]) for name in weights),
        after=_summary(layer, outputs[layer]),
    )


def _summary(name: str, values: Array) -> Summary:
    wide = values.astype(np.float64)
    return Summary(
        name=name,
        shape=values.shape,
        mean=float(wide.mean()),
        std=float(wide.std()),
        largest=float(np.abs(wide).max()),
    )
