"""Two checkpoint files compared, whatever formats and namings they are in."""

from __future__ import annotations

from pathlib import Path

import converters
from converters import Difference, SourceOptions
from converters.convert import Progress
from effnet.loading import open_source
from effnet.sources import find_source


def diff(
    a: str | Path,
    b: str | Path,
    *,
    a_options: SourceOptions | None = None,
    b_options: SourceOptions | None = None,
    progress: Progress | None = None,
) -> Difference:
    """What two checkpoints do not have in common: tensors, by canonical name, and definitions.

    `official:NAME` is fetched first. One tensor of each is held at a time; `progress` is called with the bytes done and
    the bytes in all. Raises what `converters.open_checkpoint` raises.
    """
    sources = find_source(a, a_options), find_source(b, b_options)
    with open_source(sources[0]) as one, open_source(sources[1]) as other:
        return converters.diff(one, other, progress=progress)
