"""What timm calls its EfficientNets and the weights that it publishes of them.

Source: timm 1.0.31, models/efficientnet.py: names, and the older ones that it still takes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from effnet_core import VARIANTS

TF = "tf_"
_IRREGULAR = {"efficientnet-condconv-b0-8e-depth": "efficientnet_cc_b1_8e"}
_TF_ALONE = re.compile(r"efficientnetv2-b[0-9]")
"""Variants that timm has with official weights only."""
_OLD = {"efficientnet_b2a": "efficientnet_b2", "efficientnet_b3a": "efficientnet_b3"}
_OLD_TAGS = {
    "ap": "ap_in1k",
    "ns": "ns_jft_in1k",
    "ns_475": "ns_jft_in1k_475",
    "in21k": "in21k",
    "in21ft1k": "in21k_ft_in1k",
}
"""How tf_ models told their weights apart before these were named behind a full stop."""
_OLD_TAG = re.compile(rf"(?<=[0-9a-z])_({'|'.join(_OLD_TAGS)})$")
_ENCODER = "tu-"
"""What segmentation_models_pytorch writes before the names of timm."""


def _timm_name(variant: str) -> str:
    shortened = variant.replace("edgetpu-", "e").replace("condconv-", "cc-").lower().replace("-", "_")
    return _IRREGULAR.get(variant, shortened)


def _table() -> dict[str, str]:
    names = {TF + _timm_name(variant): variant for variant in VARIANTS}
    names |= {_timm_name(variant): variant for variant in VARIANTS if not _TF_ALONE.fullmatch(variant)}
    return names | {old: names[new] for old, new in _OLD.items()}


VARIANT_OF: Mapping[str, str] = MappingProxyType(_table())
"""Every name that timm has for a network with an official definition, to the name of that."""


def name_of(variant: str, *, is_tf: bool) -> str | None:
    """What timm calls a variant, as a tf_ model or as one of the others; None where it has no such model."""
    name = (TF if is_tf else "") + _timm_name(variant)
    return name if VARIANT_OF.get(name) == variant else None


def bare(name: str) -> str:
    """`tf_efficientnet_b0` of `hf-hub:timm/tf_efficientnet_b0.ns_jft_in1k` and of `tf_efficientnet_b0_ns`."""
    model, _ = _parts(name)
    return _OLD_TAG.sub("", model) if model.startswith(TF) else model


def tag_of(name: str) -> str:
    """`ns_jft_in1k` of both; empty where a name tells nothing of weights."""
    model, tag = _parts(name)
    old = _OLD_TAG.search(model) if model.startswith(TF) and not tag else None
    return tag if old is None else _OLD_TAGS[old[1]]


def _parts(name: str) -> tuple[str, str]:
    model, _, tag = name.rpartition("/")[2].removeprefix(_ENCODER).partition(".")
    return model, tag
