"""Folders as on the Hugging Face hub: one file, shards and their index, companions; hostile ones."""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from converters import DIALECTS, convert, open_checkpoint, save_state
from converters.errors import FormatError, OutputError, UnreadableFile, UnsupportedFile
from converters.formats import open_reader
from converters.formats.base import Array
from converters.formats.detect import detect_format
from converters.formats.hf_folder import HfFolderReader, HfFolderWriter
from effnet_core import EffnetError, resolve
from tests.converters.formats import containers
from tests.converters.memory import equal, in_dialect
from tests.lively import lively_state

SPEC = resolve("b0", width=0.13, depth=0.1, num_classes=7)
STATE = lively_state(SPEC)
ARRAYS: dict[str, Array] = {name: containers.lively("f4", (index + 1, 3)) for index, name in enumerate("abcd")}
INDEX = "model.safetensors.index.json"
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def sharded(folder: Path, arrays: Mapping[str, Array] = ARRAYS) -> Path:
    """Two shards by the package safetensors, and their index as the package huggingface_hub writes it."""
    folder.mkdir()
    names = list(arrays)
    shards = {FIRST: names[: len(names) // 2], SECOND: names[len(names) // 2 :]}
    for file, held in shards.items():
        safetensors.numpy.save_file({name: arrays[name] for name in held}, folder / file, {"format": "pt"})
    total = sum(array.nbytes for array in arrays.values())
    weight_map = {name: file for file, held in shards.items() for name in held}
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}))
    return folder


def changed(folder: Path, **fields: object) -> None:
    index = json.loads((folder / INDEX).read_text())
    (folder / INDEX).write_text(json.dumps(index | fields))


@pytest.mark.parametrize("named", ["", INDEX])
def test_shards_are_read_as_one(named: str, tmp_path: Path) -> None:
    folder = sharded(tmp_path / "model")
    (folder / "config.json").write_text('{"model_type": "efficientnet"}')
    assert detect_format(folder / named) == "hf-folder"
    with open_reader(folder / named) as reader:
        assert {name: reader.read(name).copy().tobytes() for name in reader.tensors} == {
            name: array.tobytes() for name, array in ARRAYS.items()
        }
        assert dict(reader.metadata) == {"format": "pt", "config.json": '{"model_type": "efficientnet"}'}
        place = reader.location("d")
        assert place is not None
        assert place.path == folder / SECOND


def test_a_network_in_shards_is_a_checkpoint(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "model", STATE)
    with open_checkpoint(folder) as checkpoint:
        assert checkpoint.spec.classifier.num_classes == 7
        assert equal(checkpoint.state(), STATE)
    with pytest.raises(UnsupportedFile, match="one of several files"):
        open_checkpoint(folder / FIRST)
    with open_reader(folder / FIRST, name="safetensors") as reader:
        assert len(reader.tensors) == len(STATE) // 2


@pytest.mark.parametrize("named", ["", "model.safetensors"])
def test_companions_are_metadata(named: str, tmp_path: Path) -> None:
    containers.write("safetensors", tmp_path / "model.safetensors", ARRAYS)
    (tmp_path / "config.json").write_text('{"architecture": "tf_efficientnet_b0"}')
    (tmp_path / "preprocessor_config.json").write_text("no JSON, but text")
    with open_reader(tmp_path / named) as reader:
        assert reader.metadata["config.json"] == '{"architecture": "tf_efficientnet_b0"}'
        assert reader.metadata["preprocessor_config.json"] == "no JSON, but text"
        assert containers.METADATA.items() <= reader.metadata.items()
    (tmp_path / "model.safetensors").rename(tmp_path / "other.safetensors")
    with open_reader(tmp_path / "other.safetensors") as reader:
        assert dict(reader.metadata) == containers.METADATA


def test_companions_of_an_older_folder(tmp_path: Path) -> None:
    containers.write("pth", tmp_path / "pytorch_model.bin", ARRAYS)
    (tmp_path / "config.json").write_text("{}")
    with open_reader(tmp_path / "pytorch_model.bin") as reader:
        assert reader.metadata["config.json"] == "{}"


@pytest.mark.parametrize("content", [b"\xff\xfe", b" " * (5 << 20), None])
def test_a_companion_that_cannot_be_read_is_left_out(content: bytes | None, tmp_path: Path) -> None:
    containers.write("safetensors", tmp_path / "model.safetensors", ARRAYS)
    if content is None:
        os.mkfifo(tmp_path / "config.json")
    else:
        (tmp_path / "config.json").write_bytes(content)
    for named in (tmp_path, tmp_path / "model.safetensors"):
        with open_reader(named) as reader:
            assert "config.json" not in reader.metadata
            assert "left out" in reader.notes[0]


