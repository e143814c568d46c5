"""From a path to an open checkpoint: which format, whose names, which network, which of two sets of weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from converters.averages.ema import choose_ema, left_reason
from converters.averages.stored import PartOfReader, choose_set
from converters.carrying.epsilon import restore
from converters.checkpoint import Checkpoint, Source
from converters.errors import UnreadableFile
from converters.formats import open_reader
from converters.formats.base import Reader
from converters.formats.training_keys import note_on_unread, unread_averages
from converters.heads.file_ending import Ending, Shapes, find_ending
from converters.metadata_keys import KERAS_CONFIG_KEY, SPEC_KEY
from converters.names.dialect_choice import is_ignorable, recognised_names
from converters.names.matching import Recognised
from converters.names.sorted_names import SortedNames, notes_on, sort_names, without_front
from converters.names.wrapped import without_wrappers
from converters.networks.file_network import is_stored, network_of
from converters.networks.fit import check_fit
from converters.networks.inserted import Inserted, accepted_notes, apart_from, find_inserted, refusal
from converters.options import EmaUnavailable, SourceOptions
from effnet_core import (
    CheckpointMismatch,
    EffnetError,
    NetworkSpec,
)

if TYPE_CHECKING:
    from converters.keras_models.normalisation import Stated

_OF_AVERAGES = "The file holds moving averages alone, and may be a part of a checkpoint: convert the whole one. "
NOTHING_HIDDEN: Mapping[str, str] = MappingProxyType({})


def open_checkpoint(path: str | Path, options: SourceOptions | None = None) -> Checkpoint:
    """Open a checkpoint of any format and dialect.

    Reads names, shapes and dtypes; of the numbers only those by which a Keras network normalises pixels, and the
    running variances of a file that says it was converted with another epsilon.

    Raises `UnreadableFile` where there is no file to read, `FormatError` or `UnsupportedFile` for one that cannot be
    understood, `UnknownDialect`, `SeveralNetworks` and `UnknownArchitecture` where nothing known fits or too much does,
    `UnclearHead` for a head that `options` say too little about, `EmaUnavailable` when the file lacks the weights that
    `options.ema` names, `InvalidOption` for options that fit no network, and `CheckpointMismatch` listing every tensor
    that is missing, unexpected or of another shape. All are `EffnetError`.
    """
    if path == "":
        raise UnreadableFile("Expected the path of a checkpoint, found an empty one.")
    options = options or SourceOptions()
    reader = open_reader(Path(path), name=options.format)
    try:
        return _understand_chosen(without_wrappers(reader, prefix=options.prefix), options)
    except BaseException:
        reader.close()
        raise


def _understand_chosen(reader: Reader, options: SourceOptions) -> Checkpoint:
    """The same as `understand`, where the file may keep moving averages as a second set under names of their own."""
    chosen = choose_set(reader, options)
    checkpoint = understand(reader, chosen.options, hidden=chosen.hidden, only_averages=chosen.only_averages)
    stored = [source.name for source in checkpoint.sources if source.name in reader.tensors]
    if chosen.uses_averages and not chosen.averages.issuperset(stored):
        # Names tell no longer which weight an average belongs to, and the network stands among the others.
        raise EmaUnavailable(
            f"{reader.path} holds moving averages, such as {min(chosen.averages)}, under other names than the weights, "
            f"such as {stored[0]}, so that it is not clear which are meant. Say where the network "
            "stands: --prefix (prefix=...)."
        )
    checkpoint.has_averages |= chosen.has_averages
    checkpoint.uses_ema |= chosen.uses_averages
    checkpoint.notes += chosen.notes if checkpoint.has_averages else note_on_unread(reader.skipped)
    return checkpoint


def understand(
    whole: Reader,
    options: SourceOptions,
    *,
    hidden: Mapping[str, str] = NOTHING_HIDDEN,
    only_averages: bool = False,
) -> Checkpoint:
    """Find the dialect and the network of an open file, and a place or a reason for each of its tensors.

    `hidden` are those that are not looked at, each with the reason; `only_averages`: those that are looked at are known
    to be moving averages, whose variables the file does not hold. Raises what `open_checkpoint` raises once the file
    is open.
    """
    try:
        return _understand(whole, options, hidden=hidden, only_averages=only_averages)
    except EffnetError as error:
        from converters.heads.implied import understood_with_more  # noqa: PLC0415 - most files lack nothing
        from converters.networks.biased import HasBiases, UnbiasedReader  # noqa: PLC0415 - and have nothing too much

        if isinstance(error, HasBiases):
            unbiased = UnbiasedReader(whole, error.biases)
            checkpoint = understand(unbiased, options, hidden=hidden, only_averages=only_averages)
            checkpoint.notes += (error.note,)
            return checkpoint
        again = partial(_understand, options=options, hidden=hidden, only_averages=only_averages)
        return understood_with_more(again, error, whole, options, hidden=hidden)


def _understand(whole: Reader, options: SourceOptions, *, hidden: Mapping[str, str], only_averages: bool) -> Checkpoint:
    """The same for a file that holds every tensor; raises `LacksImplied` where layers of its head do without some."""
    if whole.format.startswith("keras"):
        from converters.keras_models.quantised import check_not_quantised  # noqa: PLC0415 - of Keras' files

        check_not_quantised(whole, whole.metadata.get(KERAS_CONFIG_KEY, ""))
    reader = PartOfReader(whole, hidden=hidden) if hidden else whole
    recognised, sorted_names, inserted = _names_of(reader, options)
    dialect = recognised.dialect
    stated = _stated_normalisation(reader, recognised, sorted_names, options)
    only_averages |= bool(sorted_names.shadows) and not sorted_names.raw

    def network(shapes: Shapes, options: SourceOptions) -> tuple[NetworkSpec, tuple[str, ...]]:
        return network_of(reader, recognised, shapes, options, stated, only_averages=only_averages)

    found = find_ending(reader, recognised, sorted_names, options, network)
    spec, entries, names = found.spec, found.entries, found.names
    choice = choose_ema(
        options.ema,
        [entry.name for entry in entries],
        raw=names.raw,
        shadows=names.shadows,
        unread=unread_averages(whole.skipped),
        dialect=dialect.name,
    )
    chosen, other = (names.shadows, names.raw) if choice.uses_ema else (names.raw, names.shadows)
    aside = dict.fromkeys(other.values(), left_reason(takes_averages=choice.uses_ema)) | dict(hidden)
    before = _OF_AVERAGES if only_averages else ""
    _check_fit(reader, found, chosen, recognised=recognised, inserted=inserted, options=options, before=before)
    changing = inserted.changing(has_classifier=spec.classifier is not None)
    if changing and not options.accept_different_logits:
        raise refusal(reader, spec, inserted)
    sources = tuple(Source(entry=entry, name=chosen[entry.name]) for entry in entries)
    restored = restore(whole, spec, sources)
    return Checkpoint(
        reader=restored.reader,
        dialect=dialect,
        spec=restored.spec,
        sources=sources,
        uses_ema=choice.uses_ema,
        ignored=names.ignored
        | {name: is_ignorable(dialect, name) or reason for name, reason in aside.items()}
        | dict(whole.skipped),
        notes=(
            *reader.notes,
            *found.notes,
            *(() if _is_said(reader, options) else _notes_in_front(names, reader, recognised, spec, stated)),
            *notes_on(names, recognised, no_head=found.no_head),
            *accepted_notes(names),
            *(note for note in (choice.note, restored.note) if note),
        ),
    )


def _check_fit(
    reader: Reader,
    found: Ending,
    chosen: Mapping[str, str],
    *,
    recognised: Recognised,
    inserted: Inserted,
    options: SourceOptions,
    before: str,
) -> None:
    """Raise an `EffnetError` that explains it where the file does not hold exactly the tensors of the network."""
    try:
        check_fit(reader, found.spec, found.entries, chosen)
    except CheckpointMismatch as mismatch:
        from converters.networks.misfit import explained  # noqa: PLC0415 - most files fit

        names = found.names.shadows | found.names.raw
        error = explained(
            mismatch,
            reader,
            found.spec,
            entries=found.entries,
            chosen=chosen,
            shapes={variable: reader.tensors[name].shape for variable, name in names.items()},
            recognised=recognised,
            inserted=inserted,
            options=options,
            before=before,
        )
        raise error from None


def _names_of(reader: Reader, options: SourceOptions) -> tuple[Recognised, SortedNames, Inserted]:
    """Whose names a file has, what each of its tensors is by them, and what stands inside the network."""
    recognised = recognised_names(reader, options)
    names = _behind_front(reader, recognised, sort_names(reader, recognised))
    inserted = find_inserted(reader, recognised, names)
    if unknown := [*names.strangers, *inserted.within]:
        from converters.networks.reparametrised import check_not_reparametrised  # noqa: PLC0415 - of few files

        check_not_reparametrised(reader, recognised, unknown)
    return recognised, apart_from(inserted, names, accepted=options.accept_different_logits), inserted


def _behind_front(reader: Reader, recognised: Recognised, names: SortedNames) -> SortedNames:
    """The names, apart from layers in front: by the configuration of a Keras model, or else those that normalise."""
    if not names.strangers:
        return names
    if KERAS_CONFIG_KEY not in reader.metadata:
        if not any(name.endswith("/variance") for name in names.strangers):
            return names
        from converters.keras_models.front import apart_from_normalising  # noqa: PLC0415 - as below

        return apart_from_normalising(names, reader, recognised.dialect, stem=_stem(recognised))
    from converters.keras_models.normalisation import layers_in_front  # noqa: PLC0415 - as below

    return without_front(names, layers_in_front(reader, stem=_stem(recognised)))


def _stem(recognised: Recognised) -> str:
    return recognised.prefix + recognised.dialect.layers["stem.conv"]


def _stated_normalisation(
    reader: Reader, recognised: Recognised, names: SortedNames, options: SourceOptions
) -> Stated | None:
    """What a Keras file says of how its network normalises pixels; None for one that says nothing, or whose definition
    says it.

    Raises `FormatError` for half of the tensors, unless something else says it.
    """
    is_defined = options.spec is not None or is_stored(reader, options)
    if not names.normalisation and not is_defined and names.normalising_around:
        from converters.keras_models.front import stated_around  # noqa: PLC0415 - of few files

        return stated_around(names, reader, recognised.dialect, stem=_stem(recognised))
    if not names.normalisation and (is_defined or KERAS_CONFIG_KEY not in reader.metadata):
        return None
    from converters.keras_models.normalisation import check_whole, stated_normalisation  # noqa: PLC0415 - as above

    tensors = recognised.dialect.normalisation
    stated = stated_normalisation(reader, stem=_stem(recognised), tensors=tensors, names=names.normalisation)
    if stated is None and tensors is not None and not _is_said(reader, options):
        check_whole(reader, tensors, names.normalisation)
    return stated


def _is_said(reader: Reader, options: SourceOptions) -> bool:
    """Whether the user or the definition in the file says how images are normalised."""
    return options.recipe is not None or options.spec is not None or SPEC_KEY in reader.metadata


def _notes_in_front(
    names: SortedNames, reader: Reader, recognised: Recognised, spec: NetworkSpec, stated: Stated | None
) -> tuple[str, ...]:
    """What layers of a Keras model outside its network may do with images, as far as weights tell."""
    if reader.layers is None and not names.normalising_layers and not names.normalising_around:
        return ()
    from converters.keras_models.front import notes_in_front  # noqa: PLC0415 - as above

    return notes_in_front(names, reader, recognised.dialect, spec, stated, stem=_stem(recognised))
