"""The names of a file by what they are: variables of the network, their moving averages, what normalises, the rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from converters.dialects import Dialect
from converters.errors import counted, some_of
from converters.formats.base import Reader
from converters.formats.training_state import OPTIMISER, is_of_optimiser
from converters.names.dialect_choice import is_ignorable
from converters.names.matching import Recognised, is_of_network, normalisation_name, usual_name, variable_name

STRANGER = "no part of the network"
_FRONT = "stands in front of the network"
_SAID = "normalises the input: the definition of the network says it"
ONE_OF_SEVERAL = "of one of several layers that normalise the input"
_UNKNOWN_HEAD = "of a head behind the network of which it is not known what it computes"

_NORMALISING = re.compile(r"_*(?:(?:pixel|image|img|data|norm|imagenet)_)?(?:means?|stds?|mu|sigma)_*")
"""Names that programs give to the numbers by which they normalise images."""


class SortedNames(NamedTuple):
    """The names of a file by what they are."""

    raw: dict[str, str]
    """Variables of the network, by the dialect's name for them."""
    shadows: dict[str, str]
    """Their moving averages, in the same way."""
    normalisation: dict[str, str]
    """Tensors by which the network normalises its input, in the same way."""
    normalising_layers: tuple[str, ...]
    """The layers that hold such tensors, where there are several and none is known to be the network's own."""
    classifier: tuple[str, ...]
    """Those names in the file that the dialect has for a classifier."""
    strangers: tuple[str, ...]
    """Names of which the dialect knows nothing."""
    ignored: dict[str, str]
    """All that are no variables of the network or their averages, each with the reason."""
    normalising_around: tuple[str, ...] = ()
    """Layers that normalise and stand outside a network that has none of its own."""


def sort_names(reader: Reader, recognised: Recognised) -> SortedNames:
    """Look at every name of a file whose dialect is known."""
    dialect = recognised.dialect
    classifiers = _classifiers(dialect, recognised.scope)
    raw: dict[str, str] = {}
    shadows: dict[str, str] = {}
    normalisation: dict[str, list[str]] = {}
    ignored: dict[str, str] = {}
    classifier: list[str] = []
    strangers: list[str] = []
    for name in reader.tensors:
        if reason := is_ignorable(dialect, name):
            ignored[name] = reason
            continue
        is_inside = name.startswith(recognised.prefix)
        variable = variable_name(dialect, name.removeprefix(recognised.prefix))
        usual = normalisation_name(dialect, variable) if is_inside else None
        if usual is not None:
            normalisation.setdefault(usual, []).append(name)
            continue
        if not is_inside or not is_of_network(dialect, variable):
            if is_of_optimiser(name):
                ignored[name] = OPTIMISER
            else:
                strangers.append(name)
            continue
        if variable.rpartition(dialect.separator)[0] in classifiers:
            classifier.append(name)
        variable = usual_name(dialect, variable, scope=recognised.scope)
        found = shadows if dialect.shadow_suffix and name.endswith(dialect.shadow_suffix) else raw
        if variable in found:  # two layers that could both be the classifier
            strangers.append(name)
        else:
            found[variable] = name
    all_normalise = [name for found in normalisation.values() for name in found]
    layers = {name.rpartition(dialect.separator)[0]: None for name in all_normalise}
    ignored |= dict.fromkeys(all_normalise, _SAID if len(layers) == 1 else ONE_OF_SEVERAL)
    return SortedNames(
        raw=raw,
        shadows=shadows,
        normalisation={usual: found[0] for usual, found in normalisation.items() if len(layers) == 1},
        normalising_layers=tuple(layers) if len(layers) > 1 else (),
        classifier=tuple(classifier),
        strangers=tuple(strangers),
        ignored=ignored | dict.fromkeys(strangers, STRANGER),
    )


def without_front(names: SortedNames, layers: Iterable[str]) -> SortedNames:
    """The same, where these layers (paths in Keras' names) are known to stand in front of the network."""
    starts = tuple(f"{layer}/" for layer in layers)
    front = [name for name in names.strangers if name.startswith(starts)]
    return names._replace(
        strangers=tuple(name for name in names.strangers if name not in front),
        ignored=names.ignored | dict.fromkeys(front, _FRONT),
    )


