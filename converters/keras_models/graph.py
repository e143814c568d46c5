"""The layers of a whole Keras model as one graph, across the models inside it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from converters.keras_json import DEEPEST, Layer, Model, model_of, parsed, settings_of

_OUTPUT = ""
"""The node behind the outputs of the model; no layer has this path."""


class Following(NamedTuple):
    """What comes behind a layer."""

    layers: tuple[Layer, ...]
    """The next layers, in the order of the configuration."""
    ends: tuple[Layer, ...]
    """Layers whose results are outputs of the model: the layer itself, or those that were passed on the way."""


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The layers by path (`OUTER/NAME`)."""

    layers: Mapping[str, Layer]
    after: Mapping[str, Collection[str]]
    """The nodes that take the result of each: layers, and the beginnings and ends of models."""

    def find(self, path: str) -> Layer | None:
        """The layer of a path; where files name it by fewer of the models around it, its name has to do."""
        if path in self.layers:
            return self.layers[path]
        name = path.rpartition("/")[2]
        found = [layer for place, layer in self.layers.items() if place.rpartition("/")[2] == name]
        return found[0] if len(found) == 1 else None

    def following(self, layer: Layer, *, passing: Collection[str] = ()) -> Following:
        """What takes the result of a layer, through those of the classes `passing`."""
        next_ones: set[str] = set()
        ends: set[str] = set()
        seen: set[str] = set()
        waiting = [(layer.path, layer.path)]  # a node, and the last layer on the way to it
        while waiting:
            node, last = waiting.pop()
            for following in self.after.get(node, ()):
                found = self.layers.get(following)
                if following == _OUTPUT:
                    ends.add(last)
                elif found is not None and found.kind not in passing:
                    next_ones.add(following)
                elif following not in seen:
                    seen.add(following)
                    waiting.append((following, last if found is None else following))
        return Following(
            layers=tuple(one for path, one in self.layers.items() if path in next_ones),
            ends=tuple(one for path, one in self.layers.items() if path in ends),
        )

    @property
    def outputs(self) -> tuple[Layer, ...]:
        """The layers that give the outputs of the model."""
        found = {_OUTPUT}
        waiting = [_OUTPUT]
        before: dict[str, list[str]] = {}
        for node, those in self.after.items():
            for one in those:
                before.setdefault(one, []).append(node)
        while waiting:
            node = waiting.pop()
            new = [] if node in self.layers else [one for one in before.get(node, ()) if one not in found]
            found.update(new)
            waiting += new
        return tuple(layer for path, layer in self.layers.items() if path in found)


def graph_of(text: str) -> Graph | None:
    """The graph of a model's configuration; None for a text that is none."""
    try:
        model = model_of(parsed(text))
        if model is None:
            return None
        building = _Building()
        building.add(model, around="", depth=0, begin="/", end=_OUTPUT)
    except (ValueError, RecursionError):
        return None
    return Graph(layers=building.layers, after=building.after)


@dataclass
class _Building:
    layers: dict[str, Layer] = field(default_factory=dict[str, Layer])
    after: dict[str, dict[str, None]] = field(default_factory=dict[str, dict[str, None]])

    def add(self, model: Model, *, around: str, depth: int, begin: str, end: str) -> None:
        """Add the layers of a model between two nodes."""
        places: dict[str, tuple[str, str]] = {}
        for name, entry in model.layers.items():
            path = f"{around}{name}"
            inner = model_of(entry) if depth < DEEPEST else None
            if inner is None:
                self.layers[path] = Layer(kind=str(entry.get("class_name")), path=path, config=settings_of(entry))
                places[name] = path, path
            else:
                places[name] = f"{path}/", f"{path}//"
                self.add(inner, around=f"{path}/", depth=depth + 1, begin=places[name][0], end=places[name][1])
        for name, names in model.before.items():
            for one in names:
                self._join(places[one][1], places[name][0])
            if not names:
                self._join(begin, places[name][0])
        for name in model.outputs:
            self._join(places[name][1], end)

    def _join(self, one: str, other: str) -> None:
        self.after.setdefault(one, {})[other] = None
