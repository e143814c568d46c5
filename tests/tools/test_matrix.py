"""The tables of dialects and formats are those of the registries, and what they promise is true."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from converters import DIALECTS, FORMATS, WRITTEN_FORMATS, open_checkpoint, save_state
from effnet_core import Family
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


def test_another_registry_would_be_seen(document: str) -> None:
    row = next(iter(MATRIX.dialect_rows()))
    assert " | ".join(row) in document
    assert MATRIX.markdown(("a",), [("b",)]) == "| a |\n| --- |\n| b |"


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
    other = lively_state(spec, seed=1)
    assert not equal(other, state)
