"""How the network in a file ends: as its dialect names it, or with a small head that somebody put behind it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from converters.checkpoint import SPEC_KEY, SourceOptions
from converters.errors import counted
from converters.formats.base import Reader
from converters.head_layers import NoSmallHead, UnclearHead, layers_among
from converters.keras_heads import KerasModel
from converters.keras_normalisation import CONFIG_KEY
from converters.naming import Entry, Unnamed, entry_of, named_entry, table
from converters.recognition import Recognised
from converters.small_heads import SmallHead, find_small_head, fitted_head
from converters.sorted_names import SortedNames
from effnet_core import InvalidOption, NetworkSpec, ending, parameters, with_classes, without_classifier

Shapes = Mapping[str, tuple[int, ...]]
FindNetwork = Callable[[Shapes, SourceOptions], tuple[NetworkSpec, tuple[str, ...]]]
"""The network of these variables, with notes."""
_OF_TRAINING = re.compile(r"(?:.*[./])?\w*(?:loss|criterion|metrics?)(?:_fn)?[0-9]*[./].*", re.IGNORECASE)
"""Names of what compares logits with labels: no part of any network."""


@dataclass(frozen=True, kw_only=True)
class Ending:
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
        return _given_ending(reader, recognised, names, behind, network(_shapes(reader, names), options))
    no_head = None
    model = _keras_model(reader, recognised)
    if behind and not names.shadows and (_has_strangers(names, behind) or (model is not None and model.holds_network)):
        try:
            layers_among(behind, recognised.dialect)
            whole = _shapes(reader, names)
            without = {variable: shape for variable, shape in whole.items() if names.raw[variable] not in behind}
            spec, notes = network(without, replace(options, num_classes=None))
            head = _found(recognised, spec, names, behind, model, options)
        except NoSmallHead as reason:
            no_head = str(reason)
        except UnclearHead as reason:
            raise UnclearHead(f"{reader.path}: {reason}") from None
        else:
            num_classes = options.num_classes or head.classifier.num_classes
            spec = with_classes(replace(spec, classifier=head.classifier), num_classes)
            return _with_head(recognised, spec, names, notes, head)
    _check_unsaid(options, no_head or "the file holds no dense layers behind one another")
    spec, notes = network(_shapes(reader, names), options)
    if spec.classifier is None:
        notes += (
            f"The file holds {ending(spec)}: the network gives features, averaged over the image where nothing else is "
            "asked for (pooling).",
        )
    return replace(_ending(recognised, spec, names, notes), no_head=no_head)


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
    if spec.classifier is None or not behind or _names_end(recognised, spec, names):
        return _ending(recognised, spec, names, notes)
    try:
        return _with_head(recognised, spec, names, notes, _fitted(recognised, spec, names, behind))
    except NoSmallHead as reason:
        raise NoSmallHead(
            f"{reader.path}: the definition has {ending(spec)}, but of {counted(len(behind), 'tensor')} behind the "
            f"network this is true: {reason}. Correct the definition, or leave its classifier out."
        ) from None


def _shapes(reader: Reader, names: SortedNames) -> dict[str, tuple[int, ...]]:
    return {variable: reader.tensors[name].shape for variable, name in (names.shadows | names.raw).items()}


def _keras_model(reader: Reader, recognised: Recognised) -> KerasModel | None:
    text = reader.metadata.get(CONFIG_KEY)
    norm = recognised.prefix + recognised.dialect.layers["head.norm"]
    return None if text is None else KerasModel(text=text, norm=norm)


def _behind(reader: Reader, names: SortedNames) -> dict[str, tuple[int, ...]]:
    """The tensors that a head may have: those of nobody, and what the dialect takes for the classifier."""
    taken = {*names.strangers, *names.classifier}
    return {
        name: info.shape
        for name, info in reader.tensors.items()
        if name in taken and info.dtype.kind not in "iub" and not _OF_TRAINING.fullmatch(name)
    }


def _has_strangers(names: SortedNames, behind: Shapes) -> bool:
    return any(name in names.strangers for name in behind)


def _names_end(recognised: Recognised, spec: NetworkSpec, names: SortedNames) -> bool:
    """Whether the file has a tensor by each name that the dialect has behind the pooling."""
    try:
        entries = [
            entry_of(recognised.dialect, spec, parameter, scope=recognised.scope)
            for parameter in parameters(spec)
            if parameter.part in ("hidden", "classifier")
        ]
    except Unnamed:
        return False
    return all(entry.name in names.raw or entry.name in names.shadows for entry in entries)


def _fitted(recognised: Recognised, spec: NetworkSpec, names: SortedNames, behind: Shapes) -> SmallHead:
    classifier, body = spec.classifier, without_classifier(spec)
    if classifier is None or spec.head is None:
        raise NoSmallHead("the definition has no classifier")
    return fitted_head(
        behind,
        dialect=recognised.dialect,
        classifier=classifier,
        features=spec.head.out_channels,
        keeps_order=_keeps_order(recognised, body, names),
    )


def _found(
    recognised: Recognised,
    spec: NetworkSpec,
    names: SortedNames,
    behind: Shapes,
    model: KerasModel | None,
    options: SourceOptions,
) -> SmallHead:
    published = None if spec.head is None else with_classes(spec, 1).classifier
    if spec.head is None or published is None:
        raise NoSmallHead("the network ends with its last block, and gives several feature maps")
    return find_small_head(
        behind,
        dialect=recognised.dialect,
        published=published,
        activation=spec.head.activation,
        model=model,
        keeps_order=_keeps_order(recognised, spec, names),
        own=names.classifier,
        wanted=options.head_activation,
    )


def _keeps_order(recognised: Recognised, body: NetworkSpec, names: SortedNames) -> bool:
    """Whether the file lists the stem first, then the blocks as they follow each other, then the head."""
    places: dict[str, int] = {}
    for entry in table(recognised.dialect, body, scope=recognised.scope):
        block = entry.parameter.block
        is_stem = entry.parameter.part.startswith("stem")
        places[entry.name] = block + 1 if block is not None else 0 if is_stem else len(body.blocks) + 1
    found = [places[variable] for variable in names.raw if variable in places]
    return found == sorted(found)


def _ending(recognised: Recognised, spec: NetworkSpec, names: SortedNames, notes: tuple[str, ...]) -> Ending:
    entries = table(recognised.dialect, spec, scope=recognised.scope)
    return Ending(spec=spec, entries=entries, names=names, notes=notes)


def _with_head(
    recognised: Recognised, spec: NetworkSpec, names: SortedNames, notes: tuple[str, ...], head: SmallHead
) -> Ending:
    dialect, taken = recognised.dialect, {*head.names.values()}
    entries = tuple(
        named_entry(dialect, parameter, head.names[parameter.name])
        if parameter.name in head.names
        else entry_of(dialect, spec, parameter, scope=recognised.scope)
        for parameter in parameters(spec)
    )
    raw = {variable: name for variable, name in names.raw.items() if name not in taken}
    return Ending(
        spec=spec,
        entries=entries,
        names=replace(
            names,
            raw=raw | {name: name for name in head.names.values()},
            ignored={name: reason for name, reason in names.ignored.items() if name not in taken},
        ),
        notes=(*notes, *head.notes),
    )
