"""Layers of Keras that may change images in front of a network, in files without the model's configuration.

Weights do not tell where a layer stands. They hold the numbers of `Normalization`, whose variables no other layer has;
of `Rescaling`, `Lambda` and operations some files list the names alone (see `listed.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from converters.dialects import Dialect
from converters.dialects.dialect import PixelRange
from converters.errors import FormatError, some_of
from converters.formats.base import Reader
from converters.keras_models.arithmetic import channels_of, deviations_of, variances_of
from converters.keras_models.listed import lists_others, normalises_itself, others_of_images, plain_name
from converters.keras_models.normalisation import Stated, input_channels
from converters.meaning import pixel_formula
from converters.metadata_keys import KERAS_CONFIG_KEY
from converters.names.sorted_names import ONE_OF_SEVERAL, SortedNames
from effnet_core import NetworkSpec

_SEPARATOR = "/"
_SHOWN = 3
_OUTSIDE = "of a layer that normalises, outside the network"
_WHOLE_MODEL = "Give the whole model (.keras, or .h5 as model.save writes it), which tells"


def apart_from_normalising(names: SortedNames, reader: Reader, dialect: Dialect, *, stem: str) -> SortedNames:
    """The names, where no layer that normalises images is taken for a part of a head.

    Where the network, whose first convolution is `stem`, has such a layer of its own, there are several of them.
    """
    if dialect.names_modules:
        return names
    around = _layers_that_normalise(names, reader, stem)
    if not around:
        return names
    outside = {name for leaves in around.values() for name in leaves.values()}
    own = {name.rpartition(_SEPARATOR)[0]: None for name in names.normalisation.values()}
    tensors = dialect.normalisation  # of which half is refused later
    is_whole = tensors is not None and {tensors.mean, tensors.variance} <= names.normalisation.keys()
    several = (*around, *own, *names.normalising_layers) if is_whole or names.normalising_layers else ()
    rest = tuple(name for name in names.strangers if name not in outside)
    if not several:
        return names._replace(
            strangers=rest, normalising_around=tuple(around), ignored=names.ignored | dict.fromkeys(outside, _OUTSIDE)
        )
    inside = [name for name in names.ignored if name.rpartition(_SEPARATOR)[0] in own]
    return names._replace(
        strangers=rest,
        normalisation={},
        normalising_layers=several,
        ignored=names.ignored | dict.fromkeys([*outside, *inside], ONE_OF_SEVERAL),
    )


def _layers_that_normalise(names: SortedNames, reader: Reader, stem: str) -> dict[str, dict[str, str]]:
    """Those among unknown names whose numbers are one for each channel of images or one for all: leaf to name."""
    found: dict[str, dict[str, str]] = {}
    for name in names.strangers:
        layer, _, leaf = name.rpartition(_SEPARATOR)
        found.setdefault(layer, {})[leaf] = name
    shapes = {(), (input_channels(reader, stem),)}
    return {
        layer: leaves
        for layer, leaves in found.items()
        if {*leaves} == {"mean", "variance", "count"}
        and all(reader.tensors[leaves[leaf]].shape in shapes for leaf in ("mean", "variance"))
    }


def stated_around(names: SortedNames, reader: Reader, dialect: Dialect, *, stem: str) -> Stated | None:
    """How the only layer outside a network that normalises does it; None unless it is certain enough.

    That is where networks of the dialect that normalise have layers for it without tensors, the file lists no such
    layer, and the numbers are of pixels in 0..255.
    """
    is_listed = any(own.normalising_layers for own in dialect.semantics) and lists_others(reader, stem=stem)
    if dialect.normalisation is not None or len(names.normalising_around) != 1 or not is_listed:
        return None
    [layer] = names.normalising_around
    pixels = _pixels_of(reader, layer, stem)
    if pixels is None or min(pixels.scale) <= 1 or others_of_images(reader, stem=stem, own={}):
        return None
    note = (
        f"Images are normalised as tensors of {layer} say, a layer of the model around the network: "
        f"{pixel_formula(pixels)}. The network has no layer that does so (include_preprocessing=False), and the file "
        "lists no other one that may. Say otherwise with --recipe."
    )
    return Stated(pixels=pixels, note=note, is_around=True)


def notes_in_front(
    names: SortedNames, reader: Reader, dialect: Dialect, spec: NetworkSpec, stated: Stated | None, *, stem: str
) -> tuple[str, ...]:
    """What layers outside the network may do with images, which `stated` does not tell."""
    if names.normalising_layers and stated is None:
        return (_on_several(names.normalising_layers),)
    if KERAS_CONFIG_KEY in reader.metadata or (stated is not None and stated.is_around):
        return ()
    own = _own_layers(reader, dialect, spec, stated, stem=stem)
    listed = others_of_images(reader, stem=stem, own=own)
    around = names.normalising_around
    if not listed and not around:
        return ()
    sentences: list[str] = []
    if listed:
        kept = sum(own.get(name, 0) for name in {plain_name(layer) for layer in listed if _beside(layer, stem)})
        but = f", of which {'1 is' if kept == 1 else f'{kept} are'} the network's own" if kept else ""
        sentences.append(f"The file lists {some_of(listed)}, which may change images, without numbers{but}.")
    for layer in around[:_SHOWN]:
        pixels = _pixels_of(reader, layer, stem)
        how = "" if pixels is None else f", {pixel_formula(pixels)}"
        sentences.append(f"{layer}, outside the network, normalises by numbers in the file{how}: they are not used.")
    if len(around) > _SHOWN:
        sentences.append(f"So it is with {len(around) - _SHOWN} more.")
    return (
        f"{' '.join(sentences)} Weights do not tell what stands in front of the network: what these layers do there is "
        f"left out. {_WHOLE_MODEL}, or correct the definition (effnet info FILE --json prints it) and give it with "
        "--spec FILE.json.",
    )


def _own_layers(
    reader: Reader, dialect: Dialect, spec: NetworkSpec, stated: Stated | None, *, stem: str
) -> Mapping[str, int]:
    """How many layers without tensors a network itself has by which it normalises, by name without number."""
    own = dialect.meaning(spec.name, spec.family)
    if own is not None and own.normalising_layers:
        return dict.fromkeys(own.normalising_layers, 1) if normalises_itself(reader, own, stem=stem) else {}
    if dialect.normalisation is None:
        return {}
    # The second division is an operation in models of TensorFlow 2.9 and 2.10.
    divides_twice = stated is not None and stated.divides_twice
    return {"rescaling": 2, "tf.math.truediv": 1} if divides_twice else {"rescaling": 1}


def _beside(layer: str, stem: str) -> bool:
    return layer.rpartition(_SEPARATOR)[0] == stem.rpartition(_SEPARATOR)[0]


def _pixels_of(reader: Reader, layer: str, stem: str) -> PixelRange | None:
    """How a layer normalises by its tensors; None where they make no sense."""
    channels = input_channels(reader, stem)
    try:
        mean = channels_of(reader, f"{layer}/mean", channels)
        deviations = deviations_of(variances_of(reader, f"{layer}/variance", channels))
    except FormatError:
        return None
    pixels = PixelRange(mean=mean, scale=tuple(deviations))
    return pixels if pixels.is_sensible else None


def _on_several(layers: Sequence[str]) -> str:
    return (
        f"Several layers normalise the input ({some_of(layers)}), and weights do not tell which of them is the "
        f"network's own and what the others do: their numbers are not used. {_WHOLE_MODEL}, or say how images are "
        "normalised with --recipe."
    )
