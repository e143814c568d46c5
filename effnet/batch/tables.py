"""Rows as a CSV file or as Parquet, written in pieces."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

from converters import OutputError
from effnet.batch.rows import Columns, Kind, Value
from effnet.choices import Choice
from effnet.errors import MissingFramework, install_command

ROW_GROUP = 8192
"""Rows of Parquet that are in memory, and in the file, together."""


class TableFormat(Choice):
    """The kinds of files."""

    CSV = ".csv"
    PARQUET = ".parquet"


def table_format(target: Path) -> TableFormat:
    """The format by the ending. Raises `OutputError` for another ending, `MissingFramework` without pyarrow."""
    ending = target.suffix.lower()
    if ending not in list(TableFormat):
        raise OutputError(f"{target} ends with neither .csv nor .parquet, the formats of tables. Name another output.")
    if ending == TableFormat.PARQUET and find_spec("pyarrow") is None:
        raise MissingFramework(
            f"Writing Parquet needs pyarrow. Install it, in the checkout: {install_command('tables')}."
        )
    return TableFormat(ending)


def write_table(
    path: Path,
    kind: TableFormat,
    layout: Columns,
    rows: Iterable[list[Value]],
    *,
    about: str,
    row_group: int = ROW_GROUP,
) -> None:
    """Write all rows. `about` is kept as `effnet` in the metadata of Parquet. Raises `OSError`."""
    match kind:
        case TableFormat.CSV:
            with path.open("w", encoding="utf-8", newline="") as file:
                file.write(csv_line(list(layout.kinds)))
                file.writelines(csv_line(row) for row in rows)
        case TableFormat.PARQUET:
            _write_parquet(path, layout, rows, about=about, row_group=row_group)


def read_table(path: Path, kind: TableFormat, layout: Columns) -> Iterator[list[Value]]:
    """The rows of a table that `write_table` wrote. Raises `OSError`."""
    match kind:
        case TableFormat.CSV:
            with path.open(encoding="utf-8", newline="") as file:
                rows = csv.reader(file)
                next(rows)
                kinds = list(layout.kinds.values())
                yield from ([_value(*one) for one in zip(row, kinds, strict=True)] for row in rows)
        case TableFormat.PARQUET:
            parquet: Any = import_module("pyarrow.parquet")
            with parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(columns=list(layout.kinds)):
                    yield from (list(row.values()) for row in batch.to_pylist())


def _value(text: str, kind: Kind) -> Value:
    if not text:
        return None
    match kind:
        case Kind.TEXT:
            return text
        case Kind.INTEGER:
            return int(text)
        case Kind.NUMBER:
            return float(text)
        case Kind.TRUTH:
            return text == "true"


def csv_line(row: list[Value] | list[str]) -> str:
    """One line as RFC 4180 has it, with the line's end of Unix; None is empty, truth is true or false."""
    buffer = StringIO()
    texts = [str(value).lower() if isinstance(value, bool) else value for value in row]
    csv.writer(buffer, lineterminator="\n").writerow(texts)
    return buffer.getvalue()


def _write_parquet(path: Path, layout: Columns, rows: Iterable[list[Value]], *, about: str, row_group: int) -> None:
    arrow: Any = import_module("pyarrow")
    parquet: Any = import_module("pyarrow.parquet")
    types = {
        Kind.TEXT: arrow.string(),
        Kind.INTEGER: arrow.int32(),
        Kind.NUMBER: arrow.float64(),
        Kind.TRUTH: arrow.bool_(),
    }
    fields = [arrow.field(name, types[kind]) for name, kind in layout.kinds.items()]
    schema = arrow.schema(fields, metadata={"effnet": about})
    with parquet.ParquetWriter(path, schema) as writer:
        for group in _groups(rows, row_group):
            held = [list(column) for column in zip(*group, strict=True)]
            arrays = [arrow.array(column, field.type) for column, field in zip(held, fields, strict=True)]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))


def _groups(rows: Iterable[list[Value]], size: int) -> Iterator[list[list[Value]]]:
    held: list[list[Value]] = []
    for row in rows:
        held.append(row)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held
