from __future__ import annotations

import json
import os
import re
import threading
import time
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from converters import (
    DIALECTS,
    FORMATS,
    WRITTEN_FORMATS,
    Ema,
    FormatError,
    NotFinite,
    OutputError,
    SourceOptions,
    UnknownDialect,
    convert,
    open_checkpoint,
    save_state,
)
from converters.carrying import carrier
from converters.dialects import WRITTEN_DIALECTS
from converters.errors import UnreadableFile
from converters.names.naming import Unnamed, table
from effnet_core import CheckpointMismatch, Padding, resolve
from tests import oracle
from tests.converters.memory import equal
from tests.lively import lively_state

SPEC = resolve("b0", width=0.13, num_classes=10)
STATE = lively_state(SPEC)
FILES = {"tensor-bundle": "model.ckpt", "safetensors": "m.safetensors", "npz": "m.npz", "pth": "m.pth"}


def _state(path: Path, **options: object) -> dict[str, np.ndarray]:
    with open_checkpoint(path, SourceOptions(**options)) as checkpoint:
        return checkpoint.state()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A narrow network in the native dialect."""
    path = tmp_path / "source.safetensors"
    save_state(path, SPEC, STATE, sync=False)
    return path


SYMMETRIC = {
    name
    for name, dialect in DIALECTS.items()
    if dialect.semantics and all(row.padding is Padding.SYMMETRIC for row in dialect.semantics)
}
WRITTEN = sorted(
    {(name, FORMATS[name].dialect, Ema.ALWAYS) for name in WRITTEN_FORMATS}
    | {("safetensors", name, Ema.NEVER) for name in WRITTEN_DIALECTS if name not in SYMMETRIC}
)
"""Every format with its usual names, and every dialect that is written in one format."""
WITHOUT_FIRST_RESIDUALS = {
    name for name, dialect in DIALECTS.items() if any(not row.first_block_adds for row in dialect.semantics)
}
"""Dialects whose networks lack residuals that the narrow networks of the official code have."""


def _is_named(dialect: str, folder: str) -> bool:
    """Whether the dialect has names for every block of the network."""
    try:
        table(DIALECTS[dialect], oracle.load(folder, ema=True).spec, scope="")
    except Unnamed:
        return False
    return True


@pytest.mark.parametrize("folder", [*oracle.FOLDERS, "train-v1"])
@pytest.mark.parametrize(("name", "dialect", "ema"), WRITTEN)
def test_official_to_anything_and_back_bit_for_bit(
    folder: str, ema: Ema, name: str, dialect: str, tmp_path: Path
) -> None:
    source, options = oracle.FOLDER / folder, SourceOptions(ema=ema, spec=oracle.load(folder, ema=True).spec)
    middle, back = tmp_path / FILES.get(name, name), tmp_path / "back" / "model.ckpt"
    if not _is_named(dialect, folder):
        with pytest.raises(Unnamed):
            convert(source, middle, options=options, to=dialect, to_format=name)
        assert not list(tmp_path.iterdir())
        return
    back.parent.mkdir()
    accept = dialect in WITHOUT_FIRST_RESIDUALS
    convert(source, middle, options=options, to=dialect, to_format=name, sync=False, accept_different_logits=accept)
    convert(middle, back, to="official", sync=False, accept_different_logits=accept)
    chosen = oracle.load(folder, ema=ema is Ema.ALWAYS).state
    assert equal(_state(middle), chosen)
    assert equal(_state(back, ema=Ema.ALWAYS), chosen)
    assert equal(_state(back, ema=Ema.NEVER), chosen)
    assert not equal(_state(back), oracle.load(folder, ema=ema is Ema.NEVER).state)


def test_an_object_based_checkpoint_holds_its_sibling_s_averages(tmp_path: Path) -> None:
    averages = oracle.load("efficientnetv2-b0", ema=True).state
    assert equal(_state(oracle.FOLDER / oracle.OBJECT_BASED), averages)
    convert(oracle.FOLDER / oracle.OBJECT_BASED, tmp_path / "model.ckpt", sync=False)
    assert equal(_state(tmp_path / "model.ckpt"), averages)


def test_tensorflow_restores_what_is_written_with_object_based_names(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    convert(oracle.FOLDER / "efficientnetv2-b0", tmp_path / "ckpt-1", to="official-object", to_format="tensor-bundle")
    written = tf.train.load_checkpoint(str(tmp_path / "ckpt-1"))
    original = tf.train.load_checkpoint(str(oracle.FOLDER / oracle.OBJECT_BASED))
    graph = "_CHECKPOINTABLE_OBJECT_GRAPH"
    names = [name for name in original.get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE")]
    assert sorted([*names, graph]) == sorted(written.get_variable_to_shape_map())
    assert all(np.array_equal(written.get_tensor(name), original.get_tensor(name)) for name in names)


@pytest.mark.parametrize(("first", "second"), list(product(FILES, FILES)))
def test_every_format_to_every_other(first: str, second: str, tmp_path: Path) -> None:
    middle = tmp_path / FILES[first]
    save_state(middle, SPEC, STATE, to_format=first, sync=False)
    last = tmp_path / "last" / FILES[second]
    last.parent.mkdir()
    report = convert(middle, last, sync=False)
    assert report.format == second
    assert equal(_state(last), STATE)


@pytest.mark.parametrize("name", FILES)
def test_the_definition_travels_with_the_weights(name: str, tmp_path: Path) -> None:
    spec = resolve("b0", width=0.13, num_classes=10, resolution=97, recipe="advprop", dropout_rate=0.45)
    save_state(tmp_path / FILES[name], spec, STATE, sync=False)
    with open_checkpoint(tmp_path / FILES[name]) as checkpoint:
        assert checkpoint.spec == spec
        source = json.loads(checkpoint.reader.metadata["effnet.source"])
    assert source["moving_averages"] is False


def test_a_written_bundle_holds_equal_shadows(tmp_path: Path) -> None:
    save_state(tmp_path / "model.ckpt", SPEC, STATE, sync=False)
    with open_checkpoint(tmp_path / "model.ckpt") as checkpoint:
        names = checkpoint.reader.tensors
        shadows = [name for name in names if name.endswith("/ExponentialMovingAverage")]
        assert len(names) == 2 * len(shadows) == 2 * len(STATE)
        for name in shadows:
            shadow = checkpoint.reader.read(name).copy()
            assert np.array_equal(shadow, checkpoint.reader.read(name.removesuffix("/ExponentialMovingAverage")))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("name", ["tensor-bundle", "safetensors", "pth"])
def test_other_types_hold_the_rounded_weights(dtype: str, name: str, tmp_path: Path, saved: Path) -> None:
    convert(saved, tmp_path / FILES[name], dtype=dtype, sync=False)
    found = _state(tmp_path / FILES[name])
    assert {array.dtype.name for array in found.values()} == {dtype}
    assert equal(found, {key: value.astype(found[key].dtype) for key, value in STATE.items()})


def test_the_source_is_not_changed(tmp_path: Path, saved: Path) -> None:
    before = saved.read_bytes()
    convert(saved, tmp_path / "m.pth", sync=False)
    assert saved.read_bytes() == before


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("spelling", ["same", "link", "folder"])
def test_a_source_is_never_written_over(name: str, spelling: str, tmp_path: Path) -> None:
    source = tmp_path / "own" / FILES[name]
    source.parent.mkdir()
    report = save_state(source, SPEC, STATE, to_format=name, sync=False)
    before = {path: path.read_bytes() for path in report.target}
    target = source
    if spelling == "link":
        (tmp_path / "link").symlink_to(source.parent)
        target = tmp_path / "link" / source.name
    given = source.parent if spelling == "folder" and name == "tensor-bundle" else source
    with pytest.raises(OutputError, match="is the checkpoint that is read"):
        convert(given, target, overwrite=True, sync=False)
    assert {path: path.read_bytes() for path in report.target} == before


@pytest.mark.parametrize("part", [256, carrier.PART], ids=["two threads", "one thread"])
@pytest.mark.parametrize("name", FILES)
def test_progress_counts_the_bytes_written(
    name: str, part: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, saved: Path
) -> None:
    monkeypatch.setattr(carrier, "PART", part)
    seen: list[tuple[int, int, threading.Thread]] = []
    report = convert(
        saved,
        tmp_path / FILES[name],
        sync=False,
        progress=lambda done, total: seen.append((done, total, threading.current_thread())),
    )
    assert {(total, thread) for _, total, thread in seen} == {(report.nbytes, threading.main_thread())}
    told = [done for done, _, _ in seen]
    assert told[-1] == report.nbytes
    assert told == sorted(set(told))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(value: float, tmp_path: Path) -> None:
    broken = {name: array.copy() for name, array in STATE.items()}
    broken["blocks.3.project.norm.mean"][1] = value
    source, target = tmp_path / "broken.npz", tmp_path / "m.safetensors"
    save_state(source, SPEC, broken, sync=False, allow_non_finite=True)
    with pytest.raises(NotFinite, match=r"blocks\.3\.project\.norm\.mean holds NaN or infinite"):
        convert(source, target, sync=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.npz"]
    convert(source, target, sync=False, allow_non_finite=True)
    assert equal(_state(target), broken)


@pytest.mark.parametrize("target", ["m.safetensors", "m.pth"])
def test_large_weights_that_are_no_numbers_are_refused_too(
    target: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They are looked at in another thread, while they are written."""
    monkeypatch.setattr(carrier, "WORTH_IT", 1)
    monkeypatch.setattr(carrier, "PART", 64)
    broken = dict(STATE) | {"classifier.bias": np.full(10, np.nan, np.float32)}
    save_state(tmp_path / "broken.npz", SPEC, broken, sync=False, allow_non_finite=True)
    with pytest.raises(NotFinite, match=r"classifier\.bias holds NaN or infinite numbers: 10 NaN"):
        convert(tmp_path / "broken.npz", tmp_path / target, sync=False)
    assert [path.name for path in tmp_path.iterdir()] == ["broken.npz"]


