import timeit
from dataclasses import replace
from typing import Any

import pytest

from effnet_core import (
    VARIANTS,
    InvalidSpec,
    MBConv,
    Rounding,
    UnknownVariant,
    canonical_name,
    resolve,
    round_channels,
)

LOOP = "sum(i * i for i in range(20_000))"

STAGE_WIDTHS = {
    # Channels and blocks of the seven stages, as the official code builds them.
    "b0": ((16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)),
    "b1": ((16, 24, 40, 80, 112, 192, 320), (2, 3, 3, 4, 4, 5, 2)),
    "b2": ((16, 24, 48, 88, 120, 208, 352), (2, 3, 3, 4, 4, 5, 2)),
    "b3": ((24, 32, 48, 96, 136, 232, 384), (2, 3, 3, 5, 5, 6, 2)),
    "b4": ((24, 32, 56, 112, 160, 272, 448), (2, 4, 4, 6, 6, 8, 2)),
    "b5": ((24, 40, 64, 128, 176, 304, 512), (3, 5, 5, 7, 7, 9, 3)),
    "b6": ((32, 40, 72, 144, 200, 344, 576), (3, 6, 6, 8, 8, 11, 3)),
    "b7": ((32, 48, 80, 160, 224, 384, 640), (4, 7, 7, 10, 10, 13, 4)),
    "b8": ((32, 56, 88, 176, 248, 424, 704), (4, 8, 8, 11, 11, 15, 4)),
    "l2": ((72, 104, 176, 344, 480, 824, 1376), (6, 11, 11, 16, 16, 22, 6)),
    "lite0": ((16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)),
    "lite4": ((24, 32, 56, 112, 160, 272, 448), (1, 4, 4, 6, 6, 8, 1)),
}


@pytest.mark.parametrize("name", STAGE_WIDTHS)
def test_stages_are_those_of_the_official_code(name: str) -> None:
    blocks = resolve(name).blocks
    firsts = [block for block in blocks if block.repeat == 0]
    repeats = tuple(sum(block.stage == first.stage for block in blocks) for first in firsts)
    assert (tuple(block.out_channels for block in firsts), repeats) == STAGE_WIDTHS[name]


@pytest.mark.parametrize("spelling", ["efficientnet-b0", "efficientnet_b0", "EfficientNetB0", "b0", "B0"])
def test_names_as_people_write_them(spelling: str) -> None:
    assert canonical_name(spelling) == "efficientnet-b0"


@pytest.mark.parametrize("spelling", ["EfficientNet-Lite3", "lite3", "efficientnet_lite3"])
def test_lite_names_as_people_write_them(spelling: str) -> None:
    assert canonical_name(spelling) == "efficientnet-lite3"


def test_an_unknown_name_lists_what_is_near() -> None:
    with pytest.raises(UnknownVariant, match=r"no variant named 'b9'\. Near: efficientnet-b"):
        resolve("b9")


@pytest.mark.parametrize("name", ["", None, 0])
def test_what_is_no_name_is_unknown(name: str) -> None:
    with pytest.raises(UnknownVariant):
        resolve(name)


