"""Which network a file holds, with what is known of its meaning: from the user, the file itself, or its shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from converters.checkpoint import SPEC_KEY, SourceOptions
from converters.formats.base import Reader
from converters.recognition import Recognised
from effnet_core import NetworkSpec, from_json, with_classes

if TYPE_CHECKING:
    from converters.keras_normalisation import Stated


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
        return options.spec, ("The architecture is the definition that was given.",)
    if is_stored(reader, options):
        spec = _stored(reader.metadata[SPEC_KEY], options)
        return spec, (f"The architecture is {spec.name}, as the definition in the file says.",)
    from converters.found_network import found_network  # noqa: PLC0415 - many files bring their definition

    return found_network(reader, recognised, shapes, options, stated, only_averages=only_averages)


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
