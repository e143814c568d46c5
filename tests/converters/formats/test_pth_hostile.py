"""PyTorch files that are damaged, lie, or would run code."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from converters.errors import FormatError, UnsupportedFile
from converters.formats.pth import PthReader
from effnet_core import EffnetError
from tests.converters.formats import containers, pickles, zips
from tests.converters.formats.torch_tensors import matches

KIND = "pth"
SMALL = {"a": containers.lively("f4", (2, 3)), "b": containers.lively("f2", (3,)), "c": containers.lively("i8", ())}
STORED = np.frombuffer(pickles.STORED, "<f4")
BROKEN = pickles.broken()


def put(folder: Path, data: bytes, **more: bytes) -> Path:
    path = folder / "x"
    path.write_bytes(pickles.archive(data, **more))
    return path


def test_honest_pickle_passes(tmp_path: Path) -> None:
    path = put(tmp_path, pickles.state(pickles.tensor(), pickles.tensor(2, (2, 3), (1, 2))))
    expected = {"a": STORED, "b": np.ascontiguousarray(STORED[2:8].reshape(3, 2).T)}
    assert containers.same(containers.read(KIND, path), expected)


# Code


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("case", pickles.running(Path("/nowhere")))
def test_code_is_never_run(case: str, protocol: int, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    data = pickles.dumped(pickles.running(canary)[case], protocol)
    with pytest.raises(UnsupportedFile, match="neither imported nor executed"):
        PthReader(put(tmp_path, data))
    assert not canary.exists()
    pickle.loads(data)  # the control: Python's own unpickler does run it
    assert canary.exists()


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("case", pickles.harmless_but_foreign())
def test_objects_beside_the_tensors_are_left_out_by_name(case: str, protocol: int, tmp_path: Path) -> None:
    value = pickles.harmless_but_foreign()[case]
    data = pickles.beside_a_tensor({"x": value, "y": {"z": [value]}}, protocol)
    path = put(tmp_path, data)
    assert containers.same(containers.read(KIND, path), {"w": STORED})
    with PthReader(path) as reader:
        assert reader.skipped.keys() == {"x", "y"}
        assert reader.skipped["x"].startswith(f"no tensor: an object of {case}")


def test_objects_of_unknown_programs_are_left_out(tmp_path: Path) -> None:
    """Classes that are not installed here, as callbacks and as keys; the pickle cannot be read by Python's own."""
    odd = pickles.named("no_such_package.callbacks.Stop")
    made = odd + b")\x81}" + pickles.text("best") + pickles.tensor() + b"sb"
    data = b"\x80\x02}" + pickles.text("x") + made + b"s" + odd + b"Ns" + pickles.text("w") + pickles.tensor() + b"s."
    with pytest.raises(ModuleNotFoundError):
        pickle.loads(data)
    path = put(tmp_path, data)
    assert containers.same(containers.read(KIND, path), {"w": STORED})
    with PthReader(path) as reader:
        assert reader.skipped["x"] == "no tensor: an object of no_such_package.callbacks.Stop"
        assert "<no_such_package.callbacks.Stop>" in reader.skipped


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("case", pickles.running_where_objects_are_allowed(Path("/nowhere")))
def test_calls_are_never_made_where_objects_are_allowed(case: str, protocol: int, tmp_path: Path) -> None:
    canary = tmp_path / "canary.npy"
    values = pickles.running_where_objects_are_allowed(canary)[case]
    path = put(tmp_path, pickles.beside_a_tensor(values, protocol))
    assert containers.same(containers.read(KIND, path), {"w": STORED})
    with PthReader(path) as reader:
        assert reader.skipped.keys() == values.keys()
    assert not canary.exists()
    pickle.loads(pickle.dumps(values, protocol))  # the control: Python's own unpickler does make them
    assert canary.exists()


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "posix.system",
        "nt.system",
        "builtins.eval",
        "__builtin__.eval",
        "builtins.getattr",
        "torch.load",
        "torch.hub.load",
        "torch.jit.load",
        "torch.storage._load_from_bytes",
        "torch.nn",
        "functools.partial",
        "operator.attrgetter",
        "copyreg._reconstructor",
        "pickle.loads",
        "importlib.import_module",
        "sys.modules",
        "torch.serialization.os.system",
        "collections.namedtuple",
        "subprocess.Popen",
        "types.FunctionType",
        "torch._utils._rebuild_sparse_tensor",
        "torch._tensor._rebuild_from_type_v2",
        "torch.FloatStorage.from_file",
        ".",
    ],
)
def test_globals_that_are_not_allowed(name: str, tmp_path: Path) -> None:
    for reference in [
        pickles.named(name),
        pickles.text(name.rpartition(".")[0]) + pickles.text(name.rpartition(".")[2]) + b"\x93",
    ]:
        data = b"\x80\x04" + reference + pickles.text("touch canary") + b"\x85R."
        with pytest.raises(UnsupportedFile, match="neither imported nor executed"):
            PthReader(put(tmp_path, data))


@pytest.mark.parametrize(
    "name", ["torch.qint8", "torch.quint4x2", "torch._utils._rebuild_qtensor", "torch.ao.nn.quantized.modules.Linear"]
)
def test_quantised_tensors(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFile, match=r"quantised weights.*before it is quantised"):
        PthReader(put(tmp_path, b"\x80\x04" + pickles.named(name) + b"."))


# Pickles that lie


@pytest.mark.parametrize("case", BROKEN)
def test_broken_pickle(case: str, tmp_path: Path) -> None:
    with containers.bounded(megabytes=10, seconds=5), pytest.raises((FormatError, UnsupportedFile)):
        PthReader(put(tmp_path, BROKEN[case]))


