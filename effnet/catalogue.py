"""The published variants and checkpoints, and the facts of one network, for people and programs."""

from __future__ import annotations

from dataclasses import dataclass

from effnet_core import VARIANTS, Family, NetworkSpec, Preprocessing, classifier_of, counts, resolve
from effnet_core.checkpoints import CHECKPOINTS, OfficialCheckpoint, official_spec


@dataclass(frozen=True, kw_only=True)
class VariantSummary:
    """A row of the list of variants."""

    name: str
    family: Family
    width: float
    depth: float
    resolution: int
    """Side of the square input in pixels."""
    dropout_rate: float
    parameters: int
    """Trainable parameters with the published number of classes."""
    multiply_adds: int
    """For one image at `resolution`."""
    checkpoints: tuple[str, ...]
    """Names of its official checkpoints, for `effnet.fetch` and `official:NAME`."""


@dataclass(frozen=True, kw_only=True)
class CheckpointSummary:
    """A row of the list of official checkpoints."""

    name: str
    variant: str
    recipe: str
    resolution: int
    """Side of the square input in pixels."""
    preprocessing: Preprocessing
    """Input normalisation, crop and interpolation."""
    num_classes: int
    label_offset: int
    """Classes before the first ImageNet label."""
    top1: float | None
    """Published top-1 accuracy on ImageNet in percent, None where none is published."""
    source: str
    """The repository and file that publish address and accuracy."""
    address: str


@dataclass(frozen=True, kw_only=True)
class NetworkInfo:
    """A network and its counts."""

    spec: NetworkSpec
    parameters: int
    """Trainable parameters."""
    total: int
    """Numbers in a checkpoint: trainable parameters and moving statistics."""
    multiply_adds: int
    """For one image at the resolution of the spec's preprocessing."""
    notes: tuple[str, ...]
    """How the network was recognised, one sentence each; empty for a network that was asked for by name."""


def list_variants() -> tuple[VariantSummary, ...]:
    """Every published variant with its counts, in the order of the tables."""
    return tuple(_summary(name) for name in VARIANTS)


def list_checkpoints() -> tuple[CheckpointSummary, ...]:
    """Every official checkpoint, in the order of the READMEs that publish them."""
    return tuple(_checkpoint_summary(row) for row in CHECKPOINTS.values())


def network_info(spec: NetworkSpec, *, notes: tuple[str, ...] = ()) -> NetworkInfo:
    """The counts of a network."""
    found = counts(spec)
    return NetworkInfo(
        spec=spec,
        parameters=found.trainable,
        total=found.trainable + found.statistics,
        multiply_adds=found.multiply_adds,
        notes=notes,
    )


def _summary(name: str) -> VariantSummary:
    variant, found = VARIANTS[name], counts(resolve(name))
    return VariantSummary(
        name=name,
        family=variant.family,
        width=variant.width,
        depth=variant.depth,
        resolution=variant.resolution,
        dropout_rate=variant.dropout_rate,
        parameters=found.trainable,
        multiply_adds=found.multiply_adds,
        checkpoints=tuple(row.name for row in CHECKPOINTS.values() if row.variant == name),
    )


def _checkpoint_summary(row: OfficialCheckpoint) -> CheckpointSummary:
    spec = official_spec(row)
    classifier = classifier_of(spec, wanted="classes")
    return CheckpointSummary(
        name=row.name,
        variant=row.variant,
        recipe=row.recipe,
        resolution=spec.preprocessing.resolution,
        preprocessing=spec.preprocessing,
        num_classes=classifier.num_classes,
        label_offset=classifier.label_offset,
        top1=row.top1,
        source=row.source,
        address=row.address,
    )
