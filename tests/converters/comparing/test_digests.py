"""The digest: specified in docs/digest.md, equal in every format and dialect, different for every other weight."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from converters import (
    DIALECTS,
    FORMATS,
    WRITTEN_FORMATS,
    OutputError,
    SourceOptions,
    digest,
    open_checkpoint,
    save_state,
    state_digest,
)
from converters.comparing.digests import PREFIX, tensor_digest
from converters.dialects import WRITTEN_DIALECTS
from converters.formats import open_reader
from converters.meaning import understood
from converters.memory import state_checkpoint
from converters.options import Ema
from effnet_core import Padding, resolve
from tests import oracle
from tests.lively import lively_state

SPEC = resolve("b0", width=0.38, depth=0.3, num_classes=10)
STATE = lively_state(SPEC)
DOCUMENT = Path(__file__).parents[3] / "docs" / "digest.md"


def _specified() -> Callable[[dict[str, np.ndarray]], str]:
    """The function that stands in the specification."""
    [code] = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    scope: dict[str, Callable[[dict[str, np.ndarray]], str]] = {}
    exec(code, scope)
    return scope["digest"]


def _of(state: dict[str, np.ndarray]) -> str:
    return digest(state_checkpoint(SPEC, state)).value


def _changed(name: str, index: int, value: float) -> dict[str, np.ndarray]:
    array = STATE[name].copy()
    array.reshape(-1)[index] = value
    return STATE | {name: array}


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", ml_dtypes.bfloat16, ">f4"])
def test_it_is_what_the_document_says(dtype: object) -> None:
    state = {name: array.astype(dtype) for name, array in STATE.items()}
    state["head.norm.beta"][:2] = [np.nan, -0.0]
    if dtype == "f8":
        state["classifier.bias"] = state["classifier.bias"] + 1e-12
    assert _of(state) == _specified()(state)


KERAS = ("effnet-keras", "keras-applications", "keras-applications-v2", "qubvel", "keras-hub")
"""Dialects whose names are those of Keras' layers and variables."""
NETWORKS = {"keras-applications-v2": resolve("v2-b0", width=0.38, depth=0.3, num_classes=10)}
"""Of dialects that have no V1."""


@pytest.mark.parametrize("dialect", WRITTEN_DIALECTS)
@pytest.mark.parametrize("name", WRITTEN_FORMATS)
def test_it_is_equal_in_every_format_and_dialect(name: str, dialect: str, tmp_path: Path) -> None:
    spec = understood(NETWORKS.get(dialect, SPEC), DIALECTS[dialect])
    state = lively_state(spec)
    suffix = FORMATS[name].suffixes[0] if FORMATS[name].suffixes else ""
    if name.startswith("keras-") and dialect not in KERAS:
        with pytest.raises(OutputError, match="cannot be written to Keras' HDF5 files"):
            save_state(tmp_path / f"model{suffix}", spec, state, to=dialect, to_format=name, sync=False)
        return
    changed = state["head.conv.kernel"].copy()
    changed.reshape(-1)[7] = np.nextafter(changed.reshape(-1)[7], np.float32(9))
    found = []
    for number, held in enumerate((state, state | {"head.conv.kernel": changed})):
        path = tmp_path / f"model{number}{suffix}"
        save_state(path, spec, held, to=dialect, to_format=name, sync=False)
        with open_checkpoint(path) as checkpoint:
            found.append(digest(checkpoint).value)
    assert found[0] == _specified()(state)
    assert found[1] != found[0]


def test_shifted_variances_are_hashed_as_they_were(tmp_path: Path) -> None:
    symmetric = replace(SPEC, padding=Padding.SYMMETRIC)
    own = DIALECTS["timm-symmetric"].meaning(SPEC.name, SPEC.family)
    assert own is not None
    assert own.epsilon != symmetric.norm.epsilon
    save_state(tmp_path / "x.safetensors", symmetric, STATE, to="timm-symmetric", sync=False)
    with open_reader(tmp_path / "x.safetensors") as reader:
        stored = reader.read("bn1.running_var")
        assert not np.array_equal(stored, STATE["stem.norm.variance"])
    with open_checkpoint(tmp_path / "x.safetensors") as checkpoint:
        assert digest(checkpoint).value == _of(STATE)


