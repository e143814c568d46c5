"""Which network a file holds that brings no definition, with what is known of its meaning: from its shapes, from its
dialect, and from what the file says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from converters.dialects import DIALECTS
from converters.dialects.dialect import Configured, Dialect, PixelRange, Semantics
from converters.dialects.json_fields import other_architecture
from converters.errors import UnknownArchitecture
from converters.formats.base import Reader
from converters.meaning import STORED_RECIPE, configured, normalised_by, pixel_formula, understood
from converters.metadata_keys import KERAS_CONFIG_KEY
from converters.names.dialect_choice import is_hinted, texts_of
from converters.names.matching import Recognised
from converters.networks.architecture import find_architecture
from converters.networks.wish import wish_of
from converters.options import SourceOptions
from effnet_core import VARIANTS, NetworkSpec, Preprocessing

if TYPE_CHECKING:
    from converters.keras_models.normalisation import Stated

_INSIDE = (
    "The network in the file does so itself; one that does not, such as this project's, has to be given images "
    "normalised so."
)
_AROUND = (
    "The model in the file does so itself; a network alone, such as this project's, has to be given images normalised "
    "so."
)


def found_network(
    reader: Reader,
    recognised: Recognised,
    shapes: Mapping[str, tuple[int, ...]],
    options: SourceOptions,
    stated: Stated | None,
    *,
    only_averages: bool,
) -> tuple[NetworkSpec, tuple[str, ...]]:
    """The network that fits, and what was found, a sentence each; `stated` and `only_averages` as in `network_of`."""
    dialect = recognised.dialect
    if dialect.objection is not None:
        is_other = other_architecture(reader.metadata) is not None  # of which the notes tell
        _refuse(reader, options, dialect.objection(texts_of(reader)), unless_arch=is_other)
    found = find_architecture(recognised, shapes, wish_of(options), only_averages=only_averages)
    spec, notes = _prepared(found.spec, recognised, shapes, reader, options, stated)
    return spec, (*_cautions(spec, dialect, reader, options), found.note, *notes)


def _refuse(reader: Reader, options: SourceOptions, reason: str | None, *, unless_arch: bool = False) -> None:
    # A user who names the dialect knows better than what the file says of it. Who names the network says nothing of
    # its padding or activations.
    if reason is not None and options.dialect is None and not (unless_arch and options.arch is not None):
        raise UnknownArchitecture(f"{reader.path}: {reason}")


def _refuse_model(reader: Reader, options: SourceOptions, reason: str | None) -> None:
    """Raise for a Keras model that is another network than its tensors suggest, whatever the user names."""
    if reason is None:
        return
    named = {"--arch (arch=...)": options.arch, "--from (dialect=...)": options.dialect}
    said = " and ".join(flag for flag, value in named.items() if value is not None)
    more = f" It is read as {said} {'say' if ' and ' in said else 'says'}: leave that away if you do not know it."
    raise UnknownArchitecture(f"{reader.path}: {reason}{more if said else ''}")


def _prepared(
    found: NetworkSpec,
    recognised: Recognised,
    shapes: Mapping[str, tuple[int, ...]],
    reader: Reader,
    options: SourceOptions,
    stated: Stated | None,
) -> tuple[NetworkSpec, tuple[str, ...]]:
    """The network with what its dialect does and what the file says about its input."""
    dialect, wrapped = recognised.dialect, tuple[str, ...]()
    said = configured(understood(found, dialect), dialect, reader.metadata)
    if KERAS_CONFIG_KEY in reader.metadata:
        from converters.keras_models.body import with_layers  # noqa: PLC0415 - of whole Keras models

        accepts = options.accept_different_logits
        said = with_layers(said, recognised, shapes, reader.metadata[KERAS_CONFIG_KEY], accept_different_logits=accepts)
        _refuse_model(reader, options, said.refusal)
        wrapped = _wrapped(reader.metadata[KERAS_CONFIG_KEY], recognised.prefix + dialect.layers["stem.conv"])
    reason = None if said.refusal is None else f"{said.refusal} {said.way_out}".rstrip()
    _refuse(reader, options, reason)
    notes = (*said.notes, *wrapped) if stated is None or not stated.front else (*said.notes, *wrapped, stated.front)
    if said.refusal is not None:
        notes += (
            f"Passed over, as --from says whose names these are: {said.refusal} If it is true, all logits differ.",
        )
    if options.recipe is not None:
        prepared = found.preprocessing
    elif stated is not None and stated.pixels is not None:
        prepared = normalised_by(found.preprocessing, stated.pixels)
        notes += (f"{stated.note} {_AROUND if stated.is_around else _INSIDE}",)
    elif stated is not None:
        prepared = found.preprocessing
        notes += (stated.note, _assumed(found))
    else:
        stem = recognised.prefix + dialect.layers["stem.conv"]
        prepared, more = _not_in_tensors(said, dialect, reader, stem=stem)
        notes += more + ((said.remark,) if said.remark else ())
    return replace(said.spec, preprocessing=prepared), notes


def _wrapped(text: str, stem: str) -> tuple[str, ...]:
    """That the network of a Keras model stands inside a layer that applies it, if it does."""
    from converters.keras_models.config import wrapper_around  # noqa: PLC0415 - of whole Keras models
    from converters.keras_models.end import named  # noqa: PLC0415 - as above

    wrapper = wrapper_around(text, stem)
    if wrapper is None:
        return ()
    return (
        f"By the model's configuration the network stands inside {named(wrapper)}, which is not followed: what the "
        "model does before and behind the network is not read.",
    )


def _not_in_tensors(
    said: Configured, dialect: Dialect, reader: Reader, *, stem: str
) -> tuple[Preprocessing, tuple[str, ...]]:
    """The preprocessing that texts beside the weights say, that the dialect's own network does, or that is assumed."""
    rule, own = said.spec.preprocessing, dialect.meaning(said.spec.name, said.spec.family)
    if said.weights:
        rule = rule if said.pixels is None else normalised_by(rule, said.pixels)
        return rule, (_as_published(rule, said.weights),)
    if said.pixels is not None:
        note = f"Images are normalised as what stands beside the weights says: {pixel_formula(said.pixels)}."
        return normalised_by(rule, said.pixels), (note,)
    if own is not None and own.normalises is not None:
        return _as_its_model(said, dialect, own, own.normalises, reader, stem=stem)
    expected = None if own is None else own.expects
    rule = rule if expected is None else normalised_by(rule, expected)
    evaluation = dialect.evaluations.get(said.spec.name)
    if evaluation is not None:
        note = (
            f"Weights do not tell how images were prepared: assumed as {dialect.title} evaluates published ones, at "
            f"{evaluation.resolution} pixels, {evaluation.resampling}, {pixel_formula(rule)}; set it with --recipe."
        )
        return evaluation.applied(rule), (note,)
    if expected is not None:
        note = (
            "Weights do not tell how images were prepared: assumed the normalisation that the published ones of "
            f"{dialect.title} expect, {pixel_formula(expected)}; set it with --recipe."
        )
        return rule, (note,)
    return rule, (_assumed(said.spec),)


