"""Arrays carried in parts and by two threads are those that are carried whole; damage on either side is found."""

from __future__ import annotations

import os
import zipfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import Ema, FormatError, OutputError, SourceOptions, aside, convert, open_checkpoint, save_state
from converters.carrying import carrier
from converters.formats import open_reader, plain_bytes
from effnet_core import resolve
from tests.converters.memory import equal
from tests.lively import lively_state

SPEC = resolve("b0", width=0.13, num_classes=10)
STATE = lively_state(SPEC)
FILES = {
    "tensor-bundle": "model.ckpt",
    "safetensors": "m.safetensors",
    "npz": "m.npz",
    "pth": "m.pth",
    "hf-folder": "m-folder",
    "keras-weights": "m.weights.h5",
    "keras-h5": "m.h5",
    "keras": "m.keras",
}
LARGE = pytest.mark.parametrize("part", [256, carrier.PART], ids=["two threads", "one thread"])
"""Bytes; arrays that are no larger than half a part are carried by one thread."""


def saved(name: str, folder: Path) -> Path:
    path = folder / FILES[name]
    if name == "keras":  # which a framework writes; the weights alone will do here
        weights = saved("keras-weights", folder)
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(weights, "model.weights.h5")
            archive.writestr("config.json", "{}")
        weights.unlink()
        return path
    save_state(path, SPEC, STATE, to_format=name, sync=False)
    return path


@pytest.mark.parametrize("name", FILES)
def test_the_bytes_in_parts_are_those_of_the_whole_array(name: str, tmp_path: Path) -> None:
    with open_reader(saved(name, tmp_path)) as reader:
        for tensor, info in reader.tensors.items():
            source = reader.plain(tensor)
            assert source is not None
            found = np.empty(info.nbytes, dtype=np.uint8)
            source.fill(found[:5])
            source.fill(found[5:])
            source.check()
            reader.check_plain()
            assert found.tobytes() == reader.read(tensor).tobytes()
            assert not found[:-1].any() or found[1:].tobytes() != reader.read(tensor).tobytes()[:-1]


