"""The activation of a layer, and definitions with another one."""

from __future__ import annotations

from dataclasses import replace

from effnet_core import Activation, FusedMBConv, HiddenActivation, HiddenDense, NetworkSpec


def activation_of(spec: NetworkSpec, layer: str) -> Activation | None:
    """The activation that acts in a layer."""
    where, *rest = layer.split(".")
    if where == "stem":
        return spec.stem.activation
    if where == "head" and spec.head is not None:
        return spec.head.activation
    if where == "hidden" and spec.classifier is not None:
        hidden = spec.classifier.hidden[int(rest[0])]
        return hidden.activation if isinstance(hidden, HiddenDense | HiddenActivation) else None
    if where == "blocks" and len(rest) > 1:
        block = spec.blocks[int(rest[0])]
        is_linear = rest[1] == "project" and (block.has_expansion or not isinstance(block, FusedMBConv))
        return None if is_linear else block.activation
    return None


def with_activation(spec: NetworkSpec, layer: str, activation: Activation) -> NetworkSpec:
    """The definition with another one at a layer; in a block, in all its parts, which have one in common."""
    where, *rest = layer.split(".")
    if where == "stem":
        return replace(spec, stem=replace(spec.stem, activation=activation))
    if where == "head" and spec.head is not None:
        return replace(spec, head=replace(spec.head, activation=activation))
    index = int(rest[0])
    if where == "hidden" and spec.classifier is not None:
        hidden = list(spec.classifier.hidden)
        changed = hidden[index]
        if isinstance(changed, HiddenDense | HiddenActivation):
            hidden[index] = replace(changed, activation=activation)
        return replace(spec, classifier=replace(spec.classifier, hidden=tuple(hidden)))
    blocks = list(spec.blocks)
    blocks[index] = replace(blocks[index], activation=activation)
    return replace(spec, blocks=tuple(blocks))


def with_activations(spec: NetworkSpec, own: Activation | None, activation: Activation) -> NetworkSpec:
    """The definition with another one wherever stem, blocks and head have `own`."""
    found = {"stem": spec.stem.activation}
    found |= {f"blocks.{index}": block.activation for index, block in enumerate(spec.blocks)}
    if spec.head is not None:
        found["head"] = spec.head.activation
    for layer, now in found.items():
        if now is own:
            spec = with_activation(spec, layer, activation)
    return spec
