"""The models in the configuration of a Keras model (JSON): their layers, and which layers each takes the results of.

Layers name those before them in a form that differs between versions of Keras and between functional and sequential
models; models may stand inside models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, cast

from converters.dialects.keras_hub_config import with_layers

Entries = Mapping[str, Mapping[str, Any]]
"""Layers' names to what the configuration says of them."""
DEEPEST = 8
"""Models inside models."""
_LONGEST = 8 << 20
"""Letters; the configuration of the largest model has two million. Python objects take thirty times as much."""


class Layer(NamedTuple):
    """A layer of a configuration."""

    kind: str
    """Its class, such as Rescaling."""
    path: str
    """The names of the models around it and its own, as tensors are named: `OUTER/NAME`."""
    config: Mapping[str, Any]
    is_followed: bool = True
    """Whether its input is what the layer before it gives; False from the input to where several ways come together."""
    calls: object = None
    """What it takes, as the configuration has it: the numbers of operations are among that."""


class Model(NamedTuple):
    """The layers of a model by name, each with the names of those before it."""

    layers: Entries
    before: Mapping[str, frozenset[str]]
    last: str
    """The layer that gives the output, of several the last that is listed."""
    outputs: frozenset[str]
    """The layers that give the outputs."""


def parsed(text: str) -> Any:
    """Raises `ValueError` for anything but JSON of sensible length."""
    if len(text) > _LONGEST:
        raise ValueError(f"{len(text)} letters")
    return json.loads(text)


def model_of(entry: object) -> Model | None:
    """The model that an entry describes; None for a layer that holds no list of layers."""
    entry = with_layers(entry)
    config, layers = settings_of(entry), entries_of(entry)
    if not layers:
        return None
    names = list(layers)
    if any("inbound_nodes" in layer for layer in layers.values()):
        before = {name: frozenset(_named(layer.get("inbound_nodes"), layers)) for name, layer in layers.items()}
        outputs = frozenset(_named(config.get("output_layers"), layers)) or {names[-1]}
        last = names[-1] if len(outputs) > 1 else min(outputs)
    else:  # of a sequential model: each layer follows the one before it
        before = {name: frozenset(names[index - 1 : index]) for index, name in enumerate(names)}
        last, outputs = names[-1], {names[-1]}
    return Model(layers=layers, before=before, last=last, outputs=frozenset(outputs))


def entries_of(entry: object) -> Entries:
    """The layers that an entry lists, by name; none for a layer that is no model."""
    listed = settings_of(entry).get("layers")
    if not isinstance(listed, list):
        return {}
    entries = [cast("Mapping[str, Any]", layer) for layer in cast("list[object]", listed) if isinstance(layer, dict)]
    return {str(settings_of(layer).get("name", layer.get("name"))): layer for layer in entries}


def settings_of(entry: object) -> Mapping[str, Any]:
    """The settings of a layer or of a model; none for what is neither."""
    config = cast("Mapping[str, Any]", entry).get("config") if isinstance(entry, dict) else None
    return cast("Mapping[str, Any]", config) if isinstance(config, dict) else {}


def _named(part: object, layers: Mapping[str, object]) -> Iterator[str]:
    """Every layer to which a part of a configuration refers, as `[NAME, node, tensor, ...]`."""
    if isinstance(part, dict):
        for value in cast("Mapping[str, object]", part).values():
            yield from _named(value, layers)
    elif isinstance(part, list):
        values = cast("Sequence[object]", part)
        if len(values) > 2 and isinstance(values[0], str) and values[0] in layers and type(values[1]) is int:
            yield values[0]
            return
        for value in values:
            yield from _named(value, layers)


@lru_cache(maxsize=64)
def snake_case(name: str) -> str:
    """A class as Keras calls the groups and, without another name, the layers of it: ReLU is re_lu."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
