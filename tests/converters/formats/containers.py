"""What the tests of all containers share: lively arrays of every dtype, the contract of a writer, hostile bytes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from converters.errors import OutputError
from converters.formats import reader_class, writer_class
from converters.formats.base import Array, TensorInfo
from effnet_core import EffnetError

COMMON_DTYPES = ["f4", "f8", "f2", "i8", "i4", "i2", "i1", "u1", "u2", "u4", "u8", "?", "c8", ml_dtypes.bfloat16]
METADATA = {"effnet.spec": '{"name": "é"}', "note": "line\nbreak"}


def lively(dtype: object, shape: tuple[int, ...], seed: int = 0) -> Array:
    """Random bits that make sense for the dtype: no two arrays of one seed and shape are alike."""
    values = np.random.default_rng([seed, *shape]).normal(size=shape) * 40
    if np.dtype(dtype).kind == "c":
        return np.asarray(values + 1j * values[..., ::-1] if shape else values).astype(dtype)
    return np.asarray(
        values > 0 if np.dtype(dtype) == "?" else np.abs(values) if np.dtype(dtype).kind == "u" else values
    ).astype(dtype)


def arrays_of(dtypes: list[object]) -> dict[str, Array]:
    """A scalar, an empty, an odd-sized and a larger array of each dtype."""
    return {
        f"{np.dtype(dtype).name}/{shape}.é": lively(dtype, shape)
        for dtype in dtypes
        for shape in [(), (0, 3), (3,), (5, 1, 7)]
    }


def infos(arrays: Mapping[str, Array]) -> list[TensorInfo]:
    return [TensorInfo(name=name, shape=array.shape, dtype=array.dtype) for name, array in arrays.items()]


def write(kind: str, path: Path, arrays: Mapping[str, Array], metadata: Mapping[str, str] = METADATA) -> Path:
    with writer_class(kind)(path, infos(arrays), metadata, overwrite=False, sync=False) as writer:
        for array in arrays.values():
            writer.write(array)
        writer.commit()
    return path


def read(kind: str, path: Path) -> dict[str, Array]:
    """Every array of a file, in its order."""
    with reader_class(kind)(path) as reader:
        return {name: reader.read(name).copy() for name in reader.tensors}


def same(found: Mapping[str, Array], expected: Mapping[str, Array]) -> bool:
    """True when names, their order, shapes, dtypes and bits are equal."""
    return list(found) == list(expected) and all(
        (found[name].shape, found[name].dtype, found[name].tobytes()) == (array.shape, array.dtype, array.tobytes())
        for name, array in expected.items()
    )


def refused(kind: str, path: Path, truth: Mapping[str, Array]) -> bool:
    """True when reading all of a hostile file ends in an error of the project, False when it gives the truth.

    Anything else fails the test.
    """
    try:
        found = read(kind, path)
    except EffnetError:
        return True
    assert same(found, truth), "a damaged file gave other arrays without an error"
    return False


def flipped(data: bytes, positions: range, seed: int) -> bytes:
    """The bytes with one bit flipped somewhere in `positions`."""
    chance = random.Random(seed)
    damaged = bytearray(data)
    damaged[chance.choice(positions)] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def check_every_flip(kind: str, path: Path) -> None:
    """Every single bit of a file, flipped: an error or exactly the arrays; never an error of another kind."""
    data, truth = path.read_bytes(), read(kind, path)
    outcomes: list[bool] = []
    with path.open("r+b", buffering=0) as file:
        for position, byte in enumerate(data):
            for bit in range(8):
                os.pwrite(file.fileno(), bytes([byte ^ 1 << bit]), position)
                outcomes.append(refused(kind, path, truth))
            os.pwrite(file.fileno(), bytes([byte]), position)
    assert read(kind, path).keys() == truth.keys()
    assert 0.4 < sum(outcomes) / len(outcomes) < 1


@contextmanager
def bounded(*, megabytes: int, seconds: float) -> Iterator[None]:
    """Fails when the block allocates or computes more."""
    tracemalloc.start()
    start = time.process_time()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < megabytes << 20
    assert time.process_time() - start < seconds


def check_writer_contract(
    kind: str,
    folder: Path,
    *,
    arrays: Mapping[str, Array] | None = None,
    new: tuple[str, tuple[int, ...]] = ("new", (3,)),
    own_metadata: frozenset[str] = frozenset(),
) -> None:
    """What a writer promises: places, the order of calls, nothing before `commit`, refusals.

    `arrays` and `new` are what the format can hold, where that is not everything; `own_metadata` is what it adds.
    """
    arrays = arrays or arrays_of(["f4", "i8", "f2"])
    path = folder / f"out.{kind}"
    with writer_class(kind)(path, infos(arrays), METADATA, overwrite=False, sync=True) as writer:
        places = [writer.write(array) for array in arrays.values()]
        with writer.finish() as reader:
            assert {key: reader.metadata[key] for key in reader.metadata.keys() - own_metadata} == METADATA
            for place, (name, array) in zip(places, arrays.items(), strict=True):
                assert reader.location(name) == place
                assert place.offset % array.itemsize == 0
                assert place.path.read_bytes()[place.offset : place.offset + array.nbytes] == array.tobytes()
                assert not reader.read(name).flags.writeable
            with pytest.raises(KeyError):
                reader.read("nothing of that name")
        assert list(folder.iterdir()) == []
        assert writer.commit() == (path,)
    assert same(read(kind, path), arrays)
    _check_refusals(kind, folder, path, arrays)
    _check_replacing(kind, path, *new)
    assert list(folder.iterdir()) == [path]


def _check_refusals(kind: str, folder: Path, path: Path, arrays: Mapping[str, Array]) -> None:
    writer = writer_class(kind)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="exists"):
        writer(path, infos(arrays), {}, overwrite=False, sync=False)
    with pytest.raises(OutputError, match="does not exist"):
        writer(folder / "missing" / "x", infos(arrays), {}, overwrite=False, sync=False)
    with pytest.raises(OutputError, match="cannot be written"):
        writer(folder / ("x" * 300), infos(arrays), {}, overwrite=False, sync=False)
    with pytest.raises(OutputError, match="stands for two arrays"):
        writer(folder / "x", infos(arrays) * 2, {}, overwrite=False, sync=False)
    with pytest.raises(OutputError, match="UTF-8"):
        writer(folder / "x", infos({"\ud800": np.zeros(1)}), {}, overwrite=False, sync=False)
    with writer(path, infos(arrays), {}, overwrite=True, sync=False) as unfinished:
        unfinished.write(next(iter(arrays.values())))
        with pytest.raises(ValueError, match="promised"):
            unfinished.write(np.zeros(2))
        with pytest.raises(ValueError, match="were promised"):
            unfinished.commit()
    assert path.read_bytes() == before


def _check_replacing(kind: str, path: Path, name: str, shape: tuple[int, ...]) -> None:
    """A file is replaced; of strided input it holds the plain bytes all the same."""
    array = np.ones(shape)
    with writer_class(kind)(path, infos({name: array}), {}, overwrite=True, sync=False) as writer:
        writer.write(np.ones((*shape[:-1], 2 * shape[-1]))[..., ::2])
        writer.commit()
    assert same(read(kind, path), {name: array})


_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from converters.errors import OutputError
from converters.formats import writer_class
from converters.formats.base import TensorInfo

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
array = np.ones((200, 100), np.float32)
infos = [TensorInfo(name=name + sys.argv[4], shape=array.shape, dtype=array.dtype) for name in "abc"]
try:
    kind, path, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    with writer_class(kind)(path, infos[:count], {}, overwrite=False, sync=False) as writer:
        for _ in range(count):
            writer.write(array)
        print(writer.commit())
except OutputError as error:
    print("refused:", error)
"""


def check_full_disk(kind: str, folder: Path, *, leaf: str = "") -> None:
    """A file larger than the disk leaves nothing behind; one that fits is the control."""
    for count, expected in [(3, "refused: "), (1, "(")]:
        result = subprocess.run(
            [sys.executable, "-c", _FULL_DISK, kind, str(folder / "out"), str(count), leaf],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[3],
        )
        assert result.stdout.startswith(expected)
        assert len(list(folder.iterdir())) == (count == 1)
