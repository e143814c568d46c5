"""What a file says of its network in timm's words.

timm's folders say it in config.json, and so do those of transformers around its networks; its training program in the
checkpoint (`arch`, `args`), Lightning modules in what they were made with (`hyper_parameters`); others somewhere beside
the weights.

Source: timm 1.0.31, models/_hub.py (config.json), utils/checkpoint_saver.py and train.py (without `args`, `arch` is the
lower-case name of a class); only earlier versions have `bn_tf`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from converters.dialects._timm_names import TF, VARIANT_OF, bare, tag_of
from converters.dialects.json_fields import Fields, as_fields, fields_of, timm_backbone

_LIKE_TIMM = re.compile(r"(?:^|_)efficientnet(?:v2)?_")
_ALONE = re.compile(r"(?:(?:hf[-_]hub:)?timm/|tu-)?[a-z0-9_]+(?:\.[a-z0-9_]*in(?:1|12|21)k[a-z0-9_]*)?")
"""A name with or without its weights, and neither a path nor the name of a file."""
_WORDS = ("model_name", "arch", "architecture", "model", "backbone", "encoder_name", "encoder", "backbone_name", "name")
"""What people call the option that names the network."""
_PARTS = frozenset({"backbone", "encoder_name", "encoder", "backbone_name"})
"""Those that name a part of a larger model."""
_OF_ANY_PART = frozenset({"act_layer", "norm_layer"})
"""Options of timm that may be meant for the rest of such a model."""
_POOLINGS = re.compile(r"(?:fast)?(?:avg|max|avgmax|catavgmax)|fast")
"""What timm takes for the pooling before a classifier."""
_OPTIONS_OF = ("args", "hyper_parameters")
"""Where programs keep options of which one may name the network, by words that are known."""
_REST = "checkpoint"
"""What else stands beside the weights."""
_MOST_FOUND, _LONGEST_PATH = 20, 160


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
    def tag(self) -> str:
        """Which of its published weights the name means; empty where it does not tell."""
        return tag_of(self.name)

    @property
    def variant(self) -> str | None:
        """The official network; None for a name that timm does not have for one."""
        return VARIANT_OF.get(self.model)

    @property
    def is_tf(self) -> bool:
        """Whether it is one of those that compute as the official code does."""
        return self.model.startswith(TF)


def told(texts: Mapping[str, str]) -> tuple[Statement, ...]:
    """What names a network of timm, in the place that says it most surely: config.json, then options that are known to
    name networks, then whatever else has such a name. Where nothing does, what names another network.
    """
    known = list(_statements(texts))
    certain = [one for one in known if one.is_certain]
    if certain:
        return tuple(certain)
    named = [one for one in known if one.variant is not None or _LIKE_TIMM.search(one.model)]
    return tuple(named or _anywhere(texts) or known)


def statement(texts: Mapping[str, str], variant: str = "") -> Statement | None:
    """The first that names a model of timm, if any does one of that variant, or else the first.

    None where the texts name none, or where they name networks of both kinds.
    """
    found = told(texts)
    if not found or disagreement(found) is not None:
        return None
    return next((one for one in found if one.variant == variant), found[0])


def disagreement(found: tuple[Statement, ...]) -> str | None:
    """That one place names a tf_ model and another one of the others, where that is so."""
    kinds = {one.is_tf: one for one in reversed(found) if one.variant is not None}
    if len(kinds) < 2:
        return None
    both = " and ".join(f"{one.where} {one.name[:80]!r}" for one in kinds.values())
    return (
        f"The file names networks of both of timm's kinds, {both}: neither was taken. Say which of the kinds it is: "
        "--from timm (tf_ models) or --from timm-symmetric (the others)."
    )


def _statements(texts: Mapping[str, str]) -> Iterator[Statement]:
    document = fields_of(texts.get("config.json")) or {}
    if isinstance(name := document.get("architecture"), str):
        options = {"global_pool": document.get("global_pool")} | dict(as_fields(document.get("model_args")) or {})
        yield Statement(where="the file config.json", name=name, is_certain=True, options=options)
    elif (backbone := timm_backbone(document)) is not None:
        options = {"output_stride": backbone.get("output_stride")}
        yield Statement(where="the file config.json", name=backbone["backbone"], is_certain=True, options=options)
    args = fields_of(texts.get("args")) or {}
    if (name := texts.get("arch")) is not None:
        yield Statement(where="the checkpoint's arch", name=name, is_certain=False, options=_trained_with(args))
    for key in _OPTIONS_OF:
        fields = fields_of(texts.get(key)) or {}
        # Of other programs' options only what is one of timm's names says anything.
        for word in _WORDS:
            if isinstance(name := fields.get(word), str) and (
                bare(name) in VARIANT_OF or _LIKE_TIMM.search(bare(name))
            ):
                options = _trained_with(fields, word)
                yield Statement(where=f"the checkpoint's {key}.{word}", name=name, is_certain=False, options=options)


def _anywhere(texts: Mapping[str, str]) -> list[Statement]:
    """Every text beside the weights that is one of timm's names and nothing else, those further up first."""
    held = deque((f"{key}.", fields_of(texts.get(key)) or {}) for key in _OPTIONS_OF)
    held.append(("", fields_of(texts.get(_REST)) or {}))
    found: list[Statement] = []
    while held and len(found) < _MOST_FOUND:
        path, fields = held.popleft()
        for key, value in fields.items():
            if isinstance(value, str) and _ALONE.fullmatch(value) and bare(value) in VARIANT_OF:
                where, options = f"the checkpoint's {path}{key[:40]}", _trained_with(fields, key)
                found.append(Statement(where=where, name=value, is_certain=False, options=options))
            elif (inner := as_fields(value)) is not None and len(path) < _LONGEST_PATH:
                held.append((f"{path}{key[:40]}.", inner))
    return found


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