def test_what_a_folder_holds_decides(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "model")
    containers.write("safetensors", folder / "model.safetensors", {"whole": np.ones(2)})
    with open_reader(folder) as reader:
        assert list(reader.tensors) == ["whole"]
        assert f"not {INDEX} in the same folder" in reader.notes[0]
    several = tmp_path / "several"
    several.mkdir()
    containers.write("safetensors", several / "x.safetensors", {"x": np.ones(2)})
    with open_reader(several) as reader:
        assert list(reader.tensors) == ["x"]
    containers.write("safetensors", several / "y.safetensors", {"y": np.ones(2)})
    with pytest.raises(FormatError, match=r"several checkpoints: x\.safetensors, y\.safetensors"):
        open_reader(several)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="no weights as on the Hugging Face hub"):
        HfFolderReader(tmp_path / "empty")


# Lying indices

WEIGHT_MAP = {"a": FIRST, "b": FIRST, "c": SECOND, "d": SECOND}
LIES: dict[str, tuple[object, type[EffnetError], str]] = {
    "a file is missing": (
        WEIGHT_MAP | {"e": "model-00003-of-00003.safetensors"},
        UnreadableFile,
        "missing: model-",
    ),
    "a tensor is absent": (WEIGHT_MAP | {"e": FIRST}, FormatError, "it lacks e"),
    "a tensor is not listed": ({"a": FIRST, "c": SECOND, "d": SECOND}, FormatError, "holds besides: b"),
    "a tensor is elsewhere": (WEIGHT_MAP | {"a": SECOND}, FormatError, "it lacks"),
    "a path to the parent": (WEIGHT_MAP | {"a": "../model.safetensors"}, FormatError, "in the same folder"),
    "an absolute path": (WEIGHT_MAP | {"a": "/etc/x.safetensors"}, FormatError, "in the same folder"),
    "a path of Windows": (WEIGHT_MAP | {"a": "..\\x.safetensors"}, FormatError, "in the same folder"),
    "another kind of file": (WEIGHT_MAP | {"a": "config.json"}, FormatError, "in the same folder"),
    "a zero byte": (WEIGHT_MAP | {"a": "x\0.safetensors"}, FormatError, "in the same folder"),
    "half a letter": (WEIGHT_MAP | {"a": "\ud800.safetensors"}, FormatError, "in the same folder"),
    "a long name": (WEIGHT_MAP | {"a": "x" * 300 + ".safetensors"}, FormatError, "in the same folder"),
    "a number": (WEIGHT_MAP | {"a": 1}, FormatError, "in the same folder"),
    "a list": ([1, 2], FormatError, "weight_map"),
    "nothing": ({}, FormatError, "weight_map"),
    "null": (None, FormatError, "weight_map"),
    "many files": ({str(n): f"{n}.safetensors" for n in range(300)}, UnsupportedFile, "names 300 files"),
}


@pytest.mark.parametrize("case", LIES)
def test_lying_index(case: str, tmp_path: Path) -> None:
    weight_map, error, message = LIES[case]
    folder = sharded(tmp_path / "model")
    changed(folder, weight_map=weight_map)
    with pytest.raises(error, match=message):
        open_reader(folder)
    changed(folder, weight_map=WEIGHT_MAP)
    open_reader(folder).close()


