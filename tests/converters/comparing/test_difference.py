"""Two checkpoints compared tensor by tensor, across formats and dialects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters import diff, digest, open_checkpoint, save_state
from converters.comparing.difference import Difference, Verdict, compare
from converters.memory import state_checkpoint
from effnet_core import Padding, resolve
from tests.lively import lively_state

SPEC = resolve("b0", width=0.13, depth=0.5, num_classes=10)
STATE = lively_state(SPEC)


def _with(state: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> Difference:
    return diff(state_checkpoint(SPEC, state), state_checkpoint(SPEC, other))


def test_the_same_weights_in_other_files_are_equal(tmp_path: Path) -> None:
    save_state(tmp_path / "a.ckpt", SPEC, STATE, sync=False)
    save_state(tmp_path / "b.pth", SPEC, STATE, to="timm", dtype="float64", sync=False)
    with open_checkpoint(tmp_path / "a.ckpt") as a, open_checkpoint(tmp_path / "b.pth") as b:
        found = diff(a, b)
    assert found.equal
    assert found.count(Verdict.EQUAL) == len(STATE) == len(found.tensors)
    assert {(one.dtype_a, one.dtype_b) for one in found.tensors} == {("float32", "float64")}


def test_the_most_different_tensor_comes_first() -> None:
    other = {name: array.copy() for name, array in STATE.items()}
    other["head.conv.kernel"] *= np.float32(1.5)
    other["stem.norm.beta"][3] += np.float32(0.25)
    found = _with(STATE, other)
    first, second = found.differing()
    assert (first.name, second.name) == ("head.conv.kernel", "stem.norm.beta")
    assert first.relative == pytest.approx(0.5, rel=1e-6)
    assert first.elements == STATE["head.conv.kernel"].size
    assert (second.elements, second.max_abs) == (1, pytest.approx(0.25, rel=1e-6))
    assert second.relative == pytest.approx(0.25 / np.linalg.norm(STATE["stem.norm.beta"]), rel=1e-5)
    assert not found.equal


@pytest.mark.parametrize("seed", range(20))
def test_equal_means_equal_digests(seed: int) -> None:
    random = np.random.default_rng(seed)
    other = {name: array.copy() for name, array in STATE.items()}
    changed = random.random() < 0.7
    if changed:
        array = other[random.choice(list(other))]
        array.reshape(-1).view(np.uint32)[random.integers(array.size)] ^= np.uint32(1 << int(random.integers(32)))
    found = _with(STATE, other)
    same = digest(state_checkpoint(SPEC, STATE)).value == digest(state_checkpoint(SPEC, other)).value
    assert found.equal == same == (not changed)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0], (0, 0.0, 0.0)),
        ([3.0, 4.0], [3.0, 4.5], (1, 0.5, 0.1)),
        ([0.0, 1.0], [-0.0, 1.0], (1, 0.0, 0.0)),
        ([0.0, 0.0], [0.0, 2.0], (1, 2.0, np.inf)),
        ([np.nan, 1.0], [np.nan, 1.0], (0, 0.0, 0.0)),
        ([np.nan, 1.0], [2.0, 1.0], (1, np.inf, np.inf)),
        ([np.inf, 1.0], [-np.inf, 1.0], (1, np.inf, np.inf)),
        ([1e200, 0.0], [-1e200, 0.0], (1, 2e200, np.inf)),
        ([], [], (0, 0.0, 0.0)),
    ],
)
def test_numbers(a: list[float], b: list[float], expected: tuple[int, float, float]) -> None:
    assert compare(np.array(a), np.array(b)) == pytest.approx(expected)


def test_types_of_storage_are_widened() -> None:
    half = np.array([1.5, -0.0, np.nan, np.inf, 6e-8], np.float16)
    assert compare(half, half.astype(np.float64)) == (0, 0.0, 0.0)
    assert compare(half.astype(np.float32), half.astype(np.float64) * (1 + 2**-40))[0] == 2


def test_blocks_beyond_the_first_are_compared() -> None:
    a = np.zeros(200_001, np.float32)
    b = a.copy()
    b[[0, -1]] = 3, -4
    assert compare(a + 1, b + 1) == pytest.approx((2, 4.0, 5 / np.sqrt(200_001)))


def test_other_networks_are_compared_as_far_as_they_go() -> None:
    small = resolve("b0", width=0.13, depth=0.1, num_classes=7)
    found = diff(state_checkpoint(SPEC, STATE), state_checkpoint(small, lively_state(small)))
    assert found.count(Verdict.ONLY_A) > 0
    assert found.count(Verdict.ONLY_B) == 0
    back = diff(state_checkpoint(small, lively_state(small)), state_checkpoint(SPEC, STATE))
    assert back.count(Verdict.ONLY_B) == found.count(Verdict.ONLY_A)
    by_name = {one.name: one for one in found.tensors}
    assert by_name["classifier.bias"].verdict is Verdict.SHAPE
    assert (by_name["classifier.bias"].shape_a, by_name["classifier.bias"].shape_b) == ((10,), (7,))
    assert found.differing()[0].elements is None
    assert "classifier.num_classes" in {one.field for one in found.definition}


def test_definitions_are_compared() -> None:
    advprop = resolve("b0", width=0.13, depth=0.5, num_classes=10, recipe="advprop", dropout_rate=0.7)
    prepared = diff(state_checkpoint(SPEC, STATE), state_checkpoint(advprop, STATE))
    assert prepared.equal
    fields = {one.field for one in prepared.definition}
    assert {"preprocessing.recipe", "preprocessing.mean", "classifier.dropout_rate"} <= fields
    padded = replace(SPEC, padding=Padding.SYMMETRIC, norm=replace(SPEC.norm, epsilon=1e-5))
    found = diff(state_checkpoint(SPEC, STATE), state_checkpoint(padded, STATE))
    assert not found.equal
    assert found.count(Verdict.EQUAL) == len(STATE)
    assert {(one.field, one.changes_logits) for one in found.definition} == {("padding", True), ("norm.epsilon", True)}