@LARGE
@pytest.mark.parametrize("name", FILES)
def test_many_parts_arrive_as_they_were(name: str, part: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(carrier, "PART", part)
    monkeypatch.setattr(plain_bytes, "PART", part)
    for target in ("out.safetensors", "out.h5"):
        folder = tmp_path / target.removeprefix("out.")
        folder.mkdir()
        convert(saved(name, folder), tmp_path / target, sync=False)
        with open_checkpoint(tmp_path / target) as checkpoint:
            state = checkpoint.state()
        assert equal(state, STATE)
        state["stem.conv.kernel"] = state["stem.conv.kernel"][::-1]
        assert not equal(state, STATE)


class Idle:
    """A thread that never comes to anything."""

    def __init__(self, **_: object) -> None:
        pass

    def start(self) -> None:
        pass

    def join(self) -> None:
        pass


def test_an_array_that_is_written_twice_outlasts_those_carried_between(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A variable and its moving average hold the same; while the first is waited for, other arrays are turned."""
    monkeypatch.setattr(carrier, "WORTH_IT", 1)
    monkeypatch.setattr(aside, "Thread", Idle)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    source, target = tmp_path / "m.npz", tmp_path / "out.safetensors"
    save_state(source, SPEC, STATE, to="effnet-torch", sync=False)
    with np.load(source) as file:
        arrays = dict(file)
    kernel = "blocks.3.expand.conv.weight"
    arrays[kernel] = np.asfortranarray(arrays[kernel])  # which only `read` gives in C order
    np.savez(source, **arrays)
    with open_reader(source) as reader:
        assert reader.plain(kernel) is None
        assert reader.plain("classifier.weight") is not None
    convert(source, target, to="official", sync=False)
    for ema in (Ema.ALWAYS, Ema.NEVER):
        with open_checkpoint(target, SourceOptions(ema=ema)) as checkpoint:
            assert checkpoint.uses_ema is (ema is Ema.ALWAYS)
            assert equal(checkpoint.state(), STATE)


@LARGE
@pytest.mark.parametrize("dtype", [None, "float16"])
@pytest.mark.parametrize("name", ["tensor-bundle", "npz", "pth", "keras"])
def test_a_damaged_array_is_found_by_its_checksum(
    name: str, dtype: str | None, part: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also where a number has become too large for the type of the target: that is not what is wrong."""
    monkeypatch.setattr(carrier, "PART", part)
    path = saved(name, tmp_path)
    with open_checkpoint(path) as checkpoint:
        source = next(source for source in checkpoint.sources if source.entry.parameter.name == "head.conv.kernel")
        place = checkpoint.reader.location(source.name)
    assert place is not None
    convert(path, tmp_path / "before.safetensors", dtype=dtype, sync=False)
    with place.path.open("r+b") as file:
        file.seek(place.offset + 7)
        byte = file.read(1)[0]
        file.seek(place.offset + 7)
        file.write(bytes([byte ^ 0x40]))  # the exponent's first bit
    with pytest.raises(FormatError, match=r"checksum|CRC-32"):
        convert(path, tmp_path / "after.safetensors", dtype=dtype, sync=False)
    assert not (tmp_path / "after.safetensors").exists()


def test_the_checksum_of_all_arrays_covers_what_stands_between_them(tmp_path: Path) -> None:
    """Whatever of them was read, in any order, and some of it twice."""
    path = saved("keras", tmp_path)
    data = path.read_bytes()
    with open_reader(path) as reader:
        names = sorted(name for name in reader.tensors if reader.plain(name) is not None)
        places = [reader.location(name) for name in names]
        spans = [
            (place.offset, reader.tensors[name].nbytes) for name, place in zip(names, places, strict=True) if place
        ]
    between = sorted(start + count for start, count in spans if not any(start + count == other for other, _ in spans))
    for read in ([], names[::2], names, [*reversed(names), *names[:9]]):
        for damage in (None, between[len(between) // 2], spans[0][0]):
            path.write_bytes(data)
            with open_reader(path) as reader:
                if damage is not None:
                    path.write_bytes(data[:damage] + bytes([data[damage] ^ 1]) + data[damage + 1 :])
                for name in read:
                    source = reader.plain(name)
                    assert source is not None
                    source.fill(np.empty(reader.tensors[name].nbytes, dtype=np.uint8))
                    source.check()
                with nullcontext() if damage is None else pytest.raises(FormatError, match="CRC-32"):
                    reader.check_plain()


def test_what_one_checksum_covers_is_read_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = saved("keras", tmp_path)
    counts: list[int] = []
    preadv, pread = os.preadv, os.pread
    monkeypatch.setattr(os, "preadv", lambda *words: counted(counts, preadv(*words)))
    monkeypatch.setattr(os, "pread", lambda *words: counted(counts, pread(*words)))
    with open_reader(path):
        structures = sum(counts)
    counts.clear()
    convert(path, tmp_path / "out.safetensors", sync=False)
    written = (tmp_path / "out.safetensors").stat().st_size  # which is read back
    assert sum(counts) < path.stat().st_size + 2 * structures + 1.1 * written
    with open_checkpoint(path) as checkpoint:
        counts.clear()
        checkpoint.state()
    assert sum(counts) > 1.5 * path.stat().st_size  # the control: what is used at once is verified first


def counted(counts: list[int], result: Any) -> Any:
    counts.append(result if isinstance(result, int) else len(result))
    return result


@LARGE
@pytest.mark.parametrize("target", ["out.safetensors", "out.pth"])
def test_a_disk_that_gives_back_other_bytes_is_found(
    target: str, part: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(carrier, "PART", part)
    source = saved("safetensors", tmp_path)
    convert(source, tmp_path / target, sync=False)
    with open_reader(tmp_path / target) as reader:
        place = reader.location("head.conv.kernel" if target.endswith("safetensors") else "head.conv.weight")
    (tmp_path / target).unlink()
    assert place is not None
    pwrite, lost = os.pwrite, place.offset + 5

    def lose_a_bit(descriptor: int, data: memoryview, offset: int) -> int:
        if not offset <= lost < offset + len(data):
            return pwrite(descriptor, data, offset)
        other = bytearray(data)
        other[lost - offset] ^= 1
        return pwrite(descriptor, other, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lose_a_bit)
        with pytest.raises(OutputError, match="gave back other bytes"):
            convert(source, tmp_path / target, sync=False)
    assert [path.name for path in tmp_path.iterdir()] == [source.name]
    convert(source, tmp_path / target, sync=False)
