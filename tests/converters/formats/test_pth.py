"""PyTorch files, against torch.load and torch.save in both directions."""

from __future__ import annotations

import collections
import subprocess
import sys
import zipfile
from argparse import Namespace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch

from converters.errors import FormatError, OutputError, UnsupportedFile
from converters.formats import _torch_legacy, _zip_writer
from converters.formats.pth import PthReader, PthWriter
from tests.converters.formats import containers, pickles, zips
from tests.converters.formats.torch_tensors import as_tensor, matches

KIND = "pth"
FLOAT8 = [getattr(ml_dtypes, f"float8_{name}") for name in ("e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz", "e8m0fnu")]
ARRAYS = containers.arrays_of([*containers.COMMON_DTYPES, "c16", *FLOAT8])
SMALL = {"a": containers.lively("f4", (2, 3)), "b": containers.lively("f2", (3,)), "c": containers.lively("i8", ())}


def save(path: Path, value: object, **options: object) -> Path:
    torch.save(value, path, **options)
    return path


def test_contract(tmp_path: Path) -> None:
    containers.check_writer_contract(KIND, tmp_path)


def test_full_disk(tmp_path: Path) -> None:
    containers.check_full_disk(KIND, tmp_path)


@pytest.mark.parametrize("mmap", [False, True])
def test_ours_to_torch(mmap: bool, tmp_path: Path) -> None:
    path = containers.write(KIND, tmp_path / "x.pth", ARRAYS)
    found = torch.load(path, weights_only=True, mmap=mmap)
    assert list(found) == list(ARRAYS)
    assert all(matches(found[name], array) for name, array in ARRAYS.items())
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None


def test_storages_are_aligned_as_torch_aligns_them(tmp_path: Path) -> None:
    for path in [
        containers.write(KIND, tmp_path / "ours", SMALL),
        save(tmp_path / "torch", {name: as_tensor(array) for name, array in SMALL.items()}),
    ]:
        with PthReader(path) as reader:
            places = [reader.location(name) for name in SMALL]
        assert all(place is not None and place.offset % 64 == 0 for place in places)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_torch_to_ours(protocol: int, tmp_path: Path) -> None:
    tensors = {name: as_tensor(array) for name, array in ARRAYS.items()}
    path = save(tmp_path / "x", tensors, pickle_protocol=protocol)
    assert containers.same(containers.read(KIND, path), ARRAYS)


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated:UserWarning")  # torch warns about its own old format
def test_old_format_is_read_by_torch(tmp_path: Path) -> None:
    arrays = containers.arrays_of(["f4", "i8", ml_dtypes.bfloat16, "?"])
    tensors = {name: as_tensor(array) for name, array in arrays.items()}
    beside = {"epoch": 3, "args": Namespace(lr=0.1)}
    path = save(tmp_path / "x", {"model": tensors, **beside}, _use_new_zipfile_serialization=False)
    assert containers.same(containers.read(KIND, path), arrays)
    with PthReader(path) as reader:
        assert reader.skipped == {"epoch": "no tensor: int", "args": "no tensor: Namespace"}
        assert reader.location("int64/().é") is None
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnsupportedFile, match="weights-only loader refuses"):
        PthReader(path)


def test_what_torch_warns_of_old_files_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = {name: as_tensor(array) for name, array in SMALL.items()}
    path = save(tmp_path / "x", tensors, _use_new_zipfile_serialization=False, pickle_protocol=3)
    assert containers.same(containers.read(KIND, path), SMALL)
    monkeypatch.setattr(_torch_legacy, "_OF_TORCH_ITSELF", ())
    with pytest.raises(UnsupportedFile, match="Detected pickle protocol 3"):  # the control: here warnings are errors
        PthReader(path)


@pytest.mark.filterwarnings(
    # Of making the tensor and of saving it, not of what is tested.
    r"ignore:torch\.quantize_per_tensor, .* are deprecated:UserWarning",
    "ignore:TypedStorage is deprecated:UserWarning",
)
def test_a_quantised_tensor_in_an_old_file_is_refused_as_one(tmp_path: Path) -> None:
    tensor = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    path = save(tmp_path / "x", {"a": tensor}, _use_new_zipfile_serialization=False)
    script = (
        "import sys; from pathlib import Path\n"
        "from converters.formats.pth import PthReader; from converters.errors import UnsupportedFile\n"
        "try: PthReader(Path(sys.argv[1]))\n"
        "except UnsupportedFile as error: print(error)"
    )
    root = Path(__file__).parents[3]
    command = [sys.executable, "-W", "error::UserWarning", "-c", script, path]  # of which torch tells once a process
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    assert "a tensor that is no plain array" in result.stdout


