"""The judges themselves: what they make depends on its weights and its input, and they refuse and fail loudly."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.foreign.judge import SIZES, Died, Judge, Network, Refused, judging, narrow


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    with judging("timm", tmp_path_factory.mktemp("judge")) as judge:
        yield judge


def test_what_it_makes_is_lively_and_comes_back(judge: Judge) -> None:
    made = judge.make(narrow("tf_efficientnet_b0"))
    other = judge.make(narrow("tf_efficientnet_b0"), seed=1)
    for kind in ("pth", "safetensors"):
        again = judge.logits(made.files[kind], like=made)
        assert all(np.array_equal(again[key], made.logits[key]) for key in made.logits)
    for height, width in SIZES:
        single, double = (made.logits[f"{height}x{width}/{dtype}"] for dtype in ("float32", "float64"))
        assert (single.dtype, double.dtype) == (np.float32, np.float64)
        largest = np.abs(double).max()
        assert 0 < np.abs(single - double).max() < 5e-6 * largest
        assert np.abs(double[0] - double[1]).max() > 0.05 * largest  # the image matters
        theirs = judge.logits(other.files["pth"], like=made)[f"{height}x{width}/float64"]
        assert np.abs(theirs - double).max() > 0.1 * largest  # and so do the weights


def test_another_padding_is_seen(judge: Judge) -> None:
    """One file under two names of the library, for SAME padding and for the symmetric one; epsilon differs too."""
    sizes = (*SIZES, (65, 65))
    same = judge.make(narrow("tf_efficientnet_b0"), sizes=sizes)
    symmetric = judge.logits(same.files["pth"], like=judge.make(narrow("efficientnet_b0"), sizes=sizes))
    for key, expected in same.logits.items():
        apart = np.abs(symmetric[key] - expected).max() / np.abs(expected).max()
        if key.startswith("65x65/"):
            assert 0.01 < apart < 0.2  # epsilon alone
        else:
            assert apart > 0.3


def test_a_published_network_has_its_shapes(judge: Judge) -> None:
    shapes = judge.shapes(Network(name="tf_efficientnet_b0", classes=1000))
    assert len(shapes) == 360
    assert shapes["classifier.weight"] == (1000, 1280)


def test_a_file_that_does_not_fit_is_refused(judge: Judge) -> None:
    lite = judge.make(narrow("tf_efficientnet_lite0"), sizes=())
    b0 = judge.make(narrow("tf_efficientnet_b0"), sizes=())
    with pytest.raises(Refused, match="Missing key"):
        judge.logits(lite.files["pth"], like=b0)
    assert judge.logits(b0.files["pth"], like=b0) == {}  # it goes on


def test_a_process_that_ends_says_so(tmp_path: Path) -> None:
    with judging("timm", tmp_path) as judge:
        os.kill(judge.process_id, signal.SIGKILL)
        with pytest.raises(Died, match="ended with -9 at shapes"):
            judge.shapes(narrow("efficientnet_b0"))


def test_a_process_that_cannot_start_shows_why(tmp_path: Path) -> None:
    with judging("no such library", tmp_path) as judge, pytest.raises(Died, match="ended with 1 ") as caught:
        judge.shapes(narrow("efficientnet_b0"))
    assert "KeyError: 'no such library'" in str(caught.value)
