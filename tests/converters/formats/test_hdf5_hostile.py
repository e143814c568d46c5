"""HDF5 files that are damaged, lie, or hold what Keras never writes."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from converters.errors import FormatError, UnsupportedFile
from converters.formats import open_reader, reader_class
from converters.formats.base import Array
from effnet_core import EffnetError
from tests.converters.formats import containers
from tests.converters.formats.hdf5_hostile import ONES, REFUSED, write
from tests.converters.formats.keras_files import FIXTURES

NAME = "classifier/kernel"
FILES = {"keras-h5": "nested.h5", "keras-weights": "nested.weights.h5", "keras": "nested.keras"}


def test_an_honest_file_passes(tmp_path: Path) -> None:
    assert containers.same(containers.read("keras-weights", write(tmp_path / "x")), {NAME: ONES})


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    change, message = REFUSED[case]
    path = write(tmp_path / "x", change)
    with (
        containers.bounded(megabytes=10, seconds=5),
        pytest.raises((FormatError, UnsupportedFile), match=message),
        open_reader(path),
    ):
        pass


@pytest.mark.parametrize("libver", ["earliest", "v108", "v110", "v112", "latest"])
def test_every_version_of_the_structures(libver: str, tmp_path: Path) -> None:
    path = write(tmp_path / "x", libver=libver)
    assert containers.same(containers.read("keras-weights", path), {NAME: ONES})


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
def test_big_endian_numbers(dtype: str, tmp_path: Path) -> None:
    array = containers.lively(dtype, (2, 3))

    def change(file: h5py.File) -> None:
        file["layers/dense_1/vars/0"] = array.astype(array.dtype.newbyteorder(">"))

    with open_reader(write(tmp_path / "x", change)) as reader:
        found = reader.read("layers/dense_1/kernel")
        assert (found.dtype, found.tobytes()) == (array.dtype, array.tobytes())
        assert (reader.location("layers/dense_1/kernel") is None) == (array.itemsize > 1)


@pytest.mark.parametrize(
    "value",
    [
        "text",
        np.array([b"abc", b"de"]),
        np.ones(2, "?"),
        np.ones(2, "c8"),
        np.ones(2, "g"),
        np.ones(2, "V2"),
        np.ones(2, [("a", "f4"), ("b", "i4")]),
        np.ones(2, h5py.enum_dtype({"A": 1}, "i4")),
        np.array([h5py.Reference()], h5py.ref_dtype),
        h5py.Empty("f4"),
    ],
    ids=str,
)
def test_what_is_no_number_is_listed(value: object, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        file["layers/other/vars/0"] = value

    with open_reader(write(tmp_path / "x", change)) as reader:
        assert list(reader.tensors) == [NAME]
        assert list(reader.skipped) == ["layers/other/vars/0"]


def test_fixed_text_and_text_of_any_length(tmp_path: Path) -> None:
    long = "é" * 1_000_000

    def change(file: h5py.File) -> None:
        file.attrs["fixed"] = np.bytes_("fé".encode())
        file.attrs["long"] = long
        file.attrs["empty"] = ""
        file.attrs["number"] = 3

    with open_reader(write(tmp_path / "x", change)) as reader:
        assert reader.metadata == {"fixed": "fé", "long": long, "empty": ""}


@pytest.mark.parametrize("names", [[b"absent"], [b"layers", b"layers"], 3, np.ones(2)], ids=str)
def test_lists_that_lie(names: object, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        file.attrs["layer_names"] = names
        file["layers"].attrs["weight_names"] = [b"dense/vars/0"]

    with pytest.raises(FormatError), open_reader(write(tmp_path / "x", change)):
        pass


def test_lists_that_name_no_dataset(tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        file.attrs["layer_names"] = [b"layers"]
        file["layers"].attrs["weight_names"] = [b"dense/vars"]

    with pytest.raises(FormatError, match="not there"), open_reader(write(tmp_path / "x", change)):
        pass


def test_the_same_long_text_many_times(tmp_path: Path) -> None:
    path = write(tmp_path / "x")
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = ["?" * 1_000_000, *(["!"] * 3999)]
    data = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        assert len(file.attrs["layer_names"]) == 4000
    # Every element of 16 bytes (length, heap, number) becomes a copy of the first.
    first = data.index((1_000_000).to_bytes(4, "little"))
    data[first : first + 4000 * 16] = bytes(data[first : first + 16]) * 4000
    path.write_bytes(data)
    with containers.bounded(megabytes=200, seconds=20), pytest.raises(FormatError, match="more structures"):
        open_reader(path)


def test_no_hdf5_file_of_keras(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x", "w") as file:
        file["data"] = ONES
    with pytest.raises(FormatError, match="none of Keras"), open_reader(tmp_path / "x"):
        pass
    with h5py.File(tmp_path / "y", "w", userblock_size=512) as file:
        file["data"] = ONES
    with pytest.raises(FormatError), open_reader(tmp_path / "y", name="keras-h5"):
        pass


# Damage


def damaged(data: bytes, seed: int) -> bytes:
    """Some bytes changed in one of four ways, or the end cut off."""
    chance = random.Random(seed)
    result = bytearray(data)
    if seed % 5 == 4:
        return data[: chance.randrange(len(data))]
    for _ in range(1 + seed % 3):
        place = chance.randrange(len(data) - 8)
        match seed % 5:
            case 0 | 1:
                result[place] ^= 1 << chance.randrange(8)
            case 2:
                result[place] = chance.randrange(256)
            case _:
                aligned = place & ~7
                values = (0, (1 << 64) - 1, chance.randrange(len(data)) & ~7, 1 << chance.randrange(64))
                result[aligned : aligned + 8] = chance.choice(values).to_bytes(8, "little")
    return bytes(result)


def unharmed(kind: str, path: Path) -> dict[str, Array] | None:
    """Everything in a damaged file, None where it is refused. Anything but an error of the project fails the test."""
    try:
        with reader_class(kind)(path) as reader:
            found = {name: reader.read(name).copy() for name in reader.tensors}
            places = {name: reader.location(name) for name in found}
    except EffnetError:
        return None
    data = path.read_bytes()
    for name, place in places.items():
        if place is not None:
            assert data[place.offset :][: found[name].nbytes] == found[name].tobytes()
    return found


@pytest.mark.parametrize("kind", FILES)
def test_damage(kind: str, tmp_path: Path) -> None:
    data, path = (FIXTURES / FILES[kind]).read_bytes(), tmp_path / "x"
    refused = 0
    with containers.bounded(megabytes=80, seconds=120):
        for seed in range(120):
            path.write_bytes(damaged(data, seed))
            refused += unharmed(kind, path) is None
    assert 30 < refused <= 120


def test_every_damaged_byte_of_an_archive_is_seen(tmp_path: Path) -> None:
    data, path = (FIXTURES / "nested.keras").read_bytes(), tmp_path / "x"
    truth = containers.read("keras", FIXTURES / "nested.keras")
    for seed in range(100):
        path.write_bytes(containers.flipped(data, range(len(data)), seed))
        containers.refused("keras", path, truth)


def test_a_packed_archive_leaves_nothing_behind(tmp_path: Path) -> None:
    truth = containers.read("keras", FIXTURES / "nested.keras")
    with (
        zipfile.ZipFile(FIXTURES / "nested.keras") as old,
        zipfile.ZipFile(tmp_path / "x", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with open_reader(tmp_path / "x") as reader:
        assert {reader.location(name) for name in reader.tensors} == {None}
        assert containers.same({name: reader.read(name).copy() for name in reader.tensors}, truth)
    data = (tmp_path / "x").read_bytes()
    for seed in range(50):
        (tmp_path / "y").write_bytes(containers.flipped(data, range(len(data)), seed))
        containers.refused("keras", tmp_path / "y", truth)
    assert {entry.name for entry in tmp_path.iterdir()} == {"x", "y"}


@pytest.mark.parametrize("structure", [b"TREE", b"SNOD", b"HEAP", b"GCOL"])
def test_flips_in_every_byte_of_a_structure(structure: bytes, tmp_path: Path) -> None:
    data, path = bytearray((FIXTURES / "flat.h5").read_bytes()), tmp_path / "x"
    start = data.index(structure)
    for place in range(start, start + 48):
        for value in (0, 0xFF, data[place] ^ 1, data[place] ^ 0x80):
            path.write_bytes(data[:place] + bytes([value]) + data[place + 1 :])
            unharmed("keras-h5", path)
