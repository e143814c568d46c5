"""How the network in a file ends: as its dialect names it, or with a small head that somebody put behind it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from converters.formats.base import Reader
from converters.metadata_keys import KERAS_CONFIG_KEY, SPEC_KEY
from converters.names.matching import Recognised
from converters.names.naming import Entry, Unnamed, entry_of, table
from converters.names.sorted_names import SortedNames, without_unknown_head
from converters.options import SourceOptions
from effnet_core import Classifier, InvalidOption, NetworkSpec, ending
from effnet_core.parameters import classifier_parameters

Shapes = Mapping[str, tuple[int, ...]]
FindNetwork = Callable[[Shapes, SourceOptions], tuple[NetworkSpec, tuple[str, ...]]]
"""The network of these variables, with notes."""
_OF_TRAINING = r"(?:.*[./])?\w*(?:loss|criterion|metrics?)(?:_fn)?[0-9]*[./].*"
"""Names of what compares logits with labels: no part of any network."""


class Ending(NamedTuple):
    """The whole network of a file, and the names of its tensors."""

    spec: NetworkSpec
    entries: tuple[Entry, ...]
    names: SortedNames
    """With the tensors of a small head among the variables of the network."""
    notes: tuple[str, ...]
    no_head: str | None = None
    """Why tensors that are no part of the network are no head behind it, where that was asked."""


def find_ending(
    reader: Reader, recognised: Recognised, names: SortedNames, options: SourceOptions, network: FindNetwork
) -> Ending:
    """The network of a file with what stands behind it.

    Raises what `network` raises, `NoSmallHead` where a definition was given whose head the file does not hold,
    `UnclearHead` where nothing tells what a head computes, and `InvalidOption` for an activation that has no place.
    """
    behind = _behind(reader, names)
    if options.spec is not None or SPEC_KEY in reader.metadata:
        _check_unsaid(options, "the definition says what the network is")
        return _given_ending(reader, recognised, names, behind, network(shapes_of(reader, names), options))
    no_head = None
    tells_more = KERAS_CONFIG_KEY in reader.metadata or reader.layers is not None
    if behind and not names.shadows and (_has_strangers(names, behind) or tells_more):
        from converters.heads.file_heads import ending_with_head  # noqa: PLC0415 - published checkpoints come without this

        found = ending_with_head(
            reader, recognised, names, options, network, behind=behind, strangers=_has_strangers(names, behind)
        )
        if isinstance(found, Ending):
            return found
        no_head = found
        if no_head is not None:
            names = without_unknown_head(names, recognised.dialect, behind=behind)
    _check_unsaid(options, no_head or "the file holds no dense layers behind one another")
    spec, notes = network(shapes_of(reader, names), options)
    if spec.classifier is None:
        more = ""
        if KERAS_CONFIG_KEY in reader.metadata:
            from converters.heads.file_heads import configured_features  # noqa: PLC0415 - as above

            more = configured_features(reader, recognised, spec)
        notes += (
            f"The file holds {ending(spec)}: the network gives features, averaged over the image where nothing else is "
            f"asked for (pooling).{more}",
        )
    return _ending(recognised, spec, names, notes)._replace(no_head=no_head)


def _check_unsaid(options: SourceOptions, reason: str) -> None:
    if options.head_activation is not None:
        raise InvalidOption(f"--head-activation is {options.head_activation!r}, and {reason}. Leave it out.")


def _given_ending(
    reader: Reader,
    recognised: Recognised,
    names: SortedNames,
    behind: Shapes,
    given: tuple[NetworkSpec, tuple[str, ...]],
) -> Ending:
    """The ending that a definition says: by the dialect's names where the file has them, else by widths."""
    spec, notes = given
    if spec.classifier is None or not behind or _names_end(recognised, spec, spec.classifier, names):
        return _ending(recognised, spec, names, notes)
    from converters.heads.file_heads import ending_by_widths  # noqa: PLC0415 - as above

    return ending_by_widths(reader, recognised, names, behind, given)


def shapes_of(reader: Reader, names: SortedNames) -> dict[str, tuple[int, ...]]:
    """The shapes of a file's variables."""
    return {variable: reader.tensors[name].shape for variable, name in (names.shadows | names.raw).items()}


def _behind(reader: Reader, names: SortedNames) -> dict[str, tuple[int, ...]]:
    """The tensors that a head may have: those of nobody, and what the dialect takes for the classifier."""
    taken = {*names.strangers, *names.classifier}
    return {
        name: info.shape
        for name, info in reader.tensors.items()
        if name in taken and info.dtype.kind not in "iub" and not is_of_training(name)
    }


def is_of_training(name: str) -> bool:
    """Whether a tensor is of what compares logits with labels, such as the weights of classes."""
    return re.fullmatch(_OF_TRAINING, name, re.IGNORECASE) is not None


def _has_strangers(names: SortedNames, behind: Shapes) -> bool:
    return any(name in names.strangers for name in behind)


def _names_end(recognised: Recognised, spec: NetworkSpec, classifier: Classifier, names: SortedNames) -> bool:
    """Whether the file has a tensor by each name that the dialect has behind the pooling."""
    try:
        entries = [
            entry_of(recognised.dialect, spec, parameter, scope=recognised.scope)
            for parameter in classifier_parameters(classifier)
        ]
    except Unnamed:
        return False
    return all(entry.name in names.raw or entry.name in names.shadows for entry in entries)


def _ending(recognised: Recognised, spec: NetworkSpec, names: SortedNames, notes: tuple[str, ...]) -> Ending:
    entries = table(recognised.dialect, spec, scope=recognised.scope)
    return Ending(spec=spec, entries=entries, names=names, notes=notes)
