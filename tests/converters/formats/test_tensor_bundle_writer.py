"""A bundle appears whole or not at all, and never over something else."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from converters.errors import FormatError, OutputError
from converters.formats.base import TensorInfo
from converters.formats.staging import StagedFile
from converters.formats.tensor_bundle import TensorBundleReader, TensorBundleWriter
from tests.converters.formats.bundle_tables import arrays, same_bits

ROOT = Path(__file__).parents[3]
FILES = ["checkpoint", "model.ckpt.data-00000-of-00001", "model.ckpt.effnet.json", "model.ckpt.index"]


def opened(path: Path, values: Mapping[str, np.ndarray], *, overwrite: bool = False) -> TensorBundleWriter:
    infos = [TensorInfo(name=name, shape=array.shape, dtype=array.dtype) for name, array in values.items()]
    return TensorBundleWriter(path, infos, {"effnet.spec": "{}", "note": 'ö "x"\n'}, overwrite=overwrite, sync=False)


def write(path: Path, values: Mapping[str, np.ndarray], *, overwrite: bool = False) -> tuple[Path, ...]:
    with opened(path, values, overwrite=overwrite) as writer:
        for array in values.values():
            writer.write(array)
        return writer.commit()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["model.ckpt", "model.ckpt.index", FILES[1]])
def test_every_name_of_an_output(name: str, tmp_path: Path) -> None:
    assert sorted(path.name for path in write(tmp_path / name, arrays())) == FILES == names(tmp_path)
    with TensorBundleReader(tmp_path) as reader:
        assert dict(reader.metadata) == {"effnet.spec": "{}", "note": 'ö "x"\n'}
        assert all(same_bits(reader.read(key), array) for key, array in arrays().items())


def test_nothing_is_seen_before_the_commit(tmp_path: Path) -> None:
    values = arrays()
    with opened(tmp_path / "model.ckpt", values) as writer:
        places = {name: writer.write(array) for name, array in values.items()}
        with writer.finish() as reader:
            assert dict(reader.metadata)["effnet.spec"] == "{}"
            assert all(same_bits(reader.read(name), array) for name, array in values.items())
            assert all(reader.location(name) == place for name, place in places.items())
        assert names(tmp_path) == []
    assert names(tmp_path) == []


def test_strange_byte_orders_and_strides(tmp_path: Path) -> None:
    values = {"big": np.arange(6.0).astype(">f8"), "turned": np.arange(6.0).reshape(2, 3).T}
    write(tmp_path / "model.ckpt", values)
    with TensorBundleReader(tmp_path) as reader:
        assert all(np.array_equal(reader.read(name), array) for name, array in values.items())
        assert reader.tensors["big"].dtype == np.dtype("<f8")


def test_an_output_that_exists(tmp_path: Path) -> None:
    write(tmp_path / "model.ckpt", arrays())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for name in FILES[1:]:
        for other in set(FILES[1:]) - {name}:
            (tmp_path / other).unlink(missing_ok=True)
        with pytest.raises(OutputError, match=r"exists\. Pass --force"):
            write(tmp_path / "model.ckpt", arrays())
        for other, content in before.items():
            (tmp_path / other).write_bytes(content)
    new = {"new": np.ones(3, np.float32)}
    write(tmp_path / "model.ckpt", new, overwrite=True)
    assert names(tmp_path) == FILES
    with TensorBundleReader(tmp_path) as reader:
        assert list(reader.tensors) == ["new"]


def test_onto_the_file_that_is_read(tmp_path: Path) -> None:
    write(tmp_path / "model.ckpt", arrays())
    with TensorBundleReader(tmp_path) as reader:
        with opened(tmp_path / "model.ckpt", arrays(), overwrite=True) as writer:
            for name in arrays():
                writer.write(reader.read(name))
            writer.commit()
        assert all(same_bits(reader.read(name), array) for name, array in arrays().items())
    with TensorBundleReader(tmp_path) as reader:
        assert all(same_bits(reader.read(name), array) for name, array in arrays().items())


def test_refused_outputs(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"folder .*absent does not exist"):
        write(tmp_path / "absent" / "model.ckpt", arrays())
    with pytest.raises(OutputError, match="is a folder; expected the prefix"):
        write(tmp_path, arrays())
    with pytest.raises(OutputError, match=r"cannot hold float8_e5m2 \(odd\)"):
        write(tmp_path / "model.ckpt", {"odd": np.zeros(2, ml_dtypes.float8_e5m2)})
    writer = TensorBundleWriter(tmp_path / "m", [], {"text": "x" * (5 << 20)}, overwrite=False, sync=False)
    with pytest.raises(OutputError, match="bytes of metadata"), writer:
        writer.commit()
    assert names(tmp_path) == []


def test_checkpoint_of_other_bundles_is_left(tmp_path: Path) -> None:
    write(tmp_path / "model.ckpt-1", arrays())
    text = (tmp_path / "checkpoint").read_text()
    assert tmp_path / "checkpoint" not in write(tmp_path / "model.ckpt-2", {"new": np.zeros(1)}, overwrite=True)
    assert (tmp_path / "checkpoint").read_text() == text
    with TensorBundleReader(tmp_path) as reader:
        assert reader.tensors.keys() == arrays().keys()


def test_half_a_commit_is_taken_back(tmp_path: Path) -> None:
    with opened(tmp_path / "model.ckpt", arrays()) as writer:
        for array in arrays().values():
            writer.write(array)
        (tmp_path / "model.ckpt.index").write_text("somebody was faster")
        with pytest.raises(OutputError, match="exists"):
            writer.commit()
    assert names(tmp_path) == ["model.ckpt.index"]
    assert (tmp_path / "model.ckpt.index").read_text() == "somebody was faster"


def test_metadata_of_other_weights_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "model.ckpt", arrays())
    sidecar = (tmp_path / FILES[2]).read_bytes()
    write(tmp_path / "model.ckpt", {"new": np.zeros(3)}, overwrite=True)
    (tmp_path / FILES[2]).write_bytes(sidecar)
    with TensorBundleReader(tmp_path) as reader:
        assert not reader.metadata
    for foreign in (b"[1, 2]", b'{"format": "somebody elses"}', b"{}"):
        (tmp_path / FILES[2]).write_bytes(foreign)
        with TensorBundleReader(tmp_path) as reader:
            assert not reader.metadata
    (tmp_path / FILES[2]).write_bytes(b"\xff\x00")
    with pytest.raises(FormatError, match=r"effnet.json: expected JSON.*Remove it"):
        TensorBundleReader(tmp_path)


BIG = """
import resource, sys, time
from pathlib import Path
import numpy as np
from converters.errors import OutputError
from converters.formats.base import TensorInfo
from converters.formats.tensor_bundle import TensorBundleWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
array = np.zeros((256, 1024), np.float32)
infos = [TensorInfo(name=f"t{i}", shape=array.shape, dtype=array.dtype) for i in range(8)]
try:
    with TensorBundleWriter(Path(sys.argv[1]), infos, {}, overwrite=False, sync=False) as writer:
        for number in range(8):
            writer.write(array)
            print(number, flush=True)
            if sys.argv[2] == "wait" and number == 4:
                time.sleep(60)
        writer.commit()