def test_large_weights_become_smaller_only_when_they_have_been_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """However late the other thread comes: the next array is read into the same memory."""
    name = max(STATE, key=lambda name: STATE[name].nbytes)
    broken = STATE[name].copy()
    broken.flat[0] = np.nan
    save_state(tmp_path / "broken.npz", SPEC, dict(STATE) | {name: broken}, sync=False, allow_non_finite=True)
    is_finite = carrier.is_finite

    def late(array: np.ndarray) -> bool:
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.2)
        return is_finite(array)

    monkeypatch.setattr(carrier, "WORTH_IT", broken.nbytes)
    monkeypatch.setattr(carrier, "is_finite", late)
    with pytest.raises(NotFinite, match=f"{re.escape(name)} holds NaN or infinite numbers: 1 NaN"):
        convert(tmp_path / "broken.npz", tmp_path / "m.pth", dtype="float16", sync=False)
    assert [path.name for path in tmp_path.iterdir()] == ["broken.npz"]


def test_weights_beyond_half_precision_are_refused(tmp_path: Path) -> None:
    large = dict(STATE) | {"classifier.bias": np.full(10, 1e6, np.float32)}
    save_state(tmp_path / "large.npz", SPEC, large, sync=False)
    with pytest.raises(NotFinite, match=r"holds 1e\+06, beyond the range of float16"):
        convert(tmp_path / "large.npz", tmp_path / "m.pth", dtype="float16", sync=False)
    convert(tmp_path / "large.npz", tmp_path / "m.pth", dtype="bfloat16", sync=False)


