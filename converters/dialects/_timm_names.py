"""What timm calls its EfficientNets, and what a file says of its network in these words.

Its folders say it in config.json, its training program in the checkpoint (`arch`, `args`), Lightning modules in what
they were made with (`hyper_parameters`).

Source: timm 1.0.31, models/efficientnet.py (names, and the older ones that it still takes), models/_hub.py
(config.json), utils/checkpoint_saver.py and train.py (without `args`, `arch` is the lower-case name of a class);
only earlier versions have `bn_tf`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from converters.dialects._json_fields import Fields, as_fields, fields_of
from effnet_core import VARIANTS

_TF = "tf_"
_IRREGULAR = {"efficientnet-condconv-b0-8e-depth": "efficientnet_cc_b1_8e"}
_TF_ALONE = re.compile(r"efficientnetv2-b[0-9]")
"""Variants that timm has with official weights only."""
_OLD = {"efficientnet_b2a": "efficientnet_b2", "efficientnet_b3a": "efficientnet_b3"}
_OLD_TAG = re.compile(r"(?<=[0-9a-z])_(?:ap|ns|ns_475|in21k|in21ft1k)$")
"""How tf_ models told their weights apart before these were named behind a full stop."""
_LIKE_TIMM = re.compile(r"(?:^|_)efficientnet(?:v2)?_")
_WORDS = ("model_name", "arch", "architecture", "model", "backbone", "encoder_name", "encoder", "backbone_name", "name")
"""What people call the option that names the network."""
_PARTS = frozenset({"backbone", "encoder_name", "encoder", "backbone_name"})
"""Those that name a part of a larger model."""
_OF_ANY_PART = frozenset({"act_layer", "norm_layer"})
"""Options of timm that may be meant for the rest of such a model."""
_POOLINGS = re.compile(r"(?:fast)?(?:avg|max|avgmax|catavgmax)|fast")
"""What timm takes for the pooling before a classifier."""


def _timm_name(variant: str) -> str:
    shortened = variant.replace("edgetpu-", "e").replace("condconv-", "cc-").lower().replace("-", "_")
    return _IRREGULAR.get(variant, shortened)


def _table() -> dict[str, str]:
    names = {_TF + _timm_name(variant): variant for variant in VARIANTS}
    names |= {_timm_name(variant): variant for variant in VARIANTS if not _TF_ALONE.fullmatch(variant)}
    return names | {old: names[new] for old, new in _OLD.items()}


VARIANT_OF: Mapping[str, str] = MappingProxyType(_table())
"""Every name that timm has for a network with an official definition, to the name of that."""


def name_of(variant: str, *, is_tf: bool) -> str | None:
    """What timm calls a variant, as a tf_ model or as one of the others; None where it has no such model."""
    name = (_TF if is_tf else "") + _timm_name(variant)
    return name if VARIANT_OF.get(name) == variant else None


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What a file says of its network."""

    where: str
    """In which file or under which key."""
    name: str
    is_certain: bool
    """Whether it can be nothing else than the name of a model of timm."""
    options: Fields = field(default_factory=lambda: MappingProxyType({}))
    """What timm's function was given besides, by its own words; None stands for what is usual."""

    @property
    def model(self) -> str:
        """The name without where the model comes from and which weights it has."""
        return bare(self.name)

    @property
    def variant(self) -> str | None:
        """The official network; None for a name that timm does not have for one."""
        return VARIANT_OF.get(self.model)

    @property
    def is_tf(self) -> bool:
        """Whether it is one of those that compute as the official code does."""
        return self.model.startswith(_TF)


def bare(name: str) -> str:
    """`tf_efficientnet_b0` of `hf-hub:timm/tf_efficientnet_b0.ns_jft_in1k` and of `tf_efficientnet_b0_ns`."""
    model = name.rpartition("/")[2].partition(".")[0]
    return _OLD_TAG.sub("", model) if model.startswith(_TF) else model