BROKEN = {
    "no JSON": b"{nonsense",
    "a list": b"[]",
    "no text": b'{"\xff": 1}',
    "deep": b'{"weight_map":' + b"[" * 200_000,
    "the same name twice": b'{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}',
    "huge": b'{"weight_map": {' + b" " * (5 << 20) + b"}}",
    "many small values": b'{"weight_map": [' + b"{}," * 1_000_000 + b"{}]}",
    "empty": b"",
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_index(case: str, tmp_path: Path) -> None:
    folder = sharded(tmp_path / "model")
    (folder / INDEX).write_bytes(BROKEN[case])
    with containers.bounded(megabytes=250, seconds=10), pytest.raises((FormatError, UnsupportedFile)):
        open_reader(folder)


def test_shards_of_two_checkpoints(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "model")
    safetensors.numpy.save_file({"c": ARRAYS["c"], "d": ARRAYS["d"]}, folder / SECOND, {"format": "tf"})
    with pytest.raises(FormatError, match="do not belong together"):
        open_reader(folder)


@pytest.mark.parametrize("seed", range(150))
def test_damage_is_an_error_or_does_no_harm(seed: int, tmp_path: Path) -> None:
    """One damage, in the index or the header of a shard: an error of the project, or what the package reads too."""
    folder = sharded(tmp_path / "model")
    chance = random.Random(seed)
    path = folder / chance.choice([INDEX, FIRST, SECOND])
    data = path.read_bytes()
    end = len(data) if path.name == INDEX else 8 + int.from_bytes(data[:8], "little")
    match chance.randrange(4):
        case 0:
            data = containers.flipped(data, range(end), seed)
        case 1:
            data = data[: chance.randrange(len(data))]
        case 2:
            start = chance.randrange(end)
            data = data[:start] + bytes(chance.randrange(32, 127) for _ in range(8)) + data[start + 8 :]
        case _:
            start = chance.randrange(end)
            data = data[:start] + data[start : start + 40] + data[start:]
    path.write_bytes(data)
    try:
        with open_reader(folder) as reader:
            found = {name: reader.read(name).copy() for name in reader.tensors}
    except EffnetError:
        return
    files = {shard: safetensors.numpy.load_file(folder / shard) for shard in (FIRST, SECOND)}
    truth = files[FIRST] | files[SECOND]
    assert found.keys() == truth.keys()
    assert containers.same(found, {name: truth[name] for name in found})


# Writing

TEXTS = {"config.json": '{"model_type": "é"}', "preprocessor_config.json": "{}"}


def written(path: Path, metadata: Mapping[str, str] = TEXTS, *, overwrite: bool = False) -> tuple[Path, ...]:
    infos = containers.infos(ARRAYS)
    with HfFolderWriter(path, infos, containers.METADATA | metadata, overwrite=overwrite, sync=True) as writer:
        for array in ARRAYS.values():
            writer.write(array)
        with writer.finish() as reader:
            assert list(reader.tensors) == list(ARRAYS)
        assert [entry for entry in path.parent.iterdir() if not entry.name.startswith(".")] == (
            [path] if overwrite else []
        )
        return writer.commit()


def test_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "out"
    assert written(path) == tuple(path / name for name in ("model.safetensors", *TEXTS))
    assert list(tmp_path.iterdir()) == [path]
    assert {name: (path / name).read_text("utf-8") for name in TEXTS} == TEXTS
    with safetensors.safe_open(path / "model.safetensors", framework="np") as file:
        assert file.metadata() == {"format": "pt"} | containers.METADATA
    assert containers.same(containers.read("hf-folder", path), ARRAYS)
    with HfFolderReader(path) as reader:
        assert dict(reader.metadata) == {"format": "pt"} | containers.METADATA | TEXTS


def test_a_folder_is_replaced_as_a_whole_and_only_if_it_is_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.mkdir()
    written(path, overwrite=True)
    with pytest.raises(OutputError, match="--force"):
        written(path)
    assert written(path, {}, overwrite=True) == (path / "model.safetensors",)
    assert [entry.name for entry in path.iterdir()] == ["model.safetensors"]
    (path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"would be lost: notes\.txt"):
        written(path, overwrite=True)
    assert sorted(entry.name for entry in path.iterdir()) == ["model.safetensors", "notes.txt"]
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_left_of_an_unfinished_folder(tmp_path: Path) -> None:
    infos = containers.infos(ARRAYS)
    with HfFolderWriter(tmp_path / "out", infos, TEXTS, overwrite=False, sync=False) as writer:
        writer.write(ARRAYS["a"])
        with pytest.raises(ValueError, match="were promised"):
            writer.commit()
    with pytest.raises(OutputError, match="stands for two arrays"):
        HfFolderWriter(tmp_path / "out", infos * 2, TEXTS, overwrite=False, sync=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["missing/out", "file", "x" * 300])
def test_places_where_no_folder_can_be(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        written(tmp_path / name)
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_the_folder_that_is_read_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "model"
    save_state(path, SPEC, STATE, to_format="hf-folder", sync=False)
    for source in (path, path / "model.safetensors"):
        with pytest.raises(OutputError, match="is the checkpoint that is read"):
            convert(source, path, to_format="hf-folder", overwrite=True, sync=False)
    with open_checkpoint(path) as checkpoint:
        assert equal(checkpoint.state(), STATE)
        assert checkpoint.spec == SPEC


def test_the_files_of_a_dialect_are_written_beside_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"config.json": '{"num_classes": 7}'}
    with_files = replace(DIALECTS["effnet-torch"], companions=lambda spec: texts)
    monkeypatch.setattr(sys.modules["converters.convert"], "find_dialect", lambda name: with_files)
    for kind, path in (("hf-folder", tmp_path / "model"), ("safetensors", tmp_path / "model.safetensors")):
        save_state(path, SPEC, STATE, to_format=kind, sync=False)
        with open_checkpoint(path) as checkpoint:
            assert checkpoint.reader.metadata.get("config.json") == (texts["config.json"] if path.is_dir() else None)


# PyTorch's files

TORCH_SHARDS = ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin")
TORCH_INDEX = "pytorch_model.bin.index.json"
TIMM = {"architecture": "efficientnet_b0", "num_classes": 7}
"""A configuration whose architecture pads symmetrically; without it, names of timm are taken for its tf_ models."""


def torch_state() -> dict[str, torch.Tensor]:
    arrays = in_dialect("timm", SPEC, STATE)
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


def torch_folder(folder: Path, *, shards: int, new: bool = True) -> Path:
    folder.mkdir()
    state = torch_state()
    names = list(state)
    half = len(names) // 2
    files = {TORCH_SHARDS[0]: names[:half], TORCH_SHARDS[1]: names[half:]} if shards else {"pytorch_model.bin": names}
    for file, held in files.items():
        part = {name: state[name] for name in held}
        torch.save(part, folder / file, _use_new_zipfile_serialization=new)
    if shards:
        weight_map = {name: file for file, held in files.items() for name in held}
        (folder / TORCH_INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (folder / "config.json").write_text(json.dumps(TIMM))
    torch.save({"lr": 0.1}, folder / "training_args.bin")
    return folder


@pytest.mark.parametrize("shards", [0, 2])
@pytest.mark.parametrize("new", [True, False])
def test_a_folder_of_files_of_pytorch(shards: int, new: bool, tmp_path: Path) -> None:
    folder = torch_folder(tmp_path / "model", shards=shards, new=new)
    for path in [folder, folder / TORCH_INDEX] if shards else [folder, folder / "pytorch_model.bin"]:
        with open_checkpoint(path) as checkpoint:
            assert checkpoint.dialect.name == "timm-symmetric"  # as the configuration says
            assert equal(checkpoint.state(), STATE)
    (folder / "config.json").unlink()
    with open_checkpoint(folder) as checkpoint:
        assert checkpoint.dialect.name == "timm"
    if shards:
        with pytest.raises(UnsupportedFile, match=r"one of several files .*--format pth"):
            open_checkpoint(folder / TORCH_SHARDS[0])


def test_which_file_of_a_folder_is_taken(tmp_path: Path) -> None:
    folder = torch_folder(tmp_path / "model", shards=0)
    other = {name: torch.zeros_like(tensor) for name, tensor in torch_state().items()}
    torch.save(other, folder / "pytorch_model.fp16.bin")
    with open_checkpoint(folder) as checkpoint:
        assert equal(checkpoint.state(), STATE)
        assert "Took pytorch_model.bin, not pytorch_model.fp16.bin in the same folder." in checkpoint.notes
    safetensors.torch.save_file(other, folder / "model.safetensors")
    with open_checkpoint(folder) as checkpoint:
        assert not equal(checkpoint.state(), STATE)
        assert "Took model.safetensors, not pytorch_model.bin, pytorch_model.fp16.bin in the same folder." in (
            checkpoint.notes
        )


@pytest.mark.parametrize("case", ["absent", "not a name", "a tensor is elsewhere", "no weights"])
def test_a_bad_folder_of_files_of_pytorch(case: str, tmp_path: Path) -> None:
    folder = torch_folder(tmp_path / "model", shards=2)
    index = json.loads((folder / TORCH_INDEX).read_text())
    name = next(iter(index["weight_map"]))
    match case:
        case "absent":
            (folder / TORCH_SHARDS[1]).unlink()
            error, message = UnreadableFile, "missing: pytorch_model-00002-of-00002.bin"
        case "not a name":
            index["weight_map"][name] = "model.safetensors"
            error, message = FormatError, r"expected the name of a \.bin file"
        case "a tensor is elsewhere":
            index["weight_map"][name] = TORCH_SHARDS[1]
            error, message = FormatError, f"it lacks .*holds besides: {name}|it lacks {name}|besides: {name}"
        case _:
            (folder / TORCH_INDEX).unlink()
            error, message = FormatError, r"pytorch_model\.bin or a SavedModel"
    if case != "no weights":
        (folder / TORCH_INDEX).write_text(json.dumps(index))
    with pytest.raises(error, match=message):
        open_checkpoint(folder)


class _Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("executed",)


def test_a_shard_is_never_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = torch_folder(tmp_path / "model", shards=2)
    torch.save({"a": _Evil()}, folder / TORCH_SHARDS[1])
    with pytest.raises(UnsupportedFile):
        open_checkpoint(folder)
    assert not (tmp_path / "executed").exists()
    torch.load(folder / TORCH_SHARDS[1], weights_only=False)
    assert (tmp_path / "executed").exists()  # control: the file does what it says, where somebody executes it