def test_old_format_without_torch(tmp_path: Path) -> None:
    path = save(tmp_path / "x", {"a": torch.ones(2)}, _use_new_zipfile_serialization=False)
    script = (
        "import sys; from pathlib import Path; import importlib.util as util; find = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'torch' else find(name, *more)\n"
        "from converters.formats.pth import PthReader; from converters.errors import UnsupportedFile\n"
        "try: PthReader(Path(sys.argv[1]))\n"
        "except UnsupportedFile as error: print(error)\n"
        "print('torch' in sys.modules)"
    )
    root = Path(__file__).parents[3]
    result = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True, cwd=root)
    assert "only PyTorch reads" in result.stdout
    assert result.stdout.endswith("False\n")


def test_module_with_shared_and_strided_parameters(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Linear(8, 8))
    module[2].weight = torch.nn.Parameter(module[2].weight.T)
    state = module.state_dict()
    base = torch.randn(6, 10)
    state |= {
        "tied": state["0.weight"],
        "column": base[:, 3],
        "block": base[1:4, 2:9:3],
        "wide": base[0, :1].expand(4, 5),
    }
    state |= {"channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)}
    expected = {name: tensor.detach().contiguous().numpy() for name, tensor in state.items()}
    path = save(tmp_path / "x", collections.OrderedDict(state))
    assert containers.same(containers.read(KIND, path), expected)
    with PthReader(path) as reader:
        for name, array in expected.items():
            place = reader.location(name)
            if place is not None:
                assert path.read_bytes()[place.offset : place.offset + array.nbytes] == array.tobytes()
        scattered = [name for name in expected if reader.location(name) is None]
        assert scattered == ["2.weight", "column", "block", "wide", "channels_last"]


def test_parameters_without_state_dict(tmp_path: Path) -> None:
    parameter = torch.nn.Parameter(torch.randn(2, 3))
    path = save(tmp_path / "x", {"p": parameter})
    assert containers.same(containers.read(KIND, path), {"p": parameter.detach().numpy()})


TAKEN, OTHER = torch.arange(3.0), torch.zeros(2)


@pytest.mark.parametrize(
    ("checkpoint", "skipped"),
    [
        ({"w": TAKEN}, set()),
        ({"w": TAKEN, "epoch": 3, "note": "x", "losses": [1.0]}, {"epoch", "note", "losses"}),
        ({"epoch": 3, "state_dict": {"w": TAKEN}, "optimizer": {"state": {}, "lr": 0.1}}, {"epoch", "optimizer"}),
        ({"model": {"w": TAKEN}, "step": torch.tensor(3)}, {"step"}),
        ({"model": {"w": OTHER}, "state_dict": {"w": TAKEN}}, {"model"}),
        ({"state_dict": {"w": TAKEN, "x": None}}, {"state_dict.x"}),
        ({"state_dict": {}, "model_state_dict": {"w": TAKEN}}, {"state_dict"}),
        (
            {"params": {"w": TAKEN}, "scheduler": collections.Counter([1]), "device": torch.device("cpu")},
            {"scheduler", "device"},
        ),
        (
            {"w": TAKEN, "shape": torch.Size([2]), "dtype": torch.float16, "names": {"a", "b"}},
            {"shape", "dtype", "names"},
        ),
        ({1: TAKEN, "w": TAKEN}, {"1"}),
        ({"net_state": {"w": TAKEN}, "epoch": 3}, {"epoch"}),
        ({"best_state_dict": {"w": TAKEN}}, set()),
        ({"best_state_dict": {"w": OTHER}, "model": {"w": TAKEN}}, {"best_state_dict"}),
        ({"model": {"w": TAKEN}, "teacher": {"w": OTHER}}, {"teacher"}),
    ],
)
def test_where_the_state_dict_is(checkpoint: object, skipped: set[str], tmp_path: Path) -> None:
    path = save(tmp_path / "x", checkpoint)
    assert containers.same(containers.read(KIND, path), {"w": TAKEN.numpy()})
    with PthReader(path) as reader:
        assert reader.skipped.keys() == skipped


@pytest.mark.parametrize(
    ("checkpoint", "names", "skipped"),
    [
        (
            {"model_ema": {"w": OTHER}, "model": {"w": OTHER}, "state_dict": {"w": TAKEN}},
            ["w", "model_ema.w"],
            ["model"],
        ),
        ({"state_dict_ema": {"w": OTHER, "x": 1}}, ["state_dict_ema.w"], ["state_dict_ema.x"]),
        ({"w": TAKEN, "ema": {"w": OTHER}, "epoch": 3}, ["w", "ema.w"], ["epoch"]),
        ({"net": {"w": TAKEN}, "ema": {"w": OTHER}, "model_ema": {"w": OTHER}}, ["w", "model_ema.w"], ["ema"]),
        ({"net": {"w": TAKEN}, "ema": {"decay": 0.9, "shadow": [OTHER]}}, ["w"], ["ema"]),
        ({"net": {"w": TAKEN}, "ema": {"shadow": {"w": OTHER}, "decay": 0.9}}, ["w", "ema.w"], ["ema.decay"]),
        ({"net": {"w": TAKEN}, "model_ema": {"state_dict": {"w": OTHER}}}, ["w", "model_ema.w"], []),
        ({"net": {"w": TAKEN}, "shadow": {"w": OTHER}}, ["w", "shadow.w"], []),
        # One level deeper, no more; and one of counters alone is none of averages.
        ({"net": {"w": TAKEN}, "ema": {"shadow": {"module": {"w": OTHER}}}}, ["w"], ["ema"]),
        ({"net": {"w": TAKEN}, "ema": {"decay": OTHER}}, ["w"], ["ema"]),
    ],
)
@pytest.mark.parametrize("new", [True, False])
def test_averages_beside_the_state_dict(
    checkpoint: object, names: list[str], skipped: list[str], new: bool, tmp_path: Path
) -> None:
    torch.save(checkpoint, tmp_path / "x", _use_new_zipfile_serialization=new)
    with PthReader(tmp_path / "x") as reader:
        assert (list(reader.tensors), list(reader.skipped)) == (names, skipped)
        assert all(reader.read(name).shape == ((3,) if name == "w" else (2,)) for name in names)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (TAKEN, "no dict of tensors"),
        ([TAKEN], r"no dict of tensors .*Save `model\.state_dict\(\)`"),
        ([{"w": TAKEN}, {"w": TAKEN}], r"list of 2 values\. Save one of them alone: torch\.save\(checkpoint\[0\]"),
        ({"model": torch.nn.ReLU(), "epoch": 3}, r"it holds: model \(an object of torch\.nn\..*ReLU\), epoch\. Save"),
        ({"a": 1}, "no tensors"),
        ({}, "nothing"),
        ({"a": {"b": TAKEN}}, "no tensors"),
        (
            {"student": {"w": TAKEN}, "teacher": {"w": TAKEN}, "epoch": 3},
            r"'student' \(1 tensor\), 'teacher' \(1 tensor\)\.",
        ),
    ],
)
def test_no_state_dict(value: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFile, match=message):
        PthReader(save(tmp_path / "x", value))


