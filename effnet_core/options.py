"""Options that `create_model` of both backends takes, and what they make of a definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, cast

from effnet_core.changes import classifier_of, described, with_classes
from effnet_core.endpoints import endpoints, reductions
from effnet_core.errors import EffnetError, InvalidOption
from effnet_core.heads import HiddenNorm, Pooling
from effnet_core.resolving import resolve
from effnet_core.spec import NetworkSpec


class UnknownEndpoint(EffnetError):
    """No intermediate result of that name exists in the network."""


class NormMode(StrEnum):
    """What training does with batch normalisation."""

    TRAINED = "trained"
    """Normalises with the statistics of the batch, updates the moving ones, and learns gamma and beta."""
    FROZEN = "frozen"
    """Normalises with the moving statistics in training too, and changes neither them nor gamma and beta: for
    fine-tuning with few images or small batches, whose statistics would spoil those of the checkpoint."""

    @classmethod
    def _missing_(cls, value: object) -> NormMode:
        raise InvalidOption(f"There is no mode of normalisation named {value!r}; expected one of {', '.join(cls)}.")


def configured(
    network: str | NetworkSpec,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    dropout_rate: float | None = None,
    drop_connect_rate: float | None = None,
) -> NetworkSpec:
    """The definition of `network` with the options that are given; what is None stays as it is.

    A name is resolved as published. `drop_connect_rate` is the rate that the network would reach after its last block:
    block `index` gets drop_connect_rate * index / len(blocks).

    Raises `UnknownVariant` for a name that is none, `InvalidSpec` for a value that is out of range, and `InvalidOption`
    for the dropout of a network without classifier.
    """
    spec = resolve(network) if isinstance(network, str) else network
    spec = spec if num_classes is None else with_classes(spec, num_classes)
    stem, blocks, classifier = spec.stem, spec.blocks, spec.classifier
    if in_channels is not None:
        stem = replace(stem, in_channels=in_channels)
    if drop_connect_rate is not None:
        rates = [float(drop_connect_rate) * index / len(blocks) for index in range(len(blocks))]
        blocks = tuple(replace(block, drop_connect_rate=rate) for block, rate in zip(blocks, rates, strict=True))
    if dropout_rate is not None:
        classifier = replace(classifier_of(spec, wanted="dropout"), dropout_rate=float(dropout_rate))
    return replace(spec, stem=stem, blocks=blocks, classifier=classifier)


def check_norm_mode(spec: NetworkSpec, mode: NormMode) -> None:
    """Raise `InvalidOption` where norms are to be frozen and the network has none."""
    hidden = () if spec.classifier is None else spec.classifier.hidden
    if mode is NormMode.FROZEN and spec.norm is None and not any(isinstance(layer, HiddenNorm) for layer in hidden):
        raise InvalidOption(
            f"{described(spec)} has its normalisations folded into the convolutions: there are none to freeze. Leave "
            "norm_mode out, or fine-tune the network from before it was folded."
        )


def checked_state(weights: object) -> Mapping[str, Any]:
    """The weights that a model is to take, when they are a canonical state. Raises `InvalidOption` otherwise."""
    if not isinstance(weights, Mapping):
        raise InvalidOption(
            f"weights is {weights!r}; expected a canonical state, which maps names such as stem.conv.kernel to arrays. "
            "To build a network with the weights of a file, call effnet.load_model(PATH, backend=...)."
        )
    return cast("Mapping[str, Any]", weights)


def features_pooling(spec: NetworkSpec, pooling: Pooling | None) -> Pooling:
    """How the features of a model without classifier are pooled; None: as the definition says, else the average.

    A network without head gives its last block unpooled. Raises `InvalidOption` when it is to be pooled.
    """
    if spec.head is None:
        if pooling not in (None, Pooling.NONE):
            raise InvalidOption(
                f"{described(spec)}: it gives its last block as it is; found pooling={Pooling(pooling).value!r}. Leave "
                "it out, and pool the features of the last block."
            )
        return Pooling.NONE
    if pooling is not None:
        return Pooling(pooling)
    return Pooling.AVERAGE if spec.classifier is None else spec.classifier.pooling


def select_endpoints(spec: NetworkSpec, names: Sequence[str], *, include_top: bool = True) -> dict[str, str]:
    """Each requested name with the endpoint that it stands for: `reduction_K` names a block, the others themselves.

    A model without its classifier (`include_top=False`) has no hidden layers and no `logits`. Raises `UnknownEndpoint`
    for a name that the network does not have, and `InvalidOption` for no name at all and for the logits of a network
    without classifier.
    """
    if not names:
        raise InvalidOption("The list of endpoints is empty; name at least one, or leave it out for the usual output.")
    if "logits" in names:
        classifier_of(spec, wanted="logits")
    known = {name: name for name in endpoints(spec)} | reductions(spec)
    if not include_top:
        known = {name: known[name] for name in known if name != "logits" and not name.startswith("hidden.")}
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=3)
            hint = f"Near: {', '.join(near)}. " if near else ""
            raise UnknownEndpoint(f"{spec.name} has no endpoint named {name!r}. {hint}{_listed(spec, include_top)}")
    return {name: known[name] for name in names}


def _listed(spec: NetworkSpec, include_top: bool) -> str:
    blocks = (
        f"It has stem, blocks.0 to blocks.{len(spec.blocks) - 1} and their parts (expand, depthwise, squeeze_excite, "
        f"project, each where the block has it), reduction_1 to reduction_{len(reductions(spec))}"
    )
    ends = [name for name in endpoints(spec) if not name.startswith(("stem", "blocks."))]
    if not include_top and spec.classifier is not None:
        return f"{blocks}, head, pooled; {', '.join(ends[2:])} only with include_top=True."
    return f"{', '.join([blocks, *ends])}."
