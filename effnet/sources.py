"""What a user names as a checkpoint: a path, or `official:NAME`, which is fetched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from converters import SourceOptions
from converters.errors import UnreadableFile
from effnet.formats import check_format
from effnet.official_prefix import OFFICIAL

if TYPE_CHECKING:
    from effnet_core import NetworkSpec
    from effnet_core.checkpoints import OfficialCheckpoint


class Source(NamedTuple):
    """A checkpoint that lies on this machine."""

    name: str
    """What the user called it."""
    path: Path
    options: SourceOptions
    """What is known about it: the user's word, then the catalogue's."""
    notes: tuple[str, ...] = ()
    """Where it comes from, a sentence each."""


def is_official(source: str | Path) -> bool:
    """Whether a source names an official checkpoint. `./official:NAME` is a file of that name."""
    return str(source).startswith(OFFICIAL)


def find_source(source: str | Path, options: SourceOptions | None = None) -> Source:
    """The file of a source, fetched first where it is `official:NAME`, and the options for it.

    The catalogue says what network an official checkpoint holds and how its images were prepared; what the user says
    in `options` prevails. Raises `FormatError` for a format that there is not, `UnreadableFile` for an
    empty path, and what `fetch` raises.
    """
    options = options or SourceOptions()
    check_format(options.format)
    if source == "":
        raise UnreadableFile("Expected the path of a checkpoint, found an empty one.")
    if not is_official(source):
        return Source(name=str(source), path=Path(source), options=options)
    from effnet.fetching import fetch
    from effnet_core.checkpoints import find_checkpoint

    checkpoint = find_checkpoint(str(source).removeprefix(OFFICIAL))
    fetched = fetch(checkpoint.name)
    completed = _completed(options, checkpoint)
    return Source(name=str(source), path=fetched.path, options=completed, notes=(_note(checkpoint),))


def _completed(options: SourceOptions, checkpoint: OfficialCheckpoint) -> SourceOptions:
    """The options with the catalogue's definition, unless the user names a network."""
    if options.spec is not None or not options.arch is options.width is options.depth is None:
        return options
    from effnet_core import with_classes
    from effnet_core.checkpoints import official_spec

    spec = official_spec(checkpoint)
    if options.num_classes is not None:
        spec = with_classes(spec, options.num_classes)
    if options.recipe is not None:
        spec = _with_recipe(spec, options.recipe)
    return replace(options, spec=spec)


def _with_recipe(spec: NetworkSpec, recipe: str) -> NetworkSpec:
    from effnet_core import recipe_preprocessing

    return replace(spec, preprocessing=recipe_preprocessing(recipe, resolution=spec.preprocessing.resolution))


def _note(checkpoint: OfficialCheckpoint) -> str:
    from effnet_core.checkpoints import official_spec

    rule = official_spec(checkpoint).preprocessing
    accuracy = "" if checkpoint.top1 is None else f", published top-1 {checkpoint.top1:g} %"
    return (
        f"{OFFICIAL}{checkpoint.name} is {checkpoint.variant}, recipe {checkpoint.recipe}, evaluated at "
        f"{rule.resolution} pixels{accuracy}."
    )
