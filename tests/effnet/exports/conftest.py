"""One narrow network of the official code, which every export starts from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from effnet import Network
from effnet_core import NetworkSpec
from tests import oracle

FOLDER = "efficientnetv2-s"
"""Fused and other blocks, squeeze-and-excite; few of them, so that graphs are made quickly."""
LETTERS = "abcdefghi"


@pytest.fixture(scope="session")
def official() -> Network:
    """Nine classes at 64 pixels: the recipe's size only says what the questions are asked at."""
    network = oracle.load(FOLDER, ema=True)
    return Network(spec=with_side(network.spec, 64), state=network.state, name=FOLDER)


def with_side(spec: NetworkSpec, side: int) -> NetworkSpec:
    return replace(spec, preprocessing=replace(spec.preprocessing, resolution=side))


@pytest.fixture(scope="session")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labels") / "labels.txt"
    path.write_text("".join(f"class {letter}\n" for letter in LETTERS))
    return path


@pytest.fixture(scope="session")
def photograph() -> bytes:
    """A JPEG of 97 x 131 pixels."""
    return (oracle.FOLDER / "preprocessing" / "img_97x131.jpg").read_bytes()