def statement(texts: Mapping[str, str]) -> Statement | None:
    """The first that names a model of timm, or else the first; None where the texts name none."""
    found = list(_statements(texts))
    named = (one for one in found if one.is_certain or one.variant is not None or _LIKE_TIMM.search(one.model))
    return next(named, next(iter(found), None))


def _statements(texts: Mapping[str, str]) -> Iterator[Statement]:
    document = fields_of(texts.get("config.json")) or {}
    if isinstance(name := document.get("architecture"), str):
        options = {"global_pool": document.get("global_pool")} | dict(as_fields(document.get("model_args")) or {})
        yield Statement(where="the file config.json", name=name, is_certain=True, options=options)
    args = fields_of(texts.get("args")) or {}
    if (name := texts.get("arch")) is not None:
        yield Statement(where="the checkpoint's arch", name=name, is_certain=False, options=_trained_with(args))
    for key, fields in (("args", args), ("hyper_parameters", fields_of(texts.get("hyper_parameters")) or {})):
        # Of other programs' options only what is one of timm's names says anything.
        for word in _WORDS:
            if isinstance(name := fields.get(word), str) and (
                bare(name) in VARIANT_OF or _LIKE_TIMM.search(bare(name))
            ):
                options = _trained_with(fields, word)
                yield Statement(where=f"the checkpoint's {key}.{word}", name=name, is_certain=False, options=options)


def _trained_with(args: Fields, word: str = "") -> Fields:
    """What options of a program say in timm's words, where they hold what timm takes; `word` names the network."""
    said: dict[str, object] = {}
    for option, is_meant in _OPTIONS.items():
        if option in args and is_meant(value := args[option]) and not (option in _OF_ANY_PART and word in _PARTS):
            said[option] = value
    if "global_pool" not in said and _is_pooling(pooling := args.get("gp")):
        said["global_pool"] = pooling
    return said | dict(as_fields(args.get("model_kwargs")) or {})


def _is_pooling(value: object) -> bool:
    return isinstance(value, str) and _POOLINGS.fullmatch(value) is not None


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_word(value: object) -> bool:
    return isinstance(value, str) and value.isidentifier()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value != 0


def _is_true(value: object) -> bool:
    return value is True


_OPTIONS: Mapping[str, Callable[[object], bool]] = MappingProxyType(
    {
        "bn_tf": _is_true,
        "bn_eps": _is_number,
        "bn_momentum": _is_number,
        "global_pool": _is_pooling,
        "output_stride": _is_number,
        "pad_type": _is_text,
        "act_layer": _is_word,
        "norm_layer": _is_word,
        "aa_layer": _is_word,
        "se_layer": _is_word,
    }
)
"""Options that people hand to timm's function by its own words, and which values are its own: others mean what is
usual, or are another program's."""


def says_tf(texts: Mapping[str, str]) -> bool:
    """Whether a file says that its network is one of the tf_ models."""
    found = statement(texts)
    return found is not None and found.variant is not None and found.is_tf


def says_symmetric(texts: Mapping[str, str]) -> bool:
    """Whether a file says that its network is one of the others."""
    found = statement(texts)
    return found is not None and found.variant is not None and not found.is_tf


def objection(texts: Mapping[str, str]) -> str | None:
    """Why a file's network is none that has an official definition, although its tensors may fit one."""
    found = statement(texts)
    if found is None or found.variant is not None:
        return None
    if not found.is_certain and not _LIKE_TIMM.search(found.model):
        return None
    what = (
        "which is a network of timm's own and none of the official ones: what it computes may differ where names and "
        "shapes agree (blurred pooling, other norms, other blocks)"
        if "efficientnet" in found.model
        else "which is no EfficientNet, whereas the names of the tensors are those of one"
    )
    return f"{found.where} says {found.name[:80]!r}, {what}. {WAY_OUT}"


WAY_OUT = (
    "Use it with timm itself. If it is an official network all the same, say which of timm's two kinds: --from timm "
    "(tf_ models) or --from timm-symmetric (the others), and what has no definition is passed over."
)
