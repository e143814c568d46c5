"""Names and shapes of every network of keras.applications and KerasHub, which tools/fixtures/keras_shapes.py wrote."""

import gzip
import json
from pathlib import Path

import pytest

from converters import DIALECTS
from converters.names.naming import table
from effnet_core import resolve
from tests.compared import KERAS

FOLDER = Path(__file__).parents[2] / "data/keras_shapes"
THEIRS = {
    file: json.loads(gzip.decompress((FOLDER / f"{file}.json.gz").read_bytes())) for file in ("applications", "hub")
}


def ours(dialect: str, variant: str) -> dict[str, list[int]]:
    """As Keras 3 names them, with what normalises the input."""
    found = {
        entry.name.replace("/depthwise_kernel", "/kernel"): list(entry.shape)
        for entry in table(DIALECTS[dialect], resolve(variant), scope="")
    }
    tensors = DIALECTS[dialect].normalisation
    return found if tensors is None else found | {tensors.mean: [3], tensors.variance: [3], tensors.count: []}


def without_numbers(shapes: dict[str, list[int]]) -> dict[str, list[int]]:
    """Keras numbers the layers without names of all networks of a program: normalization, normalization_1, ..."""
    return {
        f"normalization/{name.partition('/')[2]}" if name.startswith("normalization_") else name: shape
        for name, shape in shapes.items()
    }


def test_every_network_is_compared() -> None:
    assert {(file, variant) for file, _, variant in KERAS} == {(file, name) for file in THEIRS for name in THEIRS[file]}


@pytest.mark.parametrize(("file", "dialect", "variant"), KERAS)
def test_names_and_shapes(file: str, dialect: str, variant: str) -> None:
    theirs = without_numbers(THEIRS[file][variant])
    assert ours(dialect, variant) == theirs
    other = next(name for _, known, name in KERAS if known == dialect and name != variant)
    assert ours(dialect, other) != theirs


def test_qubvel_has_no_normalisation_and_its_own_classifier() -> None:
    names = ours("qubvel", "efficientnet-b0")
    assert len(names) == 309 + 2  # its files without top have 309
    assert names.keys() - ours("keras-applications", "efficientnet-b0").keys() == {"probs/kernel", "probs/bias"}