def test_b0_is_table_1_of_the_paper() -> None:
    spec = resolve("b0")
    assert (spec.stem.out_channels, spec.head.out_channels, spec.preprocessing.resolution) == (32, 1280, 224)
    rows = [(block.kernel_size, block.stride) for block in spec.blocks if block.repeat == 0]
    assert rows == [(3, 1), (3, 2), (5, 2), (3, 2), (5, 1), (5, 2), (3, 1)]
    assert [block.expanded_channels // block.in_channels for block in spec.blocks] == [1] + [6] * 15
    assert [block.has_expansion for block in spec.blocks] == [False] + [True] * 15


def test_the_squeeze_is_a_quarter_of_the_block_input_truncated() -> None:
    assert [block.squeeze_channels for block in resolve("b0").blocks[:4]] == [8, 4, 6, 6]


def test_drop_connect_grows_with_the_index_over_all_blocks() -> None:
    blocks = resolve("b0").blocks
    assert [block.drop_connect_rate for block in blocks] == [0.2 * index / 16 for index in range(16)]


def test_residuals_are_where_shapes_stay() -> None:
    found = [index for index, block in enumerate(resolve("b0").blocks) if block.has_residual]
    assert found == [2, 4, 6, 7, 9, 10, 12, 13, 14]


def test_lite_keeps_its_ends_and_has_no_squeeze_excite() -> None:
    spec = resolve("lite4")
    assert (spec.stem.out_channels, spec.head.out_channels) == (32, 1280)
    assert {block.squeeze_channels for block in spec.blocks} == {None}
    assert spec.blocks[0].expanded_channels == spec.blocks[0].in_channels == 32


@pytest.mark.parametrize(
    ("channels", "width", "expected"), [(16, 1.2, 24), (24, 1.4, 32), (32, 0.1, 8), (320, 2.0, 640)]
)
def test_channels_round_to_eight_and_never_lose_a_tenth(channels: int, width: float, expected: int) -> None:
    assert round_channels(channels, width=width, rounding=Rounding.GUARDED) == expected


def test_the_rule_without_the_guard_may_lose_more() -> None:
    assert round_channels(16, width=1.2, rounding=Rounding.NEAREST) == 16


def test_options_reach_the_definition() -> None:
    spec = resolve(
        "b1", num_classes=7, in_channels=4, resolution=96, dropout_rate=0, drop_connect_rate=0, recipe="advprop"
    )
    assert (spec.classifier.num_classes, spec.stem.in_channels, spec.preprocessing.resolution) == (7, 4, 96)
    assert spec.classifier.dropout_rate == 0
    assert {block.drop_connect_rate for block in spec.blocks} == {0}
    assert spec.preprocessing.mean == (127.5, 127.5, 127.5)


@pytest.mark.parametrize(
    "options",
    [
        {"width": 0.0},
        {"depth": -1.0},
        {"width": float("nan")},
        {"num_classes": 0},
        {"num_classes": "10"},
        {"num_classes": True},
        {"resolution": "224"},
        {"width": "1"},
        {"depth": 1e9},
        {"in_channels": 0},
        {"resolution": 0},
        {"dropout_rate": 1.0},
        {"drop_connect_rate": -0.1},
        {"drop_connect_rate": 1.5},
        {"recipe": "nonsense"},
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InvalidSpec):
        resolve("b0", **options)


def test_every_published_recipe_of_a_family_resolves() -> None:
    for name, variant in VARIANTS.items():
        for recipe in variant.recipes:
            assert resolve(name, recipe=recipe).preprocessing.recipe == recipe


def _first_block(**changes: object) -> None:
    spec = resolve("b0")
    replace(spec, blocks=(replace(spec.blocks[0], **changes), *spec.blocks[1:]))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"out_channels": 17}, "block 0 gives 17 channels, block 1 takes 16"),
        ({"has_residual": True}, "block 0 has a residual"),
        ({"expanded_channels": 64}, "block 0 has no expansion"),
        ({"kernel_size": 0}, "kernel_size of the block 0 is 0"),
    ],
)
def test_a_definition_that_contradicts_itself_is_refused(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidSpec, match=problem):
        _first_block(**changes)


def test_blocks_are_plain_frozen_data() -> None:
    block = resolve("b0").blocks[0]
    assert isinstance(block, MBConv)
    with pytest.raises(AttributeError):
        block.stride = 2


@pytest.mark.parametrize("name", ["efficientnetv2-b0", "efficientnetv2-s", "efficientnetv2-xl"])
def test_a_head_of_imagenet_21k_brings_its_recipe(name: str) -> None:
    found = resolve(name, num_classes=21843).preprocessing
    assert (found.recipe, found.resolution, found.mean) == ("v2-21k", 224, (128.0, 128.0, 128.0))
    assert resolve(name, num_classes=21842).preprocessing.recipe != "v2-21k"


def test_the_v2_code_has_its_own_decay_for_v1_too() -> None:
    assert resolve("b3").norm.decay == 0.99
    assert resolve("b3", rounding=Rounding.NEAREST).norm.decay == 0.9


def _is_quick(name: str, **options: Any) -> bool:
    """Whether resolving takes less than a loop that takes 1 ms on the machine of README.md's measurements.

    A slow machine is slow at both, and both run in turn, so that load meets them alike.
    """
    pairs = [
        (timeit.timeit(lambda: resolve(name, **options), number=1), timeit.timeit(LOOP, number=1)) for _ in range(50)
    ]
    own, loop = map(min, zip(*pairs, strict=True))
    return own < loop


@pytest.mark.parametrize("name", VARIANTS)
def test_resolving_takes_less_than_a_millisecond(name: str) -> None:
    assert _is_quick(name)


def test_resolving_a_deeper_network_takes_longer() -> None:
    assert not _is_quick("l2", depth=50)
