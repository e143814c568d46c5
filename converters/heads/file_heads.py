"""How the network in a file ends where somebody put a small head behind it."""

from __future__ import annotations

from dataclasses import replace

from converters.errors import counted
from converters.formats.base import Reader
from converters.heads.configured import KerasModel
from converters.heads.file_ending import Ending, FindNetwork, Shapes, shapes_of
from converters.heads.layers import NoSmallHead, UnclearHead, layers_among
from converters.heads.small import SmallHead, find_small_head, fitted_head
from converters.keras_models.behind import ListedBehind, listed_behind
from converters.keras_models.config import UnclearModel
from converters.keras_models.end import behind_features, last_layer
from converters.keras_models.graph import graph_of
from converters.keras_models.wiring import SUM
from converters.metadata_keys import KERAS_CONFIG_KEY
from converters.names.matching import Recognised
from converters.names.naming import entry_of, named_entry, table
from converters.names.sorted_names import SortedNames
from converters.options import SourceOptions
from effnet_core import NetworkSpec, Pooling, ending, parameters, with_classes, without_classifier


def ending_with_head(
    reader: Reader,
    recognised: Recognised,
    names: SortedNames,
    options: SourceOptions,
    network: FindNetwork,
    *,
    behind: Shapes,
    strangers: bool,
) -> Ending | str | None:
    """The network with the head that the tensors `behind` are, or why they are none.

    `strangers` says that some of them are unknown to the dialect. Where none is, and neither a configuration nor the
    layers that the file lists tell more than their names, there is nothing to ask: None. Raises what `network` raises,
    and `UnclearHead` where nothing tells what the head computes.
    """
    model = _keras_model(reader, recognised)
    is_stated = model is not None and model.holds_network
    if not strangers and not is_stated:
        listed = _listed(reader, recognised, None)
        if listed is None or listed.is_usual:
            return None
    try:
        layers_among(behind, recognised.dialect, classes=reader.layer_classes)
        whole = shapes_of(reader, names)
        without = {variable: shape for variable, shape in whole.items() if names.raw[variable] not in behind}
        spec, notes = network(without, replace(options, num_classes=None))
        listed = None if is_stated else _listed(reader, recognised, spec)
        head = _found(recognised, spec, names, behind, model, listed, options)
    except NoSmallHead as reason:
        return str(reason)
    except UnclearHead as reason:
        raise UnclearHead(f"{reader.path}: {reason}") from None
    num_classes = options.num_classes or head.classifier.num_classes
    spec = with_classes(replace(spec, classifier=head.classifier), num_classes)
    return _with_head(recognised, spec, names, notes, head)


def ending_by_widths(
    reader: Reader,
    recognised: Recognised,
    names: SortedNames,
    behind: Shapes,
    given: tuple[NetworkSpec, tuple[str, ...]],
) -> Ending:
    """The ending that a definition says, for tensors that have other names. Raises `NoSmallHead` if it is not there."""
    spec, notes = given
    try:
        layers_among(behind, recognised.dialect, classes=reader.layer_classes)
        return _with_head(recognised, spec, names, notes, _fitted(recognised, spec, names, behind))
    except NoSmallHead as reason:
        raise NoSmallHead(
            f"{reader.path}: the definition has {ending(spec)}, but of {counted(len(behind), 'tensor')} behind the "
            f"network this is true: {reason}. Correct the definition, or leave its classifier out."
        ) from None


def _keras_model(reader: Reader, recognised: Recognised) -> KerasModel | None:
    text = reader.metadata.get(KERAS_CONFIG_KEY)
    norm = recognised.prefix + recognised.dialect.layers["head.norm"]
    return None if text is None else KerasModel(text=text, norm=norm)


def _listed(reader: Reader, recognised: Recognised, spec: NetworkSpec | None) -> ListedBehind | None:
    """What the file lists behind a network; None where the dialect's layers stand in models of their own."""
    stem = recognised.dialect.layers["stem.conv"]
    if reader.layers is None or "/" in stem.removeprefix("layers/"):
        return None
    return listed_behind(reader, stem=recognised.prefix + stem, spec=spec)


def configured_features(reader: Reader, recognised: Recognised, spec: NetworkSpec) -> str:
    """What a Keras model does with the features of its network that a network without classifier does not; often
    nothing.
    """
    text = reader.metadata.get(KERAS_CONFIG_KEY, "")
    model = KerasModel(text=text, norm=last_layer(recognised, spec))
    try:
        rest = behind_features(model.behind or ())
    except UnclearModel:
        graph = graph_of(text)
        if spec.head is None and graph is not None and [layer.kind for layer in graph.outputs] == [SUM]:
            return ""  # the second way is the residual of the last block
        return (
            " The model has several outputs, or several ways to its output: the network is read alone, up to these "
            "features."
        )
    if model.pooling is not Pooling.MAX:
        return rest
    return (
        f"{rest} The model's configuration takes their maximum over the image: ask for it with pooling='max' (Python)."
    )


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
    listed: ListedBehind | None,
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
        listed=listed,
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
        names=names._replace(
            raw=raw | {name: name for name in head.names.values()},
            ignored={name: reason for name, reason in names.ignored.items() if name not in taken},
        ),
        notes=(*notes, *head.notes),
    )
