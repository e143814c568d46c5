"""npz, against NumPy in both directions, and hostile files."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from converters.errors import FormatError, OutputError, UnsupportedFile
from converters.formats import _zip_writer
from converters.formats._input import InputFile
from converters.formats._zip import ZipArchive
from converters.formats.npz import NpzReader, NpzWriter
from effnet_core import EffnetError
from tests.converters.formats import containers, zips

KIND = "npz"
ARRAYS = containers.arrays_of([*containers.COMMON_DTYPES, "c16"])
SMALL = {"a": containers.lively("f4", (2, 3)), "b": containers.lively("f2", (3,)), "c": containers.lively("i8", ())}


def npy(array: object, version: tuple[int, int] | None = None) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asanyarray(array), version)
    return buffer.getvalue()


def header_of(text: str, data: bytes = b"", *, magic: bytes = b"\x93NUMPY\x01\0", length: int | None = None) -> bytes:
    """A `.npy` with any header."""
    return magic + (len(text) if length is None else length).to_bytes(2, "little") + text.encode("latin-1") + data


def put(path: Path, content: bytes, method: int = zipfile.ZIP_STORED) -> Path:
    path.write_bytes(zips.zipped({"a.npy": content}, method))
    return path


def test_contract(tmp_path: Path) -> None:
    containers.check_writer_contract(KIND, tmp_path)


def test_full_disk(tmp_path: Path) -> None:
    containers.check_full_disk(KIND, tmp_path)


def test_ours_to_numpy(tmp_path: Path) -> None:
    path = containers.write(KIND, tmp_path / "x.npz", ARRAYS)
    with np.load(path, allow_pickle=False) as file:
        assert file.files == [*ARRAYS, "effnet.json"]
        found = {name: file[name] for name in ARRAYS}
    for name, array in ARRAYS.items():
        if array.dtype == ml_dtypes.bfloat16:
            assert found[name].dtype == np.dtype("V2")
            found[name] = found[name].view(ml_dtypes.bfloat16)
    assert containers.same(found, ARRAYS)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_numpy_to_ours(save: object, tmp_path: Path) -> None:
    save(tmp_path / "x.npz", **ARRAYS)
    assert containers.same(containers.read(KIND, tmp_path / "x.npz"), ARRAYS)
    with NpzReader(tmp_path / "x.npz") as reader:
        assert (reader.location("float32/(5, 1, 7).é") is None) == (save is np.savez_compressed)


def test_fortran_order_and_big_endian_are_turned(tmp_path: Path) -> None:
    array = containers.lively("f4", (3, 4, 5))
    sources = {
        "fortran": np.asfortranarray(array),
        "big": array.astype(">f4"),
        "both": np.asfortranarray(array.astype(">f4")),
        "strided": np.repeat(array, 2, axis=1)[:, ::2],
    }
    np.savez(tmp_path / "x.npz", **sources)
    assert containers.same(containers.read(KIND, tmp_path / "x.npz"), dict.fromkeys(sources, array))
    with NpzReader(tmp_path / "x.npz") as reader:
        assert [name for name in sources if reader.location(name) is not None] == ["strided"]


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_versions_of_the_array_format(version: tuple[int, int], tmp_path: Path) -> None:
    path = put(tmp_path / "x", npy(SMALL["a"], version))
    assert containers.same(containers.read(KIND, path), {"a": SMALL["a"]})


def test_what_is_no_number_is_skipped_and_never_unpickled(tmp_path: Path) -> None:
    others = {
        "objects": np.array([Canary(tmp_path / "canary")], dtype=object),
        "text": np.array(["b0"]),
        "bytes": np.array([b"b0"]),
        "dates": np.array(["2020-01-01"], dtype="M8[D]"),
        "structure": np.zeros(2, dtype=[("x, 'shape': (", "f4"), ("y", "i4")]),
    }
    np.savez(tmp_path / "x.npz", a=SMALL["a"], **others)
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as archive:
        archive.writestr("README.txt", "hello")
    with NpzReader(tmp_path / "x.npz") as reader:
        assert list(reader.tensors) == ["a"]
        assert reader.skipped.keys() == {*others, "README.txt"}
        assert "never unpickled" in reader.skipped["objects"]
    assert not (tmp_path / "canary").exists()
    with np.load(tmp_path / "x.npz", allow_pickle=True) as file:  # the control: NumPy, told to trust it, runs the code
        file["objects"]
    assert (tmp_path / "canary").exists()


class Canary:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_64_bit_sizes_and_offsets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_zip_writer, "LARGEST_32", 100)  # as if 100 bytes were the most that 32 bits can count
    path = containers.write(KIND, tmp_path / "x.npz", SMALL)
    assert b"PK\x06\x06" in path.read_bytes()
    assert containers.same(containers.read(KIND, path), SMALL)
    with np.load(path) as file:
        assert containers.same({name: file[name] for name in SMALL}, SMALL)


def test_offsets_beyond_4_gib(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with NpzWriter(path, containers.infos(SMALL), {}, overwrite=False, sync=False) as writer:
        for array in SMALL.values():
            writer.write(array)
            writer._staged.position += 3 << 30  # a hole in the file, which no disk stores
        writer.commit()
    assert containers.same(containers.read(KIND, path), SMALL)
    with np.load(path) as file:
        assert containers.same({name: file[name] for name in SMALL}, SMALL)


def test_dtype_without_a_portable_form_is_refused(tmp_path: Path) -> None:
    for dtype in ["M8[s]", ml_dtypes.float8_e4m3fn]:
        with pytest.raises(OutputError, match="npz cannot hold"):
            NpzWriter(tmp_path / "x", containers.infos({"a": np.zeros(2, dtype)}), {}, overwrite=False, sync=False)


# Hostile files


@pytest.mark.parametrize("case", zips.LIES)
def test_lying_archive(case: str, tmp_path: Path) -> None:
    path = containers.write(KIND, tmp_path / "x", SMALL)
    path.write_bytes(zips.LIES[case](path.read_bytes()))
    with containers.bounded(megabytes=50, seconds=10):
        assert containers.refused(KIND, path, SMALL)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_flip(save: object, tmp_path: Path) -> None:
    save(tmp_path / "x.npz", **SMALL)
    containers.check_every_flip(KIND, tmp_path / "x.npz")


@pytest.mark.parametrize("name", SMALL)
def test_every_flip_in_the_data_is_detected(name: str, tmp_path: Path) -> None:
    path = containers.write(KIND, tmp_path / "x", SMALL)
    with NpzReader(path) as reader:
        place = reader.location(name)
    assert place is not None
    data = path.read_bytes()
    for seed in range(8):
        path.write_bytes(containers.flipped(data, range(place.offset, place.offset + SMALL[name].nbytes), seed))
        with pytest.raises(FormatError, match="CRC-32"):
            containers.read(KIND, path)


@pytest.mark.parametrize("seed", range(40))
def test_truncated(seed: int, tmp_path: Path) -> None:
    path = containers.write(KIND, tmp_path / "x", SMALL)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * seed // 40])
    assert containers.refused(KIND, path, SMALL)


HONEST = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"
EIGHT = b"12345678"
LYING_HEADERS = {
    "empty entry": b"",
    "no magic": b"x" * 100,
    "magic only": b"\x93NUMPY",
    "version 0": header_of(HONEST, EIGHT, magic=b"\x93NUMPY\0\0"),
    "version 9": header_of(HONEST, EIGHT, magic=b"\x93NUMPY\x09\0"),
    "header beyond the entry": header_of(HONEST, length=5000),
    "header of 65 kB": header_of(HONEST, b" " * 70_000, length=65_000),
    "no dict": header_of("[1, 2, 3]", EIGHT),
    "empty dict": header_of("{}", EIGHT),
    "code": header_of("{'descr': '<f4', 'fortran_order': False, 'shape': (__import__('os').getpid(),)}", EIGHT),
    "code instead": header_of("__import__('os').system('true')", EIGHT),
    "deep": header_of("{'shape': " + "(" * 5000, EIGHT),
    "minuses": header_of("{'shape': (" + "-" * 9000 + "1,)}", EIGHT),
    "field missing": header_of("{'descr': '<f4', 'shape': (2,), }", EIGHT),
    "field twice": header_of("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", EIGHT),
    "field too many": header_of("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': '1'}", EIGHT),
    "order is no bool": header_of("{'descr': '<f4', 'fortran_order': '1', 'shape': (2,), }", EIGHT),
    "shape is no tuple": header_of("{'descr': '<f4', 'fortran_order': False, 'shape': '2', }", EIGHT),
    "negative shape": header_of("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", EIGHT),
    "huge shape": header_of("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", EIGHT),
    "very long number": header_of("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 8000 + ",), }", EIGHT),
    "shape that wraps to 8 bytes": header_of(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387906, 4), }", EIGHT
    ),
    "too many dimensions": header_of(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1, " * 65 + "2), }", EIGHT
    ),
    "promises more": header_of("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", EIGHT),
    "promises less": header_of("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", EIGHT),
    "promises a terabyte": header_of("{'descr': '<f4', 'fortran_order': False, 'shape': (274877906944,), }", EIGHT),
}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("case", LYING_HEADERS)
def test_lying_header(case: str, method: int, tmp_path: Path) -> None:
    path = put(tmp_path / "x", LYING_HEADERS[case], method)
    with containers.bounded(megabytes=20, seconds=5), pytest.raises((FormatError, UnsupportedFile)):
        NpzReader(path)


def test_honest_header_passes(tmp_path: Path) -> None:
    path = put(tmp_path / "x", header_of(HONEST, EIGHT))
    assert containers.read(KIND, path)["a"].tobytes() == EIGHT


def test_bomb(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("a.npy", npy(np.zeros(350 << 20, np.int8)))
    assert path.stat().st_size < 2 << 20
    with containers.bounded(megabytes=20, seconds=5), pytest.raises(UnsupportedFile, match="no compression of weights"):
        NpzReader(path)


def test_deflated_data_longer_than_promised(tmp_path: Path) -> None:
    content = npy(np.zeros(20 << 20, np.int8))
    honest = len(npy(np.zeros(8, np.int8)))
    lie = content[:128].replace(b"(20971520,), }", b"(8,), }       ")
    path = put(tmp_path / "y", lie + content[128:], zipfile.ZIP_DEFLATED)
    path.write_bytes(zips.patched(path.read_bytes(), zips.CENTRAL, 24, "I", honest))
    with containers.bounded(megabytes=10, seconds=5), pytest.raises(FormatError, match="holds more than"):
        containers.read(KIND, path)


def test_metadata_that_is_no_text(tmp_path: Path) -> None:
    for content in [b"", b"{", b"[]", b'{"a": 1}', b"[" * 100_000, b"\xff\xfe\x00"]:
        (tmp_path / "x").write_bytes(zips.zipped({"a.npy": npy(SMALL["a"]), "effnet.json": content}))
        with pytest.raises(FormatError, match=r"effnet\.json"):
            NpzReader(tmp_path / "x")


def test_pickle_in_place_of_an_array(tmp_path: Path) -> None:
    path = put(tmp_path / "x", pickle.dumps(Canary(tmp_path / "canary")))
    with pytest.raises(EffnetError):
        NpzReader(path)
    assert not (tmp_path / "canary").exists()


def test_damage_anywhere_in_a_large_array_is_seen(tmp_path: Path) -> None:
    """Another core takes the checksum of arrays of a megabyte and more, a part at a time."""
    path = tmp_path / "large.npz"
    np.savez(path, large=np.arange(1 << 19, dtype=np.float32))
    sound = bytearray(path.read_bytes())
    with NpzReader(path) as reader:
        assert reader.read("large")[-1] == (1 << 19) - 1
    for place in (1000, len(sound) // 2, len(sound) - 1000):
        damaged = bytearray(sound)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with NpzReader(path) as reader, pytest.raises(FormatError, match="CRC-32"):
            reader.read("large")


@pytest.mark.parametrize("size", [0, 1, (2 << 20) - 1, 2 << 20, (5 << 20) + 3])
def test_a_checksum_taken_by_two_cores_is_that_of_the_whole(size: int, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    sound = bytearray(zips.zipped({"entry": np.random.default_rng(0).bytes(size)}))
    for place in (None, *({0, size // 2 - 1, size // 2, size - 1} & set(range(size)))):
        damaged = bytearray(sound)
        if place is not None:
            damaged[sound.index(b"entry") + len("entry") + place] ^= 1
        path.write_bytes(damaged)
        file = InputFile(path)
        archive = ZipArchive(file)
        if place is None:
            archive.verify(archive.entries["entry"])
        else:
            with pytest.raises(FormatError, match="CRC-32"):
                archive.verify(archive.entries["entry"])
        file.close()
