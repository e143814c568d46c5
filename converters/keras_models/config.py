"""What a Keras model is, from its configuration (JSON): its layers' names, and those before and behind a network.

Files of whole models hold the configuration. Its layers name those before them, in a form that differs between
versions of Keras and between functional and sequential models; models may stand inside models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from converters.dialects.keras_hub_config import BY_SETTINGS
from converters.keras_json import DEEPEST, Layer, Model, entries_of, model_of, parsed, settings_of


def layers_before(text: str, path: str, *, by_settings: bool = False) -> tuple[Layer, ...] | None:
    """The layers through which the input passes before a layer, in that order.

    `path` is the layer's (`OUTER/NAME`); where files name it by fewer of the models around it, its name has to do.
    Where several ways come together, all layers on them come first, as ones that are not followed.

    None where the text is no configuration of a model that holds the layer, where several ways lead to it itself, or
    where settings alone tell of it and nothing stands before it, unless these will do (`by_settings`).
    """
    try:
        place = _place(text, path)
        way = None if place is None else place.before()
    except (ValueError, RecursionError):
        return None
    return way if way is None or by_settings else _listed(way)


def _listed(way: tuple[Layer, ...]) -> tuple[Layer, ...] | None:
    """The layers up to a network of which settings tell; None where that is the first of all."""
    for place, layer in enumerate(way):
        if layer.config.get(BY_SETTINGS):
            return way[:place] if any(one.kind != "InputLayer" for one in way[:place]) else None
    return way


def layers_behind(text: str, path: str) -> tuple[Layer, ...] | None:
    """The layers through which the output of a layer passes to the model's output, in that order; `path` as above.

    None where the text is no configuration of a model that holds the layer. Raises `UnclearModel` where several ways
    lead from it or to the output, or the model has several outputs.
    """
    try:
        place = _place(text, path)
        return None if place is None else place.behind()
    except UnclearModel:
        raise
    except (ValueError, RecursionError):
        return None


def layers_beside(text: str, path: str) -> tuple[tuple[Layer, frozenset[str]], ...] | None:
    """Every layer of the model that holds a layer itself, each with the names of those whose results it takes.

    None where the text is no configuration of a model that holds the layer; `path` as above.
    """
    try:
        place = _place(text, path)
        return None if place is None else place.beside()
    except (ValueError, RecursionError):
        return None


def wrapper_around(text: str, path: str) -> Layer | None:
    """The layer, such as TimeDistributed, that holds a layer or the model around it as its only one; `path` as above.

    None where there is none, and for any other text.
    """
    if '"layer"' not in text:  # of few models; to parse a text takes a while
        return None
    try:
        return next(_wrappers(parsed(text), path.rpartition("/")[2], around="", depth=0), None)
    except (ValueError, RecursionError):
        return None


def _wrappers(entry: object, name: str, *, around: str, depth: int) -> Iterator[Layer]:
    if depth > DEEPEST:
        return
    for own, layer in entries_of(entry).items():
        inner = settings_of(layer).get("layer")
        if inner is not None and any(_places(model_of(inner), name, around="", depth=depth)):
            yield Layer(kind=str(layer.get("class_name")), path=f"{around}{own}", config=settings_of(layer))
        yield from _wrappers(layer, name, around=f"{around}{own}/", depth=depth + 1)


class UnclearModel(ValueError):
    """A configuration from which the way to or from a layer cannot be told."""


class _Place(NamedTuple):
    """Where a layer stands: what gives the way to it, the way from it to the output, and the model that holds it."""

    before: Callable[[], tuple[Layer, ...]]
    behind: Callable[[], tuple[Layer, ...]]
    beside: Callable[[], tuple[tuple[Layer, frozenset[str]], ...]]


def _place(text: str, path: str) -> _Place | None:
    model = model_of(parsed(text))
    found = dict(_places(model, path.rpartition("/")[2], around="", depth=0))
    exact = found.get(path)
    if exact is None and len(found) == 1:
        [exact] = found.values()
    return exact


def _places(model: Model | None, name: str, *, around: str, depth: int) -> Iterator[tuple[str, _Place]]:
    """Every layer of that name, in the model or in models inside it, by its path."""
    if model is None or depth > DEEPEST:
        return
    ways = [partial(way, model, around=around, depth=depth) for way in (_way_in, _way_out)]
    if name in model.layers:
        beside = partial(_beside, model, around=around)
        yield f"{around}{name}", _Place(before=partial(ways[0], name), behind=partial(ways[1], name), beside=beside)
    for inner, entry in model.layers.items():
        for path, inside in _places(model_of(entry), name, around=f"{around}{inner}/", depth=depth + 1):
            before = partial(_joined, partial(ways[0], inner), inside.before)
            behind = partial(_joined, inside.behind, partial(ways[1], inner))
            yield path, _Place(before=before, behind=behind, beside=inside.beside)


def _beside(model: Model, *, around: str) -> tuple[tuple[Layer, frozenset[str]], ...]:
    return tuple(
        (
            Layer(kind=str(entry.get("class_name")), path=f"{around}{name}", config=settings_of(entry)),
            model.before[name],
        )
        for name, entry in model.layers.items()
    )


def _joined(*ways: Callable[[], tuple[Layer, ...]]) -> tuple[Layer, ...]:
    return tuple(layer for way in ways for layer in way())


def _way_in(model: Model, name: str, *, around: str, depth: int) -> tuple[Layer, ...]:
    """The layers before one that is the wanted one or holds it; those on several ways are not followed."""
    found: tuple[Layer, ...] = ()
    seen = {name}
    step = name
    while before := model.before[step]:
        if len(before) > 1 and step == name and model_of(model.layers[name]) is None:
            raise UnclearModel
        (following, *others) = before
        if following in seen:
            raise UnclearModel
        try:
            if others:
                raise UnclearModel
            found = (*_through(model.layers[following], path=f"{around}{following}", depth=depth), *found)
        except UnclearModel:
            return (*_not_followed(model, step, around=around), *found)
        seen.add(following)
        step = following
    return found


def _not_followed(model: Model, name: str, *, around: str) -> Iterator[Layer]:
    """Every layer from which something leads to one, in the order of the configuration."""
    every: set[str] = set()
    waiting = [name]
    while waiting:
        new = model.before[waiting.pop()] - every
        every |= new
        waiting += new
    for step in model.layers:
        if step in every:
            kind = str(model.layers[step].get("class_name"))
            yield Layer(kind=kind, path=f"{around}{step}", config={}, is_followed=False)


def _way(model: Model, name: str, *, around: str, depth: int) -> tuple[Layer, ...]:
    """The layers before one, those of models that stand there included."""
    if depth > DEEPEST:
        raise UnclearModel
    names: dict[str, None] = {}
    while before := model.before[name]:
        (name, *others) = before
        if others or name in names:
            raise UnclearModel
        names[name] = None
    return tuple(
        layer for step in reversed(names) for layer in _through(model.layers[step], path=f"{around}{step}", depth=depth)
    )


def _way_out(model: Model, name: str, *, around: str, depth: int) -> tuple[Layer, ...]:
    """The layers behind one, to the only output."""
    names = {model.last: None}
    step = model.last
    while step != name:
        (step, *others) = model.before[step] or {""}
        if others or not step or step in names:
            raise UnclearModel
        names[step] = None
    way = list(names)
    taken = Counter(before for layer in model.before.values() for before in layer)
    if len(model.outputs) > 1 or any(taken[step] != 1 for step in way[1:]):
        raise UnclearModel
    return tuple(
        layer
        for step in reversed(way[:-1])
        for layer in _through(model.layers[step], path=f"{around}{step}", depth=depth)
    )


def _through(entry: Mapping[str, Any], *, path: str, depth: int) -> tuple[Layer, ...]:
    """A layer, or the layers of a model in its place."""
    inner = model_of(entry)
    if inner is None:
        kind, calls = str(entry.get("class_name")), entry.get("inbound_nodes")
        return (Layer(kind=kind, path=path, config=settings_of(entry), calls=calls),)
    before = _way(inner, inner.last, around=f"{path}/", depth=depth + 1)
    return (*before, *_through(inner.layers[inner.last], path=f"{path}/{inner.last}", depth=depth + 1))