@pytest.mark.parametrize("folder", oracle.FOLDERS)
@pytest.mark.parametrize("ema", [Ema.ALWAYS, Ema.NEVER])
def test_it_is_that_of_the_set_that_was_taken(folder: str, ema: Ema) -> None:
    options = SourceOptions(ema=ema, spec=oracle.load(folder, ema=True).spec)
    with open_checkpoint(oracle.FOLDER / folder, options) as checkpoint:
        found = digest(checkpoint).value
    assert found == _specified()(oracle.load(folder, ema=ema is Ema.ALWAYS).state)
    assert found != _specified()(oracle.load(folder, ema=ema is not Ema.ALWAYS).state)


def test_types_of_storage() -> None:
    half = {name: array.astype(np.float16) for name, array in STATE.items()}
    assert _of({name: array.astype(np.float64) for name, array in STATE.items()}) == _of(STATE)
    assert _of(half) != _of(STATE)
    assert _of(half) == _of({name: array.astype(np.float32) for name, array in half.items()})


@pytest.mark.parametrize("name", ["stem.conv.kernel", "blocks.3.project.norm.variance", "classifier.bias"])
@pytest.mark.parametrize("index", [0, -1])
def test_one_bit_is_seen(name: str, index: int) -> None:
    other = STATE[name].copy()
    other.reshape(-1).view(np.uint32)[index] ^= 1
    assert _of(STATE | {name: other}) != _of(STATE)


def test_what_float32_cannot_hold_is_seen() -> None:
    wide = {name: array.astype(np.float64) for name, array in STATE.items()}
    wide["stem.conv.kernel"].reshape(-1).view(np.uint64)[-1] ^= 1
    assert _of(wide) != _of(STATE)
    assert [one.name for one in digest(state_checkpoint(SPEC, wide)).tensors if one.dtype == "float64"] == [
        "stem.conv.kernel"
    ]


def test_zeros_and_nan() -> None:
    assert _of(_changed("head.norm.beta", 1, 0.0)) != _of(_changed("head.norm.beta", 1, -0.0))
    signalling = _changed("head.norm.beta", 1, np.nan)
    signalling["head.norm.beta"].view(np.uint32)[1] = 0xFF800001
    assert _of(signalling) == _of(_changed("head.norm.beta", 1, np.nan))
    assert _of(signalling) != _of(_changed("head.norm.beta", 1, np.inf))


def test_swapped_tensors_of_one_shape_are_seen() -> None:
    gamma, beta = STATE["head.norm.gamma"], STATE["head.norm.beta"]
    assert _of(STATE | {"head.norm.gamma": beta, "head.norm.beta": gamma}) != _of(STATE)


def test_the_definition_is_not_part_of_it() -> None:
    other = resolve("b0", width=SPEC.width, depth=SPEC.depth, num_classes=10, recipe="advprop")
    symmetric = replace(other, padding=Padding.SYMMETRIC)
    assert digest(state_checkpoint(symmetric, STATE)).value == _of(STATE)


def test_a_line_is_readable() -> None:
    one = tensor_digest("a.b", np.zeros((3, 2), np.float16))
    assert one.line == f"a.b 3x2 float32 {one.sha256}\n"
    assert _of(STATE).startswith(PREFIX)
    assert len(_of(STATE)) == len(PREFIX) + 64


def test_progress_counts_bytes() -> None:
    seen: list[tuple[int, int]] = []
    digest(state_checkpoint(SPEC, STATE), progress=lambda done, total: seen.append((done, total)))
    total = sum(array.nbytes for array in STATE.values())
    assert seen[-1] == (total, total)
    assert len(seen) == len(STATE)


def test_weights_in_memory_have_the_digest_of_their_file(tmp_path: Path) -> None:
    save_state(tmp_path / "x.pth", SPEC, STATE)
    with open_checkpoint(tmp_path / "x.pth") as checkpoint:
        assert state_digest(STATE) == digest(checkpoint)
    bias = STATE["classifier.bias"]
    assert state_digest(STATE | {"classifier.bias": bias[::-1]}).value != state_digest(STATE).value
