"""The logits of torchvision 0.29.1, V1 and V2, both ways."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from converters import SourceOptions
from tests.compared import TORCHVISION
from tests.foreign.comparison import check_back, check_controls, check_every_variant, check_names, check_there
from tests.foreign.judge import DEPTH, WIDTH, Judge, Network, judging, narrow

NETWORKS = {
    variant: Network(name=name, classes=1000, width=width, depth=depth)
    for variant, (name, width, depth) in TORCHVISION.items()
}
NOT_THERE = {*(f"efficientnetv2-b{number}" for number in range(4)), "efficientnetv2-xl"}
"""Tables of V2 that torchvision has not."""
V1 = SourceOptions(dialect="torchvision")
# B5 to B7 have an epsilon of their own, and a narrow network of their table looks like one of B0's.
V1_LARGE = SourceOptions(dialect="torchvision", arch="efficientnet-b5", width=WIDTH, depth=DEPTH)
V2_SCALE = {"width": 0.5, "depth": 0.25}
"""At which torchvision's rounding of channels and the official one agree."""


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    with judging("torchvision", tmp_path_factory.mktemp("torchvision")) as judge:
        yield judge


@pytest.mark.parametrize("variant", NETWORKS)
def test_names_and_shapes(variant: str, judge: Judge) -> None:
    check_names(judge.shapes(NETWORKS[variant]), variant, dialect="torchvision")


def test_every_variant_is_compared() -> None:
    check_every_variant(NETWORKS, dialect="torchvision", without=NOT_THERE)


@pytest.mark.parametrize(
    ("network", "options"),
    [
        (narrow("efficientnet_b0"), V1),
        (narrow("efficientnet_b5"), V1_LARGE),
        (narrow("efficientnet_v2_s", **V2_SCALE), V1),
    ],
    ids=["b0", "b5", "v2_s"],
)
def test_narrow(network: Network, options: SourceOptions, judge: Judge, tmp_path: Path) -> None:
    made = judge.make(network)
    ours = check_there(made, "pth", options)
    check_controls(ours, made)
    check_back(judge, made, ours, tmp_path / "ours.pth", to="torchvision")


@pytest.mark.parametrize(("name", "side"), [("efficientnet_b0", 224), ("efficientnet_v2_s", 384)])
def test_native_size(name: str, side: int, judge: Judge, tmp_path: Path) -> None:
    made = judge.make(Network(name=name, classes=1000), sizes=[(side, side)], dtypes=["float32"])
    ours = check_there(made, "pth", V1)
    check_controls(ours, made)
    check_back(judge, made, ours, tmp_path / "ours.pth", to="torchvision")
