"""What the configuration of a Keras model (JSON) says of names that its archive leaves out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from converters.keras_json import DEEPEST, Entries, entries_of, parsed, settings_of, snake_case

_OF_NORMS = {"scale": "gamma", "center": "beta"}
"""The settings of batch normalisations that say whether they have a variable, and which that is."""


def layer_names(text: str) -> dict[str, str]:
    """The layers' own names by the paths that they have in `.weights.h5`, of class and number: `layers/conv2d_5`.

    Source: keras/src/saving/saving_lib.py, _save_container_state and to_snake_case. Empty for any other text.
    """
    try:
        return {path: name for path, name, _ in _numbered(entries_of(parsed(text)), around="", depth=0)}
    except (ValueError, RecursionError):
        return {}


def norm_leaves(text: str) -> dict[str, tuple[str, ...]]:
    """The variables of batch normalisations with one of gamma and beta, by the same paths; empty for any other text."""
    found: dict[str, tuple[str, ...]] = {}
    try:
        for path, _, entry in _numbered(entries_of(parsed(text)), around="", depth=0):
            settings = settings_of(entry)
            given = [leaf for setting, leaf in _OF_NORMS.items() if settings.get(setting, True) is True]
            if entry.get("class_name") == "BatchNormalization" and len(given) == 1:
                found[path] = (*given, "moving_mean", "moving_variance")
    except (ValueError, RecursionError):
        return {}
    return found


def _numbered(layers: Entries, *, around: str, depth: int) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    if depth > DEEPEST:
        return
    counts: Counter[str] = Counter()
    for name, entry in layers.items():
        kind = snake_case(str(entry.get("class_name")))
        number = counts[kind]
        counts[kind] += 1
        path = f"{around}layers/{kind}{f'_{number}' if number else ''}"
        yield path, name, entry
        yield from _numbered(entries_of(entry), around=f"{path}/", depth=depth + 1)
