"""Files that hold two whole networks: none is taken until the user says which."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import SeveralNetworks, SourceOptions, open_checkpoint
from converters.formats.base import Array
from effnet_core import NetworkSpec, resolve, without_classifier
from tests.converters.memory import equal, in_dialect, opened
from tests.lively import lively_state

SMALL = resolve("b0", width=0.13, depth=0.5, num_classes=10)
DEEP = resolve("b0", width=0.13, depth=1.0, num_classes=10)
TORCH = (
    "effnet-torch",
    "efficientnet-pytorch",
    "timm",
    "torchvision",
    "huggingface",
    "deep-learning-for-image-processing",
)
PLAIN = SourceOptions()


def network(dialect: str, spec: NetworkSpec, prefix: str) -> dict[str, Array]:
    arrays = in_dialect(dialect, spec, lively_state(spec))
    counters = {name.replace("running_mean", "num_batches_tracked"): np.ones((), np.int64) for name in arrays}
    return {prefix + name: array for name, array in (counters | arrays).items()}


def refused(arrays: dict[str, Array], options: SourceOptions = PLAIN) -> str:
    with pytest.raises(SeveralNetworks, match=r"holds 2 networks .*--prefix") as caught:
        opened(arrays, options)
    assert len(str(caught.value)) < 300
    return str(caught.value)


@pytest.mark.parametrize("dialect", TORCH)
@pytest.mark.parametrize("prefixes", [("student.", "teacher."), ("model_a.", "model_b."), ("", "teacher."), ("a.", "")])
def test_networks_of_different_depth(prefixes: tuple[str, str], dialect: str) -> None:
    arrays = network(dialect, SMALL, prefixes[0]) | network(dialect, DEEP, prefixes[1])
    message = refused(arrays)
    assert all(repr(prefix) in message for prefix in prefixes)
    refused(arrays, SourceOptions(dialect=dialect))
    for prefix, spec in zip(prefixes, (SMALL, DEEP), strict=True):
        found = opened(arrays, SourceOptions(prefix=prefix))
        assert equal(found.state(), lively_state(spec))


@pytest.mark.parametrize(
    ("first", "second"), [*itertools.permutations(("timm", "torchvision", "huggingface", "effnet-torch"), 2)]
)
def test_networks_in_names_of_different_projects(first: str, second: str) -> None:
    arrays = network(first, SMALL, "student.") | network(second, DEEP, "teacher.")
    message = refused(arrays)
    assert f"'student.' ({first})" in message
    assert f"'teacher.' ({second})" in message
    for prefix, spec, dialect in (("student.", SMALL, first), ("teacher.", DEEP, second)):
        found = opened(arrays, SourceOptions(prefix=prefix))
        assert found.dialect.name == dialect
        assert equal(found.state(), lively_state(spec))
    # Who says whose names are meant has said which network is.
    assert equal(opened(arrays, SourceOptions(dialect=first)).state(), lively_state(SMALL))


def test_a_network_without_classifier_is_a_second_one() -> None:
    refused(network("timm", SMALL, "q.") | network("timm", without_classifier(SMALL), "k."))


PARTS = {
    "a decoder of the same blocks": r"(?!conv_stem).*",
    "a stem and few blocks": r"(?!blocks).*|blocks\.[01]\..*",
    "names by chance": r"bn1\..*",
}


@pytest.mark.parametrize("part", PARTS)
def test_parts_of_a_network_are_no_second_one(part: str) -> None:
    other = {
        f"aux.{name}": array for name, array in network("timm", SMALL, "").items() if re.fullmatch(PARTS[part], name)
    }
    assert other
    found = opened(network("timm", DEEP, "model.") | other)
    assert equal(found.state(), lively_state(DEEP))
    assert {*other} <= {*found.ignored}


def test_moving_averages_are_no_second_one(tmp_path: Path) -> None:
    weights, averages = network("timm", SMALL, "model."), network("timm", SMALL, "model_ema.module.")
    half = {name: array for name, array in averages.items() if "blocks.6" not in name}
    for beside in (averages, half):
        arrays: dict[str, Any] = weights | beside
        np.savez(tmp_path / "x.npz", **arrays)
        with open_checkpoint(tmp_path / "x.npz") as found:
            assert equal(found.state(), lively_state(SMALL))
            assert found.uses_ema is (beside is averages)