@pytest.mark.parametrize("name", FILES)
def test_an_output_that_exists_is_kept(name: str, tmp_path: Path, saved: Path) -> None:
    target = tmp_path / FILES[name]
    first = convert(saved, target, sync=False)
    before = {path: path.read_bytes() for path in first.target}
    with pytest.raises(OutputError, match="--force"):
        convert(saved, target, sync=False, dtype="float16")
    assert {path: path.read_bytes() for path in first.target} == before
    convert(saved, target, sync=False, dtype="float64", overwrite=True)
    assert _state(target)["classifier.bias"].dtype == np.float64


def test_a_folder_that_does_not_exist_is_said(tmp_path: Path, saved: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        convert(saved, tmp_path / "nowhere" / "m.npz")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"to": "efficientnet_pytorch"}, UnknownDialect),
        ({"to_format": "safetensor"}, FormatError),
        ({"dtype": "int8"}, OutputError),
    ],
)
def test_unknown_words_are_refused(
    options: dict[str, str], error: type[Exception], tmp_path: Path, saved: Path
) -> None:
    with pytest.raises(error):
        convert(saved, tmp_path / "m.npz", **options)
    assert not (tmp_path / "m.npz").exists()


def test_names_by_order_are_only_read(tmp_path: Path, saved: Path) -> None:
    for format_name in WRITTEN_FORMATS:
        with pytest.raises(OutputError, match=r"keras-order are read, but not written: .* --to keras-applications"):
            convert(saved, tmp_path / "m", to="keras-order", to_format=format_name, sync=False)
    assert [path.name for path in tmp_path.iterdir()] == [saved.name]
    convert(saved, tmp_path / "m.h5", to="keras-applications", sync=False)  # the way out that the message names


