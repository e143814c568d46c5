import csv
from pathlib import Path

import pytest

from converters import OutputError
from effnet.batch.rows import Columns, Kind
from effnet.batch.tables import TableFormat, read_table, table_format, write_table

LAYOUT = Columns(
    kinds={"path": Kind.TEXT, "class_1": Kind.INTEGER, "probability_1": Kind.NUMBER, "agrees": Kind.TRUTH},
    has_labels=False,
)
ROWS = [['a, "b".png', 3, 0.1, True], ["ü\n.png", None, None, None], ["c.png", 7, 1 / 3, False]]


def test_csv_keeps_every_number_and_name(tmp_path):
    path = tmp_path / "x.csv"
    write_table(path, TableFormat.CSV, LAYOUT, iter(ROWS), about="{}")
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == list(LAYOUT.kinds)
    assert rows[0] == ['a, "b".png', "3", "0.1", "true"]
    assert rows[1] == ["ü\n.png", "", "", ""]
    assert float(rows[2][2]) == 1 / 3
    assert list(read_table(path, TableFormat.CSV, LAYOUT)) == ROWS


def test_parquet_is_written_in_row_groups(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `tables` is not installed")
    path = tmp_path / "x.parquet"
    write_table(path, TableFormat.PARQUET, LAYOUT, iter(ROWS), about='{"checkpoint": "b0"}', row_group=2)
    with parquet.ParquetFile(path) as file:
        assert file.num_row_groups == 2
        table = file.read()
    assert [list(row.values()) for row in table.to_pylist()] == ROWS
    assert [str(field.type) for field in table.schema] == ["string", "int32", "double", "bool"]
    assert table.schema.metadata[b"effnet"] == b'{"checkpoint": "b0"}'
    assert list(read_table(path, TableFormat.PARQUET, LAYOUT)) == ROWS


def test_the_format_is_the_ending():
    assert (table_format(Path("x.CSV")), table_format(Path("x.parquet"))) == (TableFormat.CSV, TableFormat.PARQUET)
    with pytest.raises(OutputError, match=r"neither \.csv nor \.parquet"):
        table_format(Path("x.txt"))