def _as_published(rule: Preprocessing, weights: str) -> str:
    recipe = "" if rule.recipe == STORED_RECIPE else f"recipe {rule.recipe}, "
    return (
        f"Images are taken to be prepared as for the weights that the file names, {weights}: {recipe}"
        f"{pixel_formula(rule)} at {rule.resolution} pixels. If it was fine-tuned on images that were prepared "
        "otherwise, set it with --recipe."
    )


def _as_its_model(
    said: Configured, dialect: Dialect, own: Semantics, pixels: PixelRange, reader: Reader, *, stem: str
) -> tuple[Preprocessing, tuple[str, ...]]:
    """The preprocessing of a dialect whose models normalise, as far as the file tells that this one does."""
    from converters.keras_models.listed import listed, normalises_itself  # noqa: PLC0415 - of few files

    does, rule = normalises_itself(reader, own, stem=stem), said.spec.preprocessing
    formula, layers = pixel_formula(pixels), listed(own.normalising_layers)
    if does:
        note = (
            f"Images are normalised as {dialect.title} does: {formula}. The file lists its layers {layers}. {_INSIDE}"
        )
        return rule, (note,)
    if does is None:
        note = (
            "Weights do not tell whether the network normalises images itself: assumed that it does, as "
            f"{dialect.title} does unless it is made with include_preprocessing=False, {formula}. One that does not, "
            "such as this project's, has to be given images normalised so. Set it otherwise with --recipe."
        )
        return rule, (note,)
    note = (
        "The network does not normalise images itself (include_preprocessing=False): beside its first convolution the "
        f"file lists no {layers}."
    )
    return rule, (note, _assumed(said.spec))


def _cautions(spec: NetworkSpec, dialect: Dialect, reader: Reader, options: SourceOptions) -> list[str]:
    """What the names could mean besides."""
    notes: list[str] = []
    if options.dialect is None and dialect.caution is not None and not is_hinted(dialect, reader):
        notes.append(dialect.caution)
    other = other_architecture(reader.metadata)
    if other is not None:
        notes.append(
            f"The file config.json beside the weights says {other[:80]!r}, which is no EfficientNet; the names and "
            "shapes of the tensors are those of one. If the file belongs to these weights, their network is another "
            "one, and what is read here is wrong."
        )
    if options.dialect is not None and (twin := _hinted_twin(dialect, reader)) is not None:
        notes.append(
            f"What stands beside the weights says that their network is one of {twin.title}, which computes something "
            f"else from tensors of the same names; took {dialect.title}, as --from says. If the file is right, all "
            f"logits are wrong: say --from {twin.name}, or leave --from away."
        )
    variant, own = VARIANTS[spec.name], dialect.meaning(spec.name, spec.family)
    if own is not None and own.doubt is not None and KERAS_CONFIG_KEY not in reader.metadata:
        notes.append(own.doubt)
    relatives = (dialect.meaning(name, spec.family) for name, row in VARIANTS.items() if row.family is spec.family)
    norms = {(row.epsilon, row.decay) for row in relatives if row is not None}
    is_published = (spec.width, spec.depth) == (variant.width, variant.depth)
    if own is not None and len(norms) > 1 and options.arch is None and not is_published:
        notes.append(
            f"{dialect.title}'s networks differ in epsilon or decay: took epsilon {own.epsilon:g} of {spec.name}; if "
            "the network is another one's with other coefficients, say --arch, --width and --depth."
        )
    return notes


def _hinted_twin(dialect: Dialect, reader: Reader) -> Dialect | None:
    """The dialect with the same names that the file says it is of."""
    twins = (one for one in DIALECTS.values() if one is not dialect and one.blocks is dialect.blocks)
    return next((one for one in twins if one.layers is dialect.layers and is_hinted(one, reader)), None)


def _assumed(spec: NetworkSpec) -> str:
    recipes = VARIANTS[spec.name].recipes
    others = f" (others: {', '.join(recipes[1:])})" if recipes[1:] else ""
    return (
        f"Weights do not tell how images were prepared: assumed recipe {recipes[0]}{others} "
        f"at {spec.preprocessing.resolution} pixels; set it with --recipe."
    )
