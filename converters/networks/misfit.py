"""What to say of a file whose tensors are not those of the network that was found: what it may be, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from converters.errors import UnknownArchitecture
from converters.formats.base import Reader
from converters.keras_models.end import unusual_end
from converters.metadata_keys import KERAS_CONFIG_KEY
from converters.names.matching import Recognised
from converters.names.naming import Entry
from converters.networks.architecture import find_architecture
from converters.networks.biased import HasBiases, find_biases
from converters.networks.inserted import Inserted, refusal
from converters.networks.look_alike import look_alike
from converters.networks.wish import ADVICE, Wish, wish_of
from converters.options import SourceOptions
from effnet_core import CheckpointMismatch, EffnetError, NetworkSpec, described


def explained(
    mismatch: CheckpointMismatch,
    reader: Reader,
    spec: NetworkSpec,
    *,
    entries: Iterable[Entry],
    chosen: Mapping[str, str],
    shapes: Mapping[str, tuple[int, ...]],
    recognised: Recognised,
    inserted: Inserted,
    options: SourceOptions,
    before: str,
) -> EffnetError:
    """The error to raise in the place of a mismatch; the advice in it begins with `before`.

    `chosen` are the file's names of the variables that the `entries` name, `shapes` those of all its variables.
    `HasBiases` where biases in front of norms are the only difference.
    """
    if (what := look_alike(spec, mismatch)) is not None:
        return UnknownArchitecture(
            f"{reader.path} holds the names of {described(spec)}, but {what}. Use it with the code that made it, "
            "or train an EfficientNet."
        )
    if not mismatch.missing and not mismatch.misshapen:
        if {*mismatch.unexpected} <= {*inserted.within}:
            return refusal(reader, spec, inserted)
        if biases := find_biases(reader, recognised.dialect, entries, chosen, mismatch.unexpected):
            return HasBiases(biases)
    end = unusual_end(reader.metadata[KERAS_CONFIG_KEY]) if KERAS_CONFIG_KEY in reader.metadata else ""
    return mismatch.with_advice(before + end + _what_to_do(recognised, shapes, options))


def _what_to_do(recognised: Recognised, shapes: Mapping[str, tuple[int, ...]], options: SourceOptions) -> str:
    """Advice for tensors that do not fit a network that the user described, or for layers that tell too little."""
    hidden = recognised.dialect.layers.get("hidden")
    if hidden is not None and options.spec is None and any(_begins(name, hidden) for name in shapes):
        return (
            "Hidden layers between pooling and classifier do not tell their activations, and the file holds no "
            "definition of its network: give it with --spec FILE.json, in Python SourceOptions(spec=...)."
        )
    if wish_of(options) == Wish():
        return ADVICE
    try:
        found = find_architecture(recognised, shapes, Wish())
    except EffnetError:
        return ADVICE
    spec = found.spec
    words = f"--arch {spec.name} --width {spec.width:g} --depth {spec.depth:g}"
    classes = "" if spec.classifier is None else f" --num-classes {spec.classifier.num_classes}"
    return f"Without these options: {found.note} ({words}{classes})"


def _begins(name: str, template: str) -> bool:
    return name.startswith(template.partition("{")[0])