@pytest.mark.parametrize("case", pickles.BOMBS)
def test_bomb(case: str, tmp_path: Path) -> None:
    path = put(tmp_path, pickles.BOMBS[case])
    with containers.bounded(megabytes=120, seconds=20), pytest.raises((FormatError, UnsupportedFile)):
        PthReader(path)


BIG = 1 << 61
VIEWS = [
    (offset, size, stride)
    for offset in (-1, 0, 1, 11, 12, 13, BIG, BIG * 8)
    for size, stride in [
        ((), ()),
        ((12,), (1,)),
        ((3,), (5,)),
        ((0,), (1,)),
        ((13,), (1,)),
        ((3,), (6,)),
        ((3,), (-1,)),
        ((-1,), (1,)),
        ((BIG,), (0,)),
        ((BIG, 8), (0, 0)),
        ((2,), (BIG,)),
        ((2,), (BIG * 8,)),
        ((0, BIG), (1, 1)),
        ((2, 3), (3, 1)),
        ((2, 3), (1, 2)),
        ((3, 3), (1, 1)),
        ((2, 2), (1,)),
        ((4,), (0,)),
        ((1, 1, 12), (100, 100, 1)),
        ((1,) * 64, (1,) * 64),
        ((1,) * 65, (1,) * 65),
        ((3_000_000,), (0,)),
        ((300_000_000,), (0,)),
    ]
]


@pytest.mark.parametrize(("offset", "size", "stride"), VIEWS)
def test_stride_tricks(offset: int, size: tuple[int, ...], stride: tuple[int, ...], tmp_path: Path) -> None:
    path = put(tmp_path, pickles.state(pickles.tensor(offset, size, stride)))
    with containers.bounded(megabytes=50, seconds=10):
        try:
            found = containers.read(KIND, path)["a"]
        except EffnetError:
            found = None
    allowed = (
        len(size) == len(stride)
        and len(size) <= 64
        and min((offset, *size, *stride)) >= 0
        and 4 * np.prod([max(length, 1) for length in size], dtype=object) < 50 << 20
        and offset + (0 if 0 in size else 1 + sum((n - 1) * step for n, step in zip(size, stride, strict=True))) <= 12
    )
    assert (found is not None) == allowed
    if found is not None:
        expected = (
            torch.from_numpy(STORED.copy()).as_strided(size, stride, min(offset, 11)) if found.size else STORED[:0]
        )
        assert np.array_equal(found, expected.reshape(size))


# Archives that lie


@pytest.mark.parametrize("case", zips.LIES)
def test_lying_archive(case: str, tmp_path: Path) -> None:
    path = containers.write(KIND, tmp_path / "x", SMALL)
    path.write_bytes(zips.LIES[case](path.read_bytes()))
    with containers.bounded(megabytes=50, seconds=10):
        assert containers.refused(KIND, path, SMALL)


def test_two_pickles_and_none(tmp_path: Path) -> None:
    path = put(tmp_path, pickles.state(pickles.tensor()), **{"more/data.pkl": b"N."})
    with pytest.raises(FormatError, match="found 2"):
        PthReader(path)
    path.write_bytes(zips.zipped({"a/data/0": pickles.STORED}))
    with pytest.raises(FormatError, match="found 0"):
        PthReader(path)


def test_every_flip(tmp_path: Path) -> None:
    path = containers.write(KIND, tmp_path / "x", {name: SMALL[name] for name in "ab"}, {})
    containers.check_every_flip(KIND, path)


@pytest.mark.parametrize("name", SMALL)
def test_every_flip_in_the_data_is_detected(name: str, tmp_path: Path) -> None:
    path = containers.write(KIND, tmp_path / "x", SMALL)
    with PthReader(path) as reader:
        place = reader.location(name)
    assert place is not None
    data = path.read_bytes()
    for seed in range(8):
        path.write_bytes(containers.flipped(data, range(place.offset, place.offset + SMALL[name].nbytes), seed))
        with pytest.raises(FormatError, match="CRC-32"):
            containers.read(KIND, path)


def test_flip_beside_a_part_of_a_storage_is_detected(tmp_path: Path) -> None:
    path = put(tmp_path, pickles.state(pickles.tensor(0, (2,), (1,)), pickles.tensor(2, (2,), (2,))))
    data = path.read_bytes()
    assert containers.read(KIND, path).keys() == {"a", "b"}
    at = data.index(pickles.STORED) + 40
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(FormatError, match="CRC-32"):
        containers.read(KIND, path)


@pytest.mark.parametrize("seed", range(60))
def test_truncated(seed: int, tmp_path: Path) -> None:
    path = containers.write(KIND, tmp_path / "x", SMALL)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * seed // 60])
    assert containers.refused(KIND, path, SMALL)


def test_changed_pickles_mean_the_same_to_torch(tmp_path: Path) -> None:
    """Random changes under a valid checksum: refused, or read exactly as torch reads them."""
    path = tmp_path / "x"
    torch.save({"state_dict": {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.arange(12.0)[3:7:2]}, "n": 7}, path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    honest = contents["x/data.pkl"]
    refused = equal = stricter = 0
    for seed in range(1200):
        path.write_bytes(zips.zipped(contents | {"x/data.pkl": containers.flipped(honest, range(len(honest)), seed)}))
        try:
            found = containers.read(KIND, path)
        except EffnetError:
            refused += 1
            continue
        try:
            truth = torch.load(path, weights_only=True)
        except (
            Exception
        ):  # torch raises whatever comes; it is stricter about keys that repeat and calls that give nothing
            stricter += 1
            continue
        tensors = truth.get("state_dict", truth)
        assert all(matches(tensors[name], array) for name, array in found.items())
        equal += 1
    assert refused > 500
    assert equal > 100
    assert stricter < 60
