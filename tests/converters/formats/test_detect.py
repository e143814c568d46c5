"""The format of a file is told by its bytes, whatever its name is."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from converters.errors import FormatError, UnreadableFile, UnsupportedFile
from converters.formats import open_reader
from converters.formats.detect import detect_format
from tests.converters.formats import containers, zips

ORACLE = Path(__file__).parents[2] / "data" / "oracle" / "efficientnet-b0"
PREFIX = ORACLE / "model.ckpt-1234"
ARRAYS = {"a/kernel": np.arange(6.0).reshape(2, 3)}


@pytest.mark.parametrize("kind", ["safetensors", "npz", "pth", "keras-h5", "keras-weights"])
def test_own_files_under_any_name(kind: str, tmp_path: Path) -> None:
    for name in ["x", "x.npz", "x.pth", "x.safetensors", "x.index", "x.h5"]:
        path = containers.write(kind, tmp_path / name, ARRAYS)
        assert detect_format(path) == kind
        with open_reader(path) as reader:
            assert reader.format == kind
        path.unlink()


@pytest.mark.parametrize("new", [True, False])
def test_files_of_torch(new: bool, tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "x", _use_new_zipfile_serialization=new)
    assert detect_format(tmp_path / "x") == "pth"


def test_tar_of_old_torch(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x", "w") as archive:
        for name in ["sys_info", "pickle", "storages", "tensors"]:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    assert detect_format(tmp_path / "x") == "pth"


def test_names_of_a_tensor_bundle(tmp_path: Path) -> None:
    data = PREFIX.with_name(PREFIX.name + ".data-00000-of-00001")
    index = PREFIX.with_name(PREFIX.name + ".index")
    for path in [PREFIX, index, data, ORACLE, ORACLE / "checkpoint"]:
        assert detect_format(path) == "tensor-bundle"
    shutil.copy(index, tmp_path / "renamed")
    assert detect_format(tmp_path / "renamed") == "tensor-bundle"


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_archive_of_a_tensor_bundle(mode: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x", mode) as archive:
        archive.add(ORACLE / "checkpoint", "b0/checkpoint")
    assert detect_format(tmp_path / "x") == "tensor-bundle"


def test_keras_archive_without_weights(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(zips.zipped({"config.json": b"{}", "model.weights.h5": b""}))
    assert detect_format(tmp_path / "x") == "keras"
    with pytest.raises(FormatError, match="too short"):
        open_reader(tmp_path / "x")


PAGE = b"\n<!DOCTYPE html><html><head><title>Not found</title>"


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", FormatError, "is empty"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 50, FormatError, "too short"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, UnsupportedFile, "which Keras does not write"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", UnsupportedFile, "git lfs pull"),
        (PAGE, FormatError, "web page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied", FormatError, "web page"),
        (b"just some text", FormatError, "unknown format: it starts with b'just some text'"),
        (b"\x93NUMPY\x01\0", UnsupportedFile, r"numpy\.savez"),
        (b"BZh9", UnsupportedFile, "bzip2"),
        (b"\0", FormatError, "unknown format"),
        (zips.zipped({"a.txt": b""}), UnsupportedFile, "of no checkpoint that is read here.*a.txt"),
        (zips.zipped({}), UnsupportedFile, "it holds: -"),
        (b"PK\x03\x04 and then nothing", FormatError, "no sound zip archive"),
        (b"\xff" * 600, FormatError, "unknown format"),
    ],
)
def test_what_is_not_read(content: bytes, error: type[Exception], message: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(error, match=message):
        detect_format(tmp_path / "x")


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"does not exist, nor does x\.index"):
        detect_format(tmp_path / "x")
    with pytest.raises(FormatError, match="without a TensorFlow checkpoint"):
        detect_format(tmp_path)
    (tmp_path / "saved_model.pb").touch()
    assert detect_format(tmp_path) == detect_format(tmp_path / "saved_model.pb") == "saved-model"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnreadableFile, match="no regular file"):
        detect_format(tmp_path / "pipe")
    for reader in ["safetensors", "npz", "pth"]:
        with pytest.raises(UnreadableFile, match="No such file"):
            open_reader(tmp_path / "x", name=reader)
        with pytest.raises(UnreadableFile, match="is a folder"):
            open_reader(tmp_path, name=reader)


def test_another_format_than_named(tmp_path: Path) -> None:
    for kind in ["safetensors", "npz", "pth"]:
        path = containers.write(kind, tmp_path / kind, ARRAYS)
        for other in {"safetensors", "npz", "pth"} - {kind}:
            with pytest.raises(FormatError):
                open_reader(path, name=other)


def test_gzip_of_something_else_is_left_to_the_bundle_reader(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(gzip.compress(b"nothing"))
    assert detect_format(tmp_path / "x") == "tensor-bundle"


def test_weights_that_keras_split_are_refused(tmp_path: Path) -> None:
    shard = containers.write("keras-weights", tmp_path / "m_00001.weights.h5", ARRAYS)
    assert detect_format(shard) == "keras-weights"  # a name alone says nothing
    index = tmp_path / "m.weights.json"
    index.write_text('{"metadata": {}, "weight_map": {}}')
    for path in (shard, index):
        with pytest.raises(UnsupportedFile, match=r"Keras split .* save them without max_shard_size"):
            open_reader(path)
    with open_reader(shard, name="keras-weights") as reader:
        assert set(reader.tensors) == set(ARRAYS)
    other = containers.write("keras-weights", tmp_path / "n_00001.weights.h5", ARRAYS)
    assert detect_format(other) == "keras-weights"
