"""From a path to an open checkpoint: which format, whose names, which network, which of two sets of weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from re import fullmatch

from converters.architecture import ADVICE, find_architecture
from converters.arrays import inverse
from converters.candidates import Wish
from converters.checkpoint import SPEC_KEY, Checkpoint, Source, SourceOptions
from converters.dialects import DIALECTS, Dialect
from converters.ema import choose_ema
from converters.errors import UnreadableFile, UnsupportedFile, some_of
from converters.formats import FORMATS, open_reader
from converters.formats.base import Reader
from converters.naming import Entry, Recognised, recognise, table, usual_name, variable_name
from effnet_core import (
    VARIANTS,
    CheckpointMismatch,
    EffnetError,
    NetworkSpec,
    check_state,
    described,
    from_json,
    preprocessing,
    with_classes,
)

_FEW = 40
"""Names that are looked at to tell the dialects apart."""


class UnknownDialect(EffnetError):
    """The names in a file belong to no dialect, or a dialect of that name does not exist."""


def open_checkpoint(path: str | Path, options: SourceOptions | None = None) -> Checkpoint:
    """Open a checkpoint of any format and dialect; reads names, shapes and dtypes, but no weights.

    Raises `FormatError` or `UnsupportedFile` for a file that cannot be read, `UnknownDialect` and
    `UnknownArchitecture` where nothing known fits, `EmaUnavailable` when the file lacks the weights that `options.ema`
    names, and `CheckpointMismatch` listing every tensor that is missing, unexpected or of another shape.
    """
    if path == "":
        raise UnreadableFile("Expected the path of a checkpoint, found an empty one.")
    options = options or SourceOptions()
    reader = open_reader(Path(path), name=options.format)
    try:
        return understand(reader, options)
    except BaseException:
        reader.close()
        raise


def find_dialect(name: str) -> Dialect:
    """The dialect of that name. Raises `UnknownDialect` naming all of them when there is none."""
    if name not in DIALECTS:
        near = get_close_matches(name, DIALECTS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UnknownDialect(f"There is no dialect named {name!r}.{hint} Dialects: {', '.join(DIALECTS)}.")
    return DIALECTS[name]


def understand(reader: Reader, options: SourceOptions) -> Checkpoint:
    """Find the dialect and the network of an open file, and a place or a reason for each of its tensors.

    Raises what `open_checkpoint` raises once the file is open.
    """
    if options.dialect is None:
        recognised = _most_recognised(reader)
    else:
        recognised = recognise(find_dialect(options.dialect), reader.tensors)
    dialect = recognised.dialect
    ignored = {name: reason for name in reader.tensors if (reason := _ignorable(dialect, name))}
    raw: dict[str, str] = {}
    shadows: dict[str, str] = {}
    for name in reader.tensors:
        if name not in ignored:
            variable = variable_name(dialect, name.removeprefix(recognised.prefix))
            variable = usual_name(dialect, variable, scope=recognised.scope)
            (shadows if dialect.shadow_suffix and name.endswith(dialect.shadow_suffix) else raw)[variable] = name
    shapes = {variable: reader.tensors[name].shape for variable, name in (shadows | raw).items()}
    spec, notes = _network(reader, recognised, shapes, options)
    entries = table(dialect, spec, scope=recognised.scope)
    choice = choose_ema(options.ema, [entry.name for entry in entries], raw=raw, shadows=shadows, dialect=dialect.name)
    chosen, other = (shadows, raw) if choice.uses_ema else (raw, shadows)
    left = "the variable itself; its moving average was taken" if choice.uses_ema else "the moving average; not taken"
    ignored |= dict.fromkeys(other.values(), left) | dict(reader.skipped)
    try:
        _check(reader, spec, entries, chosen, advice=ADVICE)
    except CheckpointMismatch:
        _check(reader, spec, entries, chosen, advice=_advice(recognised, shapes, options))
    return Checkpoint(
        reader=reader,
        dialect=dialect,
        spec=spec,
        sources=tuple(Source(entry=entry, name=chosen[entry.name]) for entry in entries),
        uses_ema=choice.uses_ema,
        ignored=ignored,
        notes=(*reader.notes, *notes, *([choice.note] if choice.note else [])),
    )


def _most_recognised(reader: Reader) -> Recognised:
    names = list(reader.tensors)
    # A few names from all over the file tell the dialects apart; only where they do not, every name is tried with each.
    best = recognise(_likely(reader.format, names[:: len(names) // _FEW + 1]), names)
    if best.count == 0:
        best = max((recognise(dialect, names) for dialect in DIALECTS.values()), key=lambda found: found.count)
    if best.count == 0:
        raise UnknownDialect(
            f"{reader.path} holds {len(reader.tensors)} tensors whose names belong to no known dialect; the first are: "
            f"{some_of(reader.tensors)}. Dialects: {', '.join(DIALECTS)}."
        )
    return best


def _likely(name: str, few: list[str]) -> Dialect:
    """The dialect that knows most of a few names: the usual one of the format, if it knows nearly all."""
    usual = FORMATS[name].dialect if name in FORMATS else None
    found: list[Recognised] = []
    for dialect in sorted(DIALECTS.values(), key=lambda dialect: dialect.name != usual):
        found.append(recognise(dialect, few))
        if found[-1].count >= 0.9 * len(few):
            break
    return max(found, key=lambda one: one.count).dialect


def _ignorable(dialect: Dialect, name: str) -> str | None:
    return next((rule.reason for rule in dialect.ignorable if fullmatch(rule.pattern, name)), None)


def _network(
    reader: Reader, recognised: Recognised, shapes: Mapping[str, tuple[int, ...]], options: SourceOptions
) -> tuple[NetworkSpec, tuple[str, ...]]:
    """The network that the file belongs to: the user's, the one that travels with the file, or the one that fits."""
    if options.spec is not None:
        return options.spec, ("The architecture is the definition that was given.",)
    wish = Wish(
        arch=options.arch,
        width=options.width,
        depth=options.depth,
        num_classes=options.num_classes,
        recipe=options.recipe,
    )
    stored = reader.metadata.get(SPEC_KEY)
    if stored is not None and options.arch is None and options.width is None and options.depth is None:
        spec = from_json(stored)
        if options.num_classes is not None:
            spec = with_classes(spec, options.num_classes)
        if options.recipe is not None:
            resolution = spec.preprocessing.resolution
            spec = replace(spec, preprocessing=preprocessing(options.recipe, resolution=resolution))
        return spec, (f"The architecture is {spec.name}, as the definition in the file says.",)
    found = find_architecture(recognised, shapes, wish)
    if options.recipe is not None:
        return found.spec, (found.note,)
    recipes = VARIANTS[found.spec.name].recipes
    others = f" (others: {', '.join(recipes[1:])})" if recipes[1:] else ""
    assumed = (
        f"Weights do not tell how images were prepared: assumed recipe {recipes[0]}{others} "
        f"at {found.spec.preprocessing.resolution} pixels; set it with --recipe."
    )
    return found.spec, (found.note, assumed)


