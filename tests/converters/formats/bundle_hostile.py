"""Reads every damaged and hostile bundle with little memory and says what became of each.

`python -m tests.converters.formats.bundle_hostile FOLDER` prints JSON. A case that `must_fail` has to end in an
`EffnetError`; any other may instead give exactly the bytes that were written.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from converters.formats.tensor_bundle import TensorBundleReader
from effnet_core import EffnetError
from tests.converters.formats.bundle_archive_cases import archive_cases
from tests.converters.formats.bundle_cases import Case, entry_cases
from tests.converters.formats.bundle_folder_cases import folder_cases
from tests.converters.formats.bundle_table_cases import table_cases
from tests.converters.formats.bundle_tables import arrays

ROOM = 512 << 20
"""Bytes that the cases may take beyond what the interpreter and its libraries take."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    name: str
    must_fail: bool
    error: str
    """Type of the exception, empty when everything could be read."""
    message: str
    is_right: bool
    """Whether every array that could be read has bytes that were written."""
    seconds: float


def cases() -> Iterator[Case]:
    yield from entry_cases()
    yield from table_cases()
    yield from folder_cases()
    yield from archive_cases()


def outcome(case: Case, folder: Path, *, written: frozenset[bytes]) -> Outcome:
    path = case.build(folder)
    start = time.perf_counter()
    error, is_right = None, True
    try:
        with TensorBundleReader(path, scratch_folder=folder) as reader:
            for name in reader.tensors:
                is_right &= reader.read(name).tobytes() in written
            for name in reader.skipped:
                reader.read_strings(name)
    except Exception as caught:
        error = caught
    return Outcome(
        name=case.name,
        must_fail=case.must_fail,
        error="" if error is None else "EffnetError" if isinstance(error, EffnetError) else repr(type(error)),
        message="" if error is None else str(error),
        is_right=is_right,
        seconds=time.perf_counter() - start,
    )


def limit_memory(room: int = ROOM) -> None:
    with Path("/proc/self/statm").open() as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + room, now + room))


def main(folder: Path) -> None:
    written = frozenset(array.tobytes() for array in arrays().values())
    limit_memory()
    try:
        np.ones(2 * ROOM, np.uint8)
        limited = False
    except MemoryError:
        limited = True
    outcomes = [asdict(outcome(case, folder / str(number), written=written)) for number, case in enumerate(cases())]
    json.dump({"limited": limited, "outcomes": outcomes}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
