"""How the layers of a network stand to each other in the configuration of a Keras model.

Tensors do not tell whether blocks have residuals, nor what else was put between the layers of a network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from converters.errors import counted, some_of
from converters.keras_json import Layer
from converters.keras_models.classes import ACTIVATION_LAYERS, IDLE, PRODUCT, SUM, ZEROS
from effnet_core import FusedMBConv, NetworkSpec

_LONGEST_NAME = 40
_PASSING = ACTIVATION_LAYERS | IDLE | {"GlobalAveragePooling2D", "Reshape", ZEROS}
"""Layers that networks are built of, or that do nothing in evaluation; activations are looked at where they stand."""
_CHANGING = frozenset(
    {
        *("Average", "AveragePooling2D", "BatchNormalization", "Concatenate", "Conv2D", "Conv2DTranspose"),
        *("Cropping2D", "Dense", "DepthwiseConv2D", "Dot", "GlobalMaxPooling2D", "GroupNormalization"),
        *("LayerNormalization", "MaxPooling2D", "Maximum", "Minimum", "MultiHeadAttention", "Normalization"),
        *("Permute", "RMSNormalization", "Rescaling", "Resizing", "SeparableConv2D", "SpectralNormalization"),
        *("Subtract", "UnitNormalization", "UpSampling2D"),
    }
)
"""Layers of Keras that no network has beside its own. What a layer of another class does is not known here."""


def is_known(layer: Layer) -> bool:
    """Whether it is known here what a layer of this class does."""
    return layer.kind in _PASSING | _CHANGING | {SUM, PRODUCT}


class Wiring(NamedTuple):
    """What stands inside a network beside its own layers."""

    wrong: tuple[str, ...]
    """What it has not, a few words each."""
    unknown: tuple[str, ...]
    """Layers of which nobody knows here what they do."""


def wiring(
    spec: NetworkSpec,
    layers: Mapping[str, Layer],
    before: Mapping[str, frozenset[str]],
    *,
    own: frozenset[str],
    ends: tuple[str, str],
) -> Wiring:
    """What stands between the ends of a network, its first convolution and its last norm, both excluded.

    `before` names the layers whose results each takes; `own` are the layers that hold the network's tensors.
    """
    first, last = ends
    if first not in layers or last not in layers:
        return Wiring(wrong=(), unknown=())
    inside = _behind(last, before) - _behind(first, before) - own
    foreign = [layers[name] for name in layers if name in inside]
    kinds = Counter(layer.kind for layer in foreign)
    wrong: list[str] = []
    if changing := [_named(layer) for layer in foreign if layer.kind in _CHANGING]:
        wrong.append(f"{some_of(changing)} inside")
    unknown = [_named(layer) for layer in foreign if not is_known(layer)]
    if not unknown:  # which may be sums, or products
        residuals = sum(block.has_residual for block in spec.blocks)
        if spec.head is None and spec.blocks[-1].has_residual:
            residuals -= 1  # the last one stands behind the last norm
        gates = sum(not isinstance(block, FusedMBConv) and block.squeeze_channels is not None for block in spec.blocks)
        for kind, expected, what in ((SUM, residuals, "residual"), (PRODUCT, gates, "squeeze-and-excite")):
            if kinds[kind] != expected:
                wrong.append(f"{counted(kinds[kind], 'layer')} {kind} where it has {expected}, one for each {what}")
    return Wiring(wrong=tuple(wrong), unknown=tuple(unknown))


def _named(layer: Layer) -> str:
    return f"{layer.kind[:_LONGEST_NAME]} {layer.path.rpartition('/')[2][:_LONGEST_NAME]}"


def _behind(name: str, before: Mapping[str, frozenset[str]]) -> set[str]:
    """Every layer from which something leads to one."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        new = before.get(waiting.pop(), frozenset()) - found
        found |= new
        waiting += new
    return found
