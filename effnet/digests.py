"""The digest of the weights in a checkpoint: the same in every format and naming."""

from __future__ import annotations

from pathlib import Path

import converters
from converters import Digest, SourceOptions
from converters.convert import Progress
from effnet.loading import open_source
from effnet.sources import find_source


def digest(path: str | Path, *, options: SourceOptions | None = None, progress: Progress | None = None) -> Digest:
    """The digest of a checkpoint's weights, one tensor at a time; `docs/digest.md` specifies it.

    `official:NAME` is fetched first. `progress` is called with the bytes done and the bytes in all. Raises what
    `converters.open_checkpoint` raises.
    """
    with open_source(find_source(path, options)) as checkpoint:
        return converters.digest(checkpoint, progress=progress)
