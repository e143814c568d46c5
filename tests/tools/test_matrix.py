"""The tables of dialects and formats are those of the registries, and what they promise is true."""

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from converters import DIALECTS, FORMATS, WRITTEN_FORMATS, Dialect, open_checkpoint, save_state
from converters.dialects import WRITTEN_DIALECTS
from effnet_core import VARIANTS, Family, NetworkSpec
from tests.compared import COMPARED
from tests.converters.memory import equal
from tests.lively import lively_state

ROOT = Path(__file__).parents[2]


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("matrix", ROOT / "tools" / "matrix.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MATRIX = _tool()


@pytest.fixture(scope="module")
def document() -> str:
    return MATRIX.document()


def test_the_documents_are_up_to_date(document: str) -> None:
    assert document == (ROOT / "docs" / "matrix.md").read_text("utf-8"), "run tools/matrix.py"
    readme = (ROOT / "README.md").read_text("utf-8")
    assert MATRIX.with_summary(readme) == readme, "run tools/matrix.py"


def _changed(name: str, **fields: Any) -> dict[str, dict[str, Dialect]]:
    return {"DIALECTS": {**DIALECTS, name: replace(DIALECTS[name], **fields)}}


EFFICIENTNET_PYTORCH = DIALECTS["efficientnet-pytorch"].semantics[0]


@pytest.mark.parametrize(
    ("registries", "in_readme"),
    [
        ({"DIALECTS": {name: row for name, row in DIALECTS.items() if name != "keras-order"}}, True),
        (_changed("timm", title="another project"), True),
        (_changed("timm", is_written=False), True),
        (_changed("timm", semantics=()), False),
        (_changed("efficientnet-pytorch", semantics=(EFFICIENTNET_PYTORCH._replace(remark=None),)), False),
        ({"VARIANTS": {name: row for name, row in VARIANTS.items() if name != "efficientnet-b8"}}, False),
        ({"COMPARED": {**COMPARED, "keras-hub": COMPARED["keras-hub"] | {"efficientnet-b6"}}}, False),
        ({"COMPARED": {name: row for name, row in COMPARED.items() if name != "qubvel"}}, False),
        ({"WRITTEN_DIALECTS": WRITTEN_DIALECTS[:-1]}, False),
        ({"WRITTEN_FORMATS": WRITTEN_FORMATS[:-1]}, False),
        ({"writes": lambda *_: False}, False),
    ],
)
def test_another_registry_is_seen(
    registries: dict[str, Any], in_readme: bool, document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    monkeypatch.setattr(MATRIX, "writes", _as_written(document))
    assert MATRIX.document() == document
    for name, registry in registries.items():
        monkeypatch.setattr(MATRIX, name, registry)
    assert MATRIX.document() != document
    assert (MATRIX.with_summary(readme) != readme) is in_readme


def _as_written(document: str) -> Callable[[Dialect, str, NetworkSpec], bool]:
    """What the document says, in the place of writing every combination once more."""
    table = document.split("## Formats by dialect")[1]
    _, *formats = _cells(next(line for line in table.splitlines() if line.startswith("| dialect")))
    rows = {cells[0]: cells[1:] for line in table.splitlines() if (cells := _cells(line))}
    return lambda dialect, name, _: rows[f"`{dialect.name}`"][formats.index(f"`{name}`")] == MATRIX.YES


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_what_is_compared_has_names() -> None:
    """Dialects in no list are this project's own, whose networks are built from the definition."""
    assert {*DIALECTS} - {*COMPARED} == {"native", "effnet-torch", "effnet-keras"}
    rows = {row[0]: dict(zip(DIALECTS, row[1:], strict=True)) for row in MATRIX.variant_rows()}
    for dialect, variants in COMPARED.items():
        assert {variant for variant, cells in rows.items() if cells[dialect] == MATRIX.YES} == variants
    assert rows["efficientnet-b5"]["keras-hub"] == MATRIX.YES
    assert rows["efficientnet-b6"]["keras-hub"] == MATRIX.BY_RULE
    assert rows["efficientnetv2-b0"]["keras-hub"] == MATRIX.NO


WITHOUT_V1 = [name for name, row in DIALECTS.items() if row.families is not None and Family.V1 not in row.families]
"""Every format holds the others' tensors in tests/converters/comparing/test_digests.py."""


@pytest.mark.parametrize("dialect", WITHOUT_V1)
@pytest.mark.parametrize("name", WRITTEN_FORMATS)
def test_every_combination_gives_every_bit_back(name: str, dialect: str, tmp_path: Path) -> None:
    spec = MATRIX.narrow_network(DIALECTS[dialect])
    state = lively_state(spec)
    suffixes = FORMATS[name].suffixes
    target = tmp_path / f"model{suffixes[0] if suffixes else ''}"
    save_state(target, spec, state, to=dialect, to_format=name, sync=False)
    with open_checkpoint(target) as checkpoint:
        assert equal(checkpoint.state(), state)
        assert checkpoint.spec == spec
    # The control: another file of the same network and names, one number of which is another.
    changed = state["stem.conv.kernel"].copy()
    changed.reshape(-1)[0] = np.nextafter(changed.reshape(-1)[0], np.float32(9))
    save_state(
        target, spec, state | {"stem.conv.kernel": changed}, to=dialect, to_format=name, sync=False, overwrite=True
    )
    with open_checkpoint(target) as checkpoint:
        assert not equal(checkpoint.state(), state)