def test_quantized_and_sparse_tensors_are_named(tmp_path: Path) -> None:
    path = save(tmp_path / "x", {"a": torch.eye(3).to_sparse()})
    with pytest.raises(UnsupportedFile, match=r"torch\._utils\._rebuild_sparse_tensor"):
        PthReader(path)


def test_torchscript_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(
        pickles.archive(pickles.state(pickles.tensor()), **{"constants.pkl": b"\x80\x02).", "code/a.py": b""})
    )
    with pytest.raises(UnsupportedFile, match="TorchScript"):
        PthReader(path)


def test_big_endian(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(pickles.archive(pickles.state(pickles.tensor()), byteorder=b"big"))
    expected = np.frombuffer(pickles.STORED, ">f4").astype("<f4")
    for _ in range(2):  # the second time is no different: nothing is swapped back
        assert containers.same(containers.read(KIND, path), {"a": expected})
    with PthReader(path) as reader:
        assert reader.location("a") is None
    path.write_bytes(pickles.archive(pickles.state(pickles.tensor()), byteorder=b"middle"))
    with pytest.raises(FormatError, match="byte order"):
        PthReader(path)


def test_without_checksums(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(compute_crc32=False)
    try:
        path = save(tmp_path / "x", {"a": torch.arange(4.0)})
    finally:
        torch.serialization.set_crc32_options(compute_crc32=True)
    assert containers.same(containers.read(KIND, path), {"a": np.arange(4, dtype="f4")})


def test_compressed_archive_is_refused(tmp_path: Path) -> None:
    contents = {"a/data.pkl": pickles.state(pickles.tensor()), "a/data/0": pickles.STORED}
    (tmp_path / "x").write_bytes(zips.zipped(contents, zipfile.ZIP_DEFLATED))
    with pytest.raises(UnsupportedFile, match="compressed"):
        PthReader(tmp_path / "x")


def test_64_bit_sizes_and_offsets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_zip_writer, "LARGEST_32", 8)  # as if 8 bytes were the most that 32 bits can count
    path = containers.write(KIND, tmp_path / "x", SMALL)
    assert containers.same(containers.read(KIND, path), SMALL)
    found = torch.load(path, weights_only=True, mmap=True)
    assert all(matches(found[name], array) for name, array in SMALL.items())


def test_dtype_that_torch_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="PyTorch has no dtype"):
        PthWriter(tmp_path / "x", containers.infos({"a": np.zeros(2, "M8[s]")}), {}, overwrite=False, sync=False)


def test_import_is_light() -> None:
    script = "import sys, converters.formats.pth; print(*{'torch', 'tensorflow', 'safetensors'} & set(sys.modules))"
    root = Path(__file__).parents[3]
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root)
    assert result.stdout.strip() == ""
