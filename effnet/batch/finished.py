"""What made a finished table, kept with it, so that `resume` can tell that nothing is left to do.

Parquet holds it in its metadata, under `effnet`. Beside a CSV file, which has none, lies `FILE.csv.run.json`, with the
digest of the table that it belongs to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import file_digest
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from converters import OutputError
from effnet.batch.identity import differences
from effnet.batch.rows import Value
from effnet.batch.tables import TableFormat, table_format

_DIGEST, _RUN = "sha256", "run"


def record_of(identity: Mapping[str, Value], *, checkpoint: str, network: str) -> str:
    """What is kept with a table, JSON."""
    return json.dumps({"checkpoint": checkpoint, "network": network, _RUN: identity})


def record_file(target: Path) -> Path | None:
    """Where the record of a table lies; None where the table itself holds it."""
    return target.with_name(f"{target.name}.run.json") if table_format(target) is TableFormat.CSV else None


def check_record_file(target: Path) -> None:
    """Raise `OutputError` where the record of a table would take the place of a file of somebody else."""
    file = record_file(target)
    if file is not None and file.exists() and _DIGEST not in _object(file.read_bytes()):
        raise OutputError(f"{file} is not of a run of {target.name}, whose place it has. Move it elsewhere first.")


def with_digest(record: str, table: Path) -> str:
    """The record as it lies beside the table in this file."""
    return json.dumps({**json.loads(record), _DIGEST: _digest(table)}, indent=2) + "\n"


def holds_run(target: Path, identity: Mapping[str, Value]) -> bool:
    """Whether a table is what a run of this identity gave, as its record says; False where nothing says it.

    Raises `OutputError` where the record is of another run.
    """
    try:
        record = _record(target)
    except OSError as error:
        raise OutputError(f"{target} exists and cannot be read: {error.strerror or error}.") from error
    if record is None:
        return False
    found: Any = record.get(_RUN)
    other = differences(cast("dict[str, Any]", found) if isinstance(found, dict) else {}, identity)
    if other:
        raise OutputError(
            f"{target} is the table of another run: {other}. Run it as before, name another output, or pass --force "
            "(overwrite=True) without --resume to replace it."
        )
    return True


def _record(target: Path) -> dict[str, Any] | None:
    if not target.is_file():
        return None
    file = record_file(target)
    if file is None:
        return _of_parquet(target)
    if not file.is_file():
        return None
    found = _object(file.read_bytes())
    return found if found.get(_DIGEST) == _digest(target) else None


def _of_parquet(target: Path) -> dict[str, Any] | None:
    arrow: Any = import_module("pyarrow")
    parquet: Any = import_module("pyarrow.parquet")
    try:
        metadata: dict[bytes, bytes] = parquet.read_schema(target).metadata or {}
    except arrow.ArrowInvalid:  # another file of that name
        return None
    found = _object(metadata.get(b"effnet", b""))
    return found if _RUN in found else None


def _object(data: bytes) -> dict[str, Any]:
    """The object of a JSON document, empty where it is none."""
    try:
        found: Any = json.loads(data)
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
