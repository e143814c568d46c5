"""SavedModels that are damaged, lie, or would run code: folders and their archives."""

from __future__ import annotations

import os
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from converters.formats import open_reader
from effnet_core import EffnetError
from tests.converters.formats import containers, zips
from tests.named_values import named_values

PACKED = Path(__file__).parents[2] / "data/keras2/object_based/flowers_saved_model.zip"
FORMAT = "saved-model"


def unpacked(folder: Path) -> Path:
    with ZipFile(PACKED) as archive:
        archive.extractall(folder)
    return folder / "flowers"


def truth() -> dict[str, bytes]:
    with open_reader(PACKED) as reader:
        found = {name: reader.read(name).tobytes() for name in reader.tensors}
        assert all(found[name] == named_values(name, reader.tensors[name].shape).tobytes() for name in found)
    return found


TRUTH = truth()


def is_refused(path: Path) -> bool:
    """Whether reading everything ends in an error of the project; where it does not, every array is what was saved."""
    try:
        with open_reader(path, name=FORMAT) as reader:
            found = {name: reader.read(name).tobytes() for name in reader.tensors}
            for name in reader.skipped:
                assert name not in found
    except EffnetError as error:
        message = str(error)
    else:
        # Where the object graph is damaged without a trace, names stay keys; the arrays are the same in any case.
        assert sorted(found.values()) == sorted(TRUTH.values())
        return False
    assert 0 < len(message) < 1500
    return True


def damaged(data: bytes, seed: int) -> bytes:
    """One bit, eight bytes, a part twice, or the end cut off."""
    chance = random.Random(seed)
    start = chance.randrange(len(data))
    match seed % 4:
        case 0:
            return containers.flipped(data, range(len(data)), seed)
        case 1:
            return data[:start]
        case 2:
            return data[:start] + chance.randbytes(8) + data[start + 8 :]
        case _:
            return data[:start] + data[start : start + 40] + data[start:]


def test_honest_ones_pass(tmp_path: Path) -> None:
    assert not is_refused(PACKED)
    assert not is_refused(unpacked(tmp_path))


@pytest.mark.parametrize(
    ("file", "least"), [("variables/variables.index", 100), ("variables/variables.data-00000-of-00001", 40)]
)
def test_damaged_variables(file: str, least: int, tmp_path: Path) -> None:
    folder = unpacked(tmp_path)
    data = (folder / file).read_bytes()
    refused = 0
    for seed in range(120):
        (folder / file).write_bytes(damaged(data, seed))
        refused += is_refused(folder)
    assert least <= refused <= 120
    (folder / file).write_bytes(data)
    assert not is_refused(folder)


def test_the_program_beside_the_variables_is_not_looked_at(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Touching:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return os.mkdir, (str(canary),)

    folder = unpacked(tmp_path)
    program = (folder / "saved_model.pb").read_bytes()
    code = pickle.dumps(Touching())
    for content in (code, b"", b"\xff" * 1000, *(damaged(program, seed) for seed in range(20))):
        (folder / "saved_model.pb").write_bytes(content)
        (folder / "keras_metadata.pb").write_bytes(content)
        assert not is_refused(folder)
    assert not canary.exists()
    pickle.loads(code)  # the control: it does run
    assert canary.exists()


@pytest.mark.parametrize("case", zips.LIES)
def test_lying_archive(case: str, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(zips.LIES[case](PACKED.read_bytes()))
    with containers.bounded(megabytes=50, seconds=10):
        is_refused(path)


def test_damaged_archive(tmp_path: Path) -> None:
    data, path = PACKED.read_bytes(), tmp_path / "x.zip"
    refused = 0
    for seed in range(120):
        path.write_bytes(damaged(data, seed))
        refused += is_refused(path)
    assert 60 <= refused <= 120
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.zip"]


PLACES: dict[str, Callable[[Path], object]] = {
    "no index": lambda folder: (folder / "variables.index").unlink(),
    "no data": lambda folder: (folder / "variables.data-00000-of-00001").unlink(),
    "no variables": shutil.rmtree,
    "a pipe for the index": lambda folder: _pipe(folder / "variables.index"),
    "a pipe for the data": lambda folder: _pipe(folder / "variables.data-00000-of-00001"),
    "a folder for the data": lambda folder: _folder(folder / "variables.data-00000-of-00001"),
    "a link to itself": lambda folder: _link(folder / "variables.index"),
    "an empty index": lambda folder: (folder / "variables.index").write_bytes(b""),
    "empty data": lambda folder: (folder / "variables.data-00000-of-00001").write_bytes(b""),
    "an endless index": lambda folder: os.truncate(folder / "variables.index", 1 << 40),
}


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


@pytest.mark.parametrize("case", PLACES)
def test_other_things_in_the_places_of_files(case: str, tmp_path: Path) -> None:
    folder = unpacked(tmp_path)
    PLACES[case](folder / "variables")
    with containers.bounded(megabytes=100, seconds=10):  # of an index, 32 MB are read
        assert is_refused(folder)