def test_a_name_that_says_no_format_is_refused(tmp_path: Path, saved: Path) -> None:
    with pytest.raises(OutputError, match=r"End it with one of .*\.safetensors"):
        convert(saved, tmp_path / "model")


def test_a_state_of_another_network_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(CheckpointMismatch):
        save_state(tmp_path / "m.npz", resolve("b1", width=0.13, num_classes=10), STATE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_pipe_is_no_output(overwrite: bool, tmp_path: Path, saved: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(OutputError, match="is a device, a pipe or a socket"):
        convert(saved, tmp_path / "pipe.npz", overwrite=overwrite)
    assert (tmp_path / "pipe.npz").is_fifo()


def test_a_link_is_written_through(tmp_path: Path, saved: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link.npz").symlink_to(tmp_path / "there" / "m.npz")
    convert(saved, tmp_path / "link.npz", sync=False)
    assert (tmp_path / "link.npz").is_symlink()
    with pytest.raises(OutputError, match="--force"):
        convert(saved, tmp_path / "link.npz", sync=False)
    convert(saved, tmp_path / "link.npz", sync=False, overwrite=True, dtype="float16")
    assert _state(tmp_path / "there" / "m.npz")["classifier.bias"].dtype == np.float16


def test_an_empty_path_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="found an empty one"):
        convert("", tmp_path / "m.npz")


def test_the_first_source_is_remembered(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("a.safetensors", "b.npz", "c.pth"))
    convert(oracle.FOLDER / "efficientnet-b0", first, sync=False)
    convert(first, second, sync=False)
    convert(second, third, sync=False)
    with open_checkpoint(third) as checkpoint:
        metadata = checkpoint.reader.metadata
    assert json.loads(metadata["effnet.source"])["file"] == "b.npz"
    origin = json.loads(metadata["effnet.origin"])
    assert (origin["file"], origin["dialect"], origin["moving_averages"]) == ("efficientnet-b0", "official", True)


def test_a_folder_is_resolved_in_the_notes() -> None:
    with open_checkpoint(oracle.FOLDER / "efficientnet-b0") as checkpoint:
        assert "The checkpoint is " in checkpoint.notes[0]
        assert checkpoint.notes[0].endswith("model.ckpt-1234.")


@pytest.mark.parametrize("folder", oracle.FOLDERS)
def test_a_converted_pth_is_the_state_dict_of_the_network(folder: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from effnet_torch import create_model  # noqa: PLC0415 - after the check that torch is there

    known = oracle.load(folder, ema=True)
    convert(oracle.FOLDER / folder, tmp_path / "m.pth", options=SourceOptions(spec=known.spec), sync=False)
    stored = torch.load(tmp_path / "m.pth", weights_only=True)
    network = create_model(known.spec)
    network.load_state_dict(stored, strict=True)
    expected = create_model(known.spec, known.state).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in network.state_dict().items())
