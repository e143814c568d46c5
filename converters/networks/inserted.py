"""Layers that somebody put between a network's own: without them the weights give other logits.

Told by where the tensors stand. Below the container of the blocks, or below a layer of stem or head, nothing is beside
the network. A module beside stem and head may be a decoder or a second head, which changes nothing; it is one between
them if the file lists it there, or if it is called attention or pooling and a classifier follows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from converters.errors import counted, some_of
from converters.formats.base import Reader
from converters.names.matching import Recognised, is_named
from converters.names.patterns import paths_of_body
from converters.names.sorted_names import SortedNames
from effnet_core import CheckpointMismatch, NetworkSpec, described

INSERTED = "inserted into the network, whose logits differ without it, as was accepted"
ADVICE = (
    "These stand inside the network, between its own layers: it was changed, and without them its logits would differ. "
    "Ways out: use it with the code that made it; or take the network without them, to train it further: "
    "effnet convert --accept-different-logits (SourceOptions(accept_different_logits=True))."
)
_NOT_DENSE = 3
"""Axes of a tensor that is none of a dense layer or a norm, at least."""
_ATTENTION_OR_POOLING = re.compile(
    r"(?!.*(?:head|decod|classif|unpool|seg|aux))"
    r".*(?:atten|attn|cbam|pool(?!er)|(?:^|_)(?:se|eca|ca|sa|bam|gam|psa|gem)[0-9]*(?:_|$))"
)
"""In the name of a module: ca and sa are the two halves of CBAM. Heads and decoders have such names too."""


class Inserted(NamedTuple):
    """Tensors of layers that a network does not have of itself, by their names in the file."""

    within: tuple[str, ...] = ()
    """Those that nothing can leave out without a change."""
    before_classifier: tuple[str, ...] = ()
    """Those that change what a classifier is given, if the network has one."""

    def changing(self, *, has_classifier: bool) -> tuple[str, ...]:
        """Those without which the network would give something else."""
        return (*self.within, *self.before_classifier) if has_classifier else self.within


def find_inserted(reader: Reader, recognised: Recognised, names: SortedNames) -> Inserted:
    """The inserted layers among the names of a file of PyTorch; none in other files."""
    dialect, prefix = recognised.dialect, recognised.prefix
    if not dialect.names_modules:
        return Inserted()
    within = [name for variable, name in (names.shadows | names.raw).items() if not is_named(dialect, variable)]
    strangers = {name: name.removeprefix(prefix) for name in names.strangers if name.startswith(prefix)}
    if not strangers:
        return Inserted(within=tuple(within))
    paths, listed = _paths_in_use(recognised, names), _listed_between(reader, names, strangers)
    before_classifier: list[str] = []
    for name, inner in strangers.items():
        if inner.startswith(paths) or _module(inner) in listed:
            within.append(name)
        elif _ATTENTION_OR_POOLING.match(_module(inner).lower()):
            before_classifier.append(name)
    return Inserted(within=tuple(within), before_classifier=tuple(before_classifier))


def apart_from(inserted: Inserted, names: SortedNames, *, accepted: bool) -> SortedNames:
    """The names without inserted layers, of which none may be taken for a head.

    Those inside blocks stay unless their absence is `accepted`, as a network that differs more is told by them too.
    """
    # Of a head that somebody put in the place of the classifier, a layer that pools is a part.
    gone = {*inserted.within, *(inserted.before_classifier if names.classifier else ())}
    if not gone:
        return names

    def kept(variables: Mapping[str, str]) -> dict[str, str]:
        return {variable: name for variable, name in variables.items() if not (accepted and name in gone)}

    return names._replace(
        raw=kept(names.raw),
        shadows=kept(names.shadows),
        strangers=tuple(name for name in names.strangers if name not in gone),
        ignored=names.ignored | (dict.fromkeys(gone, INSERTED) if accepted else {}),
    )


def accepted_notes(names: SortedNames) -> tuple[str, ...]:
    """What was left out because that was accepted, if anything."""
    found = [name for name, reason in names.ignored.items() if reason == INSERTED]
    if not found:
        return ()
    return (
        f"Left out {counted(len(found), 'tensor')} inside the network, between its own layers: {some_of(found)}. "
        "The logits differ without them, as you accepted.",
    )


def _module(inner: str) -> str:
    """The module directly in the network that holds a tensor; empty for a tensor of the network itself."""
    return inner.rpartition(".")[0].partition(".")[0]


def _paths_in_use(recognised: Recognised, names: SortedNames) -> tuple[str, ...]:
    """How names inside the network's body begin, of those modules that the file has."""
    own = [name.removeprefix(recognised.prefix) for name in (names.shadows | names.raw).values()]
    return tuple(path for path in paths_of_body(recognised.dialect) if any(name.startswith(path) for name in own))


def _listed_between(reader: Reader, names: SortedNames, strangers: Mapping[str, str]) -> frozenset[str]:
    """The modules beside stem and head that the file lists between them, unless it lists names by the alphabet."""
    places = {name: place for place, name in enumerate(reader.tensors)}
    body = sorted(places[name] for name in (names.shadows | names.raw).values() if name not in names.classifier)
    if not body or list(places) == sorted(places):
        return frozenset()
    return frozenset(
        _module(inner)
        for name, inner in strangers.items()
        if body[0] < places[name] < body[-1] and len(reader.tensors[name].shape) >= _NOT_DENSE
    ) - {""}


def refusal(reader: Reader, spec: NetworkSpec, inserted: Inserted) -> CheckpointMismatch:
    """The error for a file with layers inside its network."""
    return CheckpointMismatch(
        unexpected=inserted.changing(has_classifier=spec.classifier is not None),
        subject=str(reader.path),
        network=described(spec),
        advice=ADVICE,
    )
