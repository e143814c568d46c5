"""Definitions derived from another one: other classes, no classifier, no head, other input channels."""

from __future__ import annotations

from dataclasses import replace

from effnet_core.errors import InvalidOption, InvalidSpec
from effnet_core.heads import Classifier
from effnet_core.spec import NetworkSpec, Norm


def with_classes(spec: NetworkSpec, num_classes: int) -> NetworkSpec:
    """The same network with another number of classes; one without classifier gets one right behind the pooling.

    Raises `InvalidSpec` for a network without head.
    """
    from effnet_core.variants import FAMILIES, VARIANTS  # noqa: PLC0415 - for this change alone

    offset = FAMILIES[spec.family].label_offset_of(num_classes)
    if spec.classifier is not None:
        return replace(spec, classifier=replace(spec.classifier, num_classes=num_classes, label_offset=offset))
    if spec.head is None:
        raise InvalidSpec(
            f"{described(spec)}: a classifier of {num_classes} takes the head's features, and it ends with its last "
            "block. Leave the number of classes out, or take a checkpoint that holds the head."
        )
    variant = VARIANTS.get(spec.name)
    classifier = Classifier(
        in_channels=spec.head.out_channels,
        num_classes=num_classes,
        label_offset=offset,
        dropout_rate=0.0 if variant is None else variant.dropout_rate,
    )
    return replace(spec, classifier=classifier)


def without_classifier(spec: NetworkSpec) -> NetworkSpec:
    """The same network without hidden layers and classifier: it gives the features of the head."""
    return replace(spec, classifier=None)


def without_head(spec: NetworkSpec) -> NetworkSpec:
    """The same network up to its last block."""
    return replace(spec, head=None, classifier=None)


def without_background(spec: NetworkSpec) -> NetworkSpec:
    """The same network without class 0. Raises `InvalidOption` unless that is known to be the background."""
    classifier = spec.classifier
    if classifier is None or classifier.label_offset != 1 or classifier.num_classes < 2:
        known = "no classifier" if classifier is None else f"{classifier.num_classes} classes, none of them background"
        raise InvalidOption(
            f"{spec.name} has {known} as far as its definition says; expected a first class that is the background "
            "(label_offset 1, as EdgeTPU's 1001 classes have). Leave the background out of the options, or give the "
            "definition with label_offset=1."
        )
    cut = replace(classifier, num_classes=classifier.num_classes - 1, label_offset=0)
    return replace(spec, classifier=cut)


def with_in_channels(spec: NetworkSpec, in_channels: int) -> NetworkSpec:
    """The same network for images with another number of channels."""
    return replace(spec, stem=replace(spec.stem, in_channels=in_channels))


def classifier_of(spec: NetworkSpec, *, wanted: str) -> Classifier:
    """The classifier. Raises `InvalidOption` when there is none, saying that `wanted` (a noun) needs one."""
    if spec.classifier is None:
        raise InvalidOption(
            f"{described(spec)}: there is nothing that could give {wanted}. Take a checkpoint that holds a classifier, "
            "or ask for features (endpoints such as pooled or reduction_5)."
        )
    return spec.classifier


def norm_of(spec: NetworkSpec, *, wanted: str) -> Norm:
    """The normalisation behind every convolution. Raises `InvalidOption` when there is none, as in a folded network,
    saying that `wanted` (a noun) needs one.
    """
    if spec.norm is None:
        raise InvalidOption(
            f"{described(spec)} has its normalisations folded into the convolutions: there is nothing that {wanted} "
            "could be of. Take the checkpoint from before it was folded."
        )
    return spec.norm


def described(spec: NetworkSpec) -> str:
    """Name, coefficients and end of a network, for messages."""
    return f"{spec.name} (width {spec.width:g}, depth {spec.depth:g}, {ending(spec)})"


def ending(spec: NetworkSpec) -> str:
    """How a network ends: with how many classes and hidden layers, or without what."""
    if spec.classifier is None:
        return "no classifier" if spec.head is not None else "no head and no classifier"
    hidden = len(spec.classifier.hidden)
    behind = "" if hidden == 0 else f" behind {hidden} hidden layer{'' if hidden == 1 else 's'}"
    classes = spec.classifier.num_classes
    return f"{classes} class{'' if classes == 1 else 'es'}{behind}"