except OutputError as error:
    print(error)
    sys.exit(2)
"""


def process(folder: Path, mode: str, *, most_bytes: int = 1 << 30) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BIG, str(folder / "model.ckpt"), mode, str(most_bytes)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("megabytes", "code"), [(3, 2), (16, 0)], ids=["full", "control: room enough"])
def test_full_disk(megabytes: int, code: int, tmp_path: Path) -> None:
    with process(tmp_path, "go", most_bytes=megabytes << 20) as writing:
        output, _ = writing.communicate(timeout=60)
    assert writing.returncode == code
    assert ("cannot be written: File too large. Nothing was left behind." in output) == (code == 2)
    assert names(tmp_path) == ([] if code else FILES)


def test_kill_in_the_middle(tmp_path: Path) -> None:
    with StagedFile(tmp_path / "probe", overwrite=False, sync=False) as probe:
        unnamed = str(probe.path).startswith("/proc/")
    if not unnamed:
        pytest.skip("this file system knows no unnamed files (O_TMPFILE)")
    with process(tmp_path, "wait") as writing:
        assert writing.stdout is not None
        while writing.stdout.readline() != "4\n":
            assert writing.poll() is None
        os.kill(writing.pid, signal.SIGKILL)
    assert writing.returncode == -signal.SIGKILL
    assert names(tmp_path) == []
