"""What a model directory says of its model, read from what `effnet export` put into it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from effnet.serving.backend import About
from effnet.serving.errors import UnservableModel
from effnet_core import EffnetError, NetworkSpec, from_json


def about_model(path: Path, *, spec: str | None, labels: Any, card: Any) -> About:
    """The definition, the names of the classes and the card. Raises `UnservableModel` for what does not fit."""
    definition = _definition(path, spec)
    classes = None if definition.classifier is None else definition.classifier.num_classes
    if labels is not None and (not isinstance(labels, list) or len(cast("list[Any]", labels)) != classes):
        raise UnservableModel(f"{path} has names that are no list of {classes} classes. Export it again.")
    if not isinstance(card, Mapping | None):
        raise UnservableModel(f"{path} has a card that is no object. Export it again.")
    top: Any = cast("Mapping[str, Any]", card or {}).get("top", 1)
    # Without classes, none are named: 0.
    if not isinstance(top, int) or isinstance(top, bool) or (top < 1 and classes is not None):
        raise UnservableModel(f"{path} has a card whose 'top' is no positive whole number. Export it again.")
    names = None if labels is None else tuple(map(str, cast("list[Any]", labels)))
    return About(spec=definition, labels=names, card=cast("Mapping[str, Any]", card or {}))


def _definition(path: Path, text: str | None) -> NetworkSpec:
    if text is None:
        raise UnservableModel(f"{path} holds no definition of its network. Write it with `effnet export`.")
    try:
        return from_json(text)
    except EffnetError as error:
        raise UnservableModel(f"{path}: {error}") from None
