"""Layers without tensors that may stand behind a network, in Keras files that list them and have no configuration.

The listing tells classes, at times names alone, but neither the order nor what an Activation computes. It tells the
pooling, and whether there are layers that no head can have. Of those that stand beside the network's own layers, the
network has what keras.applications has: by names, or by their number where layers have none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from converters.errors import some_of
from converters.formats.base import Reader
from converters.keras_json import snake_case
from converters.keras_models.classes import IDLE, OF_IMAGES, POOLING, PRODUCT, SUM
from converters.keras_models.listed import plain_name
from effnet_core import NetworkSpec, Pooling

_OWN = re.compile(r"stem_\w+|block[0-9]+._\w+|top_(?:activation|dropout)")
"""How keras.applications, qubvel and KerasHub name the layers of their networks."""
_POOLINGS = MappingProxyType({snake_case(kind): pooling for kind, pooling in POOLING.items()})
_NAMED = MappingProxyType({"avg_pool": Pooling.AVERAGE, "max_pool": Pooling.MAX})
"""What keras.applications names its poolings."""
_MODELS = frozenset({"functional", "sequential"})
_HARMLESS = frozenset(
    {
        *map(snake_case, IDLE | OF_IMAGES),
        *("softmax", "flatten", "reshape", "permute"),  # logits are what a softmax takes
        *("concatenate", "repeat_vector"),  # colours of a gray image; behind the network widths tell
        *("global_average_pooling1d", "global_average_pooling3d"),  # the average over more, or other, axes
        *("lambda", "subtract", "divide", "true_divide", "tf_op_lambda"),  # named as what may change images
    }
)
_UNCLEAR = frozenset({"activation", "re_lu"})
"""What heads often have, and of which the listing does not tell what it computes or where."""
_NO_HEADS = frozenset(
    {
        *map(snake_case, (SUM, PRODUCT, "Average", "Maximum", "Minimum", "Dot", "MaxPooling2D", "UnitNormalization")),
        *map(snake_case, ("LeakyReLU", "PReLU", "ELU", "ThresholdedReLU")),
    }
)
"""Layers of Keras that no head has: what a name alone is taken for, where the file does not tell the class."""


@dataclass(frozen=True, kw_only=True)
class ListedBehind:
    """What a listing tells of a head."""

    pooling: Pooling | None
    """None where it lists no global pooling."""
    impossible: tuple[str, ...] = ()
    """Layers that no head can have."""
    unclear: tuple[str, ...] = ()
    """Layers that a head can have, of which it does not tell what they compute or where they stand."""

    @property
    def is_usual(self) -> bool:
        """Whether it tells nothing else than what networks with a classifier of their own have."""
        return self.pooling is not Pooling.MAX and not self.impossible

    @property
    def refusal(self) -> str | None:
        """Why there is no head that these layers leave possible; None where there is one."""
        if not self.impossible:
            return None
        return (
            f"the file lists {some_of(self.impossible, count=3)}, which no head of a definition has (where that is no "
            "part of what the head computes, give the whole definition with --spec FILE.json)"
        )


def listed_behind(reader: Reader, *, stem: str, spec: NetworkSpec | None) -> ListedBehind | None:
    """What the layers without tensors tell that are none of the network whose first convolution is `stem`.

    Without its `spec`, of layers without names only those tell that no network has. None where the file lists no
    layers that tell.
    """
    kinds = _kinds(reader, stem, spec)
    if not kinds:
        return None
    poolings = {pooling for layer, kind in kinds.items() if (pooling := _pooling_of(layer, kind)) is not None}
    several = len(poolings) > 1
    impossible = [
        layer
        for layer, kind in kinds.items()
        if (_pooling_of(layer, kind) is not None and several) or _is_no_head(kind)
    ]
    return ListedBehind(
        pooling=None if several else next(iter(poolings), None),
        impossible=tuple(sorted(impossible)),
        unclear=tuple(sorted(layer for layer, kind in kinds.items() if kind in _UNCLEAR)),
    )


def _pooling_of(layer: str, kind: str | None) -> Pooling | None:
    return _NAMED.get(plain_name(layer)) if kind is None else _POOLINGS.get(kind)


def _is_no_head(kind: str | None) -> bool:
    return kind is not None and kind not in _POOLINGS and kind not in _HARMLESS | _UNCLEAR


def _kinds(reader: Reader, stem: str, spec: NetworkSpec | None) -> dict[str, str | None]:
    """The class of each layer without tensors around the network and beside its own; None where it is not told."""
    around = stem.rpartition("/")[0]
    listed = reader.layers or frozenset[str]()
    models = {layer.rpartition("/")[0] for layer in (*listed, *_layers_of(reader))}
    bare = listed - _layers_of(reader) - models
    beside = {layer for layer in bare if layer.rpartition("/")[0] == around}
    named = any(_OWN.fullmatch(layer.rpartition("/")[2]) for layer in beside)
    own = {layer for layer in beside if not named or _OWN.fullmatch(layer.rpartition("/")[2])}
    kinds = {layer: _kind(reader, layer) for layer in bare - own if not _is_inside(layer, around)}
    more = {} if named else _more_than_own(Counter(_kind(reader, layer) for layer in own), spec)
    return {layer: kind for layer, kind in kinds.items() if kind not in _MODELS} | more


def _is_inside(layer: str, around: str) -> bool:
    """Whether a layer stands in a model that is itself a layer of the network's model."""
    return bool(around) and layer.rpartition("/")[0].startswith(f"{around}/")


def _layers_of(reader: Reader) -> frozenset[str]:
    return frozenset(name.rpartition("/")[0] for name in reader.tensors)


def _kind(reader: Reader, layer: str) -> str | None:
    """The class of a layer in snake case, or a name that says it; None where neither is told."""
    kind, name = reader.layer_classes.get(layer), plain_name(layer)
    return name if kind is None and name in _NO_HEADS | _UNCLEAR | _POOLINGS.keys() else kind


def _more_than_own(counts: Mapping[str | None, int], spec: NetworkSpec | None) -> dict[str, str | None]:
    """The classes that a model without names has more often than its network, by names of their own.

    Without its `spec`, those that no network of keras.applications has.
    """
    blocks = () if spec is None else spec.blocks
    squeezes = sum(getattr(block, "squeeze_channels", None) is not None for block in blocks)
    own = {
        snake_case(SUM): sum(block.has_residual for block in blocks),
        snake_case(PRODUCT): squeezes,
        snake_case("GlobalAveragePooling2D"): squeezes,
    }
    kinds = (_NO_HEADS | _POOLINGS.keys()) & counts.keys() - (own.keys() if spec is None else set[str]())
    return {kind: kind for kind in kinds if counts[kind] > own.get(kind, 0)}
