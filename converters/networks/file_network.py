"""Which network a file holds, with what is known of its meaning: from the user, the file itself, or its shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from converters.errors import UnknownArchitecture
from converters.formats.base import Reader
from converters.metadata_keys import KERAS_CONFIG_KEY, SPEC_KEY
from converters.names.matching import Recognised
from converters.options import SourceOptions
from effnet_core import EffnetError, NetworkSpec, described, from_json, parameters, with_classes

if TYPE_CHECKING:
    from converters.keras_models.normalisation import Stated


def network_of(
    reader: Reader,
    recognised: Recognised,
    shapes: Mapping[str, tuple[int, ...]],
    options: SourceOptions,
    stated: Stated | None,
    *,
    only_averages: bool,
) -> tuple[NetworkSpec, tuple[str, ...]]:
    """The network that the file belongs to: the user's, the one that travels with the file, or the one that fits.

    `stated` is what the file says of its input normalisation; `only_averages`: it has no variables. The second part
    says what was found, a sentence each.
    """
    if options.spec is not None:
        return options.spec, (
            "The architecture is the definition that was given.",
            *_on_size(reader, recognised, options.spec),
        )
    if is_stored(reader, options):
        spec = _stored(reader.metadata[SPEC_KEY], options)
        return spec, (f"The architecture is {spec.name}, as the definition in the file says.",)
    from converters.networks.found_network import found_network  # noqa: PLC0415 - many files bring their definition

    spec, notes = found_network(reader, recognised, shapes, options, stated, only_averages=only_averages)
    return _compared(reader, spec, notes, options)


def _on_size(reader: Reader, recognised: Recognised, spec: NetworkSpec) -> tuple[str, ...]:
    """That a Keras model pads for other images than a definition, which the user gives, would."""
    if KERAS_CONFIG_KEY not in reader.metadata:
        return ()
    from converters.keras_models.any_size import notes_on_size  # noqa: PLC0415 - of whole Keras models

    return notes_on_size(spec, recognised, reader.metadata[KERAS_CONFIG_KEY])


def _compared(
    reader: Reader, spec: NetworkSpec, notes: tuple[str, ...], options: SourceOptions
) -> tuple[NetworkSpec, tuple[str, ...]]:
    """The network that the user named, as the definition in the file has it where that is the same one.

    Raises `UnknownArchitecture` where the definition has the same tensors for a network that computes something else.
    """
    if SPEC_KEY not in reader.metadata:
        return spec, notes
    try:
        given = _stored(reader.metadata[SPEC_KEY], options)
    except EffnetError:
        return spec, (*notes, "The definition in the file cannot be read, and was passed over.")
    if parameters(given) != parameters(spec):
        return spec, (*notes, f"The definition in the file is of another network, {described(given)}: passed over.")
    if given.name == spec.name:
        return given, (f"The architecture is {given.name}, as you say and as the definition in the file says.",)
    differing = [
        f"{what} {one} (as you name it {other})"
        for what, one, other in zip(_ASPECTS, _aspects(given), _aspects(spec), strict=True)
        if one != other
    ]
    if differing:
        raise UnknownArchitecture(
            f"{reader.path}: the definition in the file is of {described(given)} with {', '.join(differing)}, of which "
            "a name says nothing. Leave --arch, --width and --depth away to take what it says, or correct the "
            "definition (effnet info FILE --json prints it) and give it with --spec FILE.json."
        )
    return spec, notes


_ASPECTS = ("padding", "epsilon", "activation", "pooling", "normalisation of images by")


def _aspects(spec: NetworkSpec) -> tuple[object, ...]:
    """What a network computes as far as its tensors do not tell it."""
    epsilon = None if spec.norm is None else spec.norm.epsilon
    pooling = None if spec.classifier is None else spec.classifier.pooling
    prepared = (spec.preprocessing.mean, spec.preprocessing.scale)
    return spec.padding, epsilon, spec.stem.activation, pooling, prepared


def is_stored(reader: Reader, options: SourceOptions) -> bool:
    """Whether the network is the one that travels with the file."""
    return SPEC_KEY in reader.metadata and options.arch is None and options.width is None and options.depth is None


def _stored(text: str, options: SourceOptions) -> NetworkSpec:
    spec = from_json(text)
    if options.num_classes is not None:
        spec = with_classes(spec, options.num_classes)
    if options.recipe is not None:
        from effnet_core import recipe_preprocessing  # noqa: PLC0415 - the published tables, for this wish alone

        resolution = spec.preprocessing.resolution
        spec = replace(spec, preprocessing=recipe_preprocessing(options.recipe, resolution=resolution))
    return spec