def _advice(recognised: Recognised, shapes: Mapping[str, tuple[int, ...]], options: SourceOptions) -> str:
    """What to do if the tensors do not fit a network that the user described."""
    if options == SourceOptions(format=options.format, dialect=options.dialect, ema=options.ema):
        return ADVICE
    try:
        found = find_architecture(recognised, shapes, Wish())
    except EffnetError:
        return ADVICE
    spec = found.spec
    words = f"--arch {spec.name} --width {spec.width:g} --depth {spec.depth:g}"
    classes = "" if spec.classifier is None else f" --num-classes {spec.classifier.num_classes}"
    return f"Without these options: {found.note} ({words}{classes})"


def _check(
    reader: Reader, spec: NetworkSpec, entries: tuple[Entry, ...], chosen: Mapping[str, str], *, advice: str
) -> None:
    """Raise unless the chosen tensors are those of the network, in their shapes, and floating-point numbers."""
    by_name = {entry.name: entry for entry in entries}
    shapes: dict[str, tuple[int, ...]] = {}
    for variable, name in chosen.items():
        shape = reader.tensors[name].shape
        entry = by_name.get(variable)
        if entry is None:
            shapes[name] = shape
        elif len(shape) == len(entry.axes):
            shapes[entry.parameter.name] = tuple(shape[axis] for axis in inverse(entry.axes))
        else:  # the kernels of experts are flat in every dialect; any other rank is wrong
            shapes[entry.parameter.name] = shape
    check_state(
        [entry.parameter for entry in entries],
        shapes,
        foreign={entry.parameter.name: entry.name for entry in entries},
        subject=str(reader.path),
        network=described(spec),
        advice=advice,
    )
    for name in chosen.values():
        dtype = reader.tensors[name].dtype
        if dtype.kind != "f" and dtype.name != "bfloat16":
            raise UnsupportedFile(
                f"{reader.path}: {name} holds {dtype.name} numbers; expected floating-point weights. "
                "Quantised checkpoints are not read; convert the floating-point one."
            )