def without_unknown_head(names: SortedNames, dialect: Dialect, *, behind: Collection[str]) -> SortedNames:
    """The same without the classifier, where unknown layers of `behind` stand with it in one container."""
    # A layer that stands alone in its place is the classifier whatever else a file holds; a layer that shares a
    # container is a step of what that computes, and without the other steps gives other logits.
    starts = tuple({_container(name, dialect.separator) for name in names.classifier})
    unknown = [name for name in names.strangers if name in behind and name.startswith(starts)]
    if not unknown:
        return names
    head = {*names.classifier, *unknown}
    return names._replace(
        raw={variable: name for variable, name in names.raw.items() if name not in head},
        classifier=(),
        strangers=tuple(name for name in names.strangers if name not in head),
        ignored=names.ignored | dict.fromkeys([*names.classifier, *unknown], _UNKNOWN_HEAD),
    )


def _container(name: str, separator: str) -> str:
    """How names begin in the numbered container of the layer that a tensor belongs to, or else in the layer itself."""
    layer = name.rpartition(separator)[0]
    parent, _, number = layer.rpartition(separator)
    return (parent if parent and number.isascii() and number.isdigit() else layer) + separator


def _classifiers(dialect: Dialect, scope: str) -> set[str]:
    templates = {dialect.layers.get("classifier", ""), dialect.alternatives.get("classifier", "")}
    return {template.format(scope=scope) for template in templates - {""}}


def _in_front(left: Sequence[str], recognised: Recognised) -> str | None:
    """What PyTorch modules do to images before the network, as far as names tell; None where nothing does."""
    if not recognised.dialect.names_modules:
        return None
    found = list(filter(_before(recognised.prefix), left))
    if found:
        return (
            f"{some_of(found)} stand in front of the network, in the same nn.Sequential: images have to be what those "
            "layers give, and what is said here of their normalisation does not hold."
        )
    found = [name for name in left if _NORMALISING.fullmatch(name.rpartition(".")[2])]
    if found:
        name = "its name" if len(found) == 1 else "their names"
        return (
            f"By {name}, {some_of(found)} may normalise images before the network, otherwise than is said here: if so, "
            "correct the definition (effnet info FILE --json prints it) and give it with --spec FILE.json."
        )
    return None


def _before(prefix: str) -> Callable[[str], bool]:
    """Whether a name is of a lower number in the nn.Sequential in which the network stands, if it stands in one."""
    outer, _, number = prefix.rstrip(".").rpartition(".")
    around = f"{outer}." if outer else ""
    if not (number.isascii() and number.isdigit()):
        return lambda name: False

    def is_before(name: str) -> bool:
        own = name.removeprefix(around).partition(".")[0]
        return name.startswith(around) and own.isascii() and own.isdigit() and int(own) < int(number)

    return is_before


def notes_on(names: SortedNames, recognised: Recognised, *, no_head: str | None) -> tuple[str, ...]:
    """Where the network stands in the file and what is left out; `no_head` says why that is no small head."""
    notes: list[str] = []
    if recognised.prefix:
        notes.append(f"The network's tensors are those whose names begin with {recognised.prefix!r}.")
    left = [name for name in names.strangers if names.ignored.get(name) == STRANGER]
    head = [name for name, reason in names.ignored.items() if reason == _UNKNOWN_HEAD]
    if head:
        notes.append(
            f"Left out the whole head, {counted(len(head), 'tensor')}: {some_of(sorted(head))}. The layer named as the "
            f"classifier is one of several that stand together, and they are no head that is understood: {no_head}."
        )
    if left:
        note = f"Left out {counted(len(left), 'tensor')}, no part of the network: {some_of(left)}."
        notes.append(note if head or no_head is None else f"{note} That is no small head behind it: {no_head}.")
        notes += filter(None, [_in_front(left, recognised)])
    elif no_head is not None and not head:
        notes.append(f"Took the classifier as its name says, with average pooling before it, although {no_head}.")
    return tuple(notes)
