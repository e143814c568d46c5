from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters import SourceOptions, UnknownArchitecture, UnknownDialect, UnsupportedFile
from converters.formats.base import Array
from converters.memory import MemoryReader
from converters.metadata_keys import SPEC_KEY
from converters.opening import understand
from effnet_core import (
    VARIANTS,
    CheckpointMismatch,
    InvalidSpec,
    NetworkSpec,
    Rounding,
    UnknownVariant,
    described,
    parameters,
    resolve,
    to_json,
)
from tests.converters.memory import in_dialect, opened
from tests.lively import lively_state

NARROW = resolve("b0", width=0.13, num_classes=10)


def _zeros(spec: NetworkSpec, dialect: str) -> dict[str, Array]:
    """All-zero tensors: only names and shapes are looked at."""
    return in_dialect(dialect, spec, {item.name: np.zeros(item.shape, np.float16) for item in parameters(spec)})


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "efficientnet-l2"])
def test_every_variant_is_found_from_its_shapes(variant: str) -> None:
    spec = resolve(variant, num_classes=7, in_channels=4)
    assert opened(_zeros(spec, "effnet-torch")).spec == spec


@pytest.mark.parametrize(
    ("variant", "width", "depth"),
    [
        ("b0", 0.1, 0.5),
        ("b0", 0.37, 1.0),
        ("b0", 1.0, 0.4),
        ("lite2", 0.13, 0.7),
        ("b7", 0.2, 3.1),
        ("b0", 0.375, 1.0),
        ("b0", 0.8125, 0.375),
        ("edgetpu-S", 0.625, 0.3),
        ("b0", 5.0, 0.2),
        ("edgetpu-S", 0.28, 0.3),
        ("condconv-b0-8e", 0.1, 1.0),
        ("efficientnetv2-b3", 0.13, 0.5),
        ("efficientnetv2-m", 0.2, 0.3),
    ],
)
@pytest.mark.parametrize("dialect", ["native", "official"])
def test_other_widths_and_depths_are_found(variant: str, width: float, depth: float, dialect: str) -> None:
    spec = resolve(variant, width=width, depth=depth)
    found = opened(_zeros(spec, dialect)).spec
    assert (found.stem, found.head) == (spec.stem, spec.head)
    assert found.blocks == spec.blocks


def test_the_scope_decides_between_variants_that_look_alike() -> None:
    # As narrow as this, b1 and b2 have the same tensors; their resolutions differ.
    spec = resolve("b2", width=0.05)
    arrays = in_dialect("official", spec, lively_state(spec))
    assert opened(arrays).spec.name == "efficientnet-b2"
    renamed = {name.replace("-b2/", "-b1/"): array for name, array in arrays.items()}
    assert opened(renamed).spec.name == "efficientnet-b1"


def test_b3_with_the_rounding_of_v2_is_told_from_b3() -> None:
    for rounding, channels in ((Rounding.GUARDED, 24), (Rounding.NEAREST, 16)):
        spec = resolve("b3", rounding=rounding)
        assert spec.blocks[0].out_channels == channels
        found = opened(in_dialect("official", spec, {p.name: np.zeros(p.shape, np.float16) for p in parameters(spec)}))
        assert found.spec == spec


def test_what_the_user_says_is_taken() -> None:
    arrays = in_dialect("native", NARROW, lively_state(NARROW))
    options = SourceOptions(arch="b0", width=0.13, num_classes=10, recipe="advprop", dialect="native")
    spec = opened(arrays, options).spec
    assert (spec.width, spec.preprocessing.recipe) == (0.13, "advprop")


def test_the_definition_in_the_file_is_taken() -> None:

    spec = resolve("b3", width=0.13, num_classes=10, resolution=99, recipe="advprop", dropout_rate=0.45)
    reader = MemoryReader(in_dialect("native", spec, lively_state(spec)), path=Path("memory"), format="memory")
    reader.metadata = {SPEC_KEY: to_json(spec)}
    assert understand(reader, SourceOptions()).spec == spec
    changed = understand(reader, SourceOptions(recipe="baseline")).spec
    assert changed.preprocessing.recipe == "baseline"
    assert changed.preprocessing.resolution == 99


def test_another_variant_is_a_mismatch_that_lists_everything() -> None:
    arrays = _zeros(resolve("b0"), "efficientnet-pytorch")
    with pytest.raises(CheckpointMismatch) as caught:
        opened(arrays, SourceOptions(arch="b1"))
    assert "blocks.22.project.norm.variance" in caught.value.missing
    assert len(caught.value.missing) > 100
    assert "_blocks.0._bn2.weight" not in str(caught.value)
    assert str(caught.value).count("\n") < 30
    assert "Without these options: The architecture is efficientnet-b0" in str(caught.value)


def test_one_tensor_missing_one_too_many_and_one_misshapen_are_all_named() -> None:
    arrays = in_dialect("efficientnet-pytorch", NARROW, lively_state(NARROW))
    del arrays["_blocks.5._bn1.running_var"]
    arrays["_blocks.5._bn7.running_var"] = np.zeros(3, np.float32)
    arrays["_fc.weight"] = np.zeros((10, 5), np.float32)
    with pytest.raises(CheckpointMismatch) as caught:
        opened(arrays)
    assert caught.value.missing == ("blocks.5.depthwise.norm.variance",)
    assert caught.value.unexpected == ("_blocks.5._bn7.running_var",)
    assert [item.name for item in caught.value.misshapen] == ["classifier.kernel"]
    text = str(caught.value)
    assert "_blocks.5._bn1.running_var (blocks.5.depthwise.norm.variance); near: _blocks.5._bn7.running_var" in text


@pytest.mark.parametrize("spec", [NARROW, resolve("v2-s", num_classes=10)], ids=["narrow", "v2-s"])
@pytest.mark.parametrize(
    ("dialect", "stray"),
    [
        ("native", "blocks.70.expand.conv.kernel"),
        ("official", "efficientnet-b0/blocks_70/se/conv2d/bias"),
        ("timm", "blocks.1.9.conv_pw.weight"),
        ("torchvision", "features.5.9.block.0.0.weight"),
    ],
)
def test_a_stray_tensor_of_a_block_that_is_not_there_is_named(spec: NetworkSpec, dialect: str, stray: str) -> None:
    name = stray.replace("efficientnet-b0", spec.name)
    arrays = _zeros(spec, dialect) | {name: np.zeros((8, 8, 1, 1), np.float16)}
    with pytest.raises(CheckpointMismatch) as caught:
        opened(arrays)
    assert (caught.value.missing, caught.value.unexpected, caught.value.misshapen) == ((), (name,), ())
    assert described(spec) in str(caught.value)


def test_a_published_network_that_lacks_a_block_is_told_what_is_missing() -> None:
    spec = resolve("b0", num_classes=10)
    arrays = {name: array for name, array in _zeros(spec, "timm").items() if not name.startswith("blocks.4.1.")}
    with pytest.raises(CheckpointMismatch) as caught:
        opened(arrays)
    assert {name.rpartition(".")[0][:9] for name in caught.value.missing} == {"blocks.9."}
    assert caught.value.unexpected == ()


def test_what_is_far_from_every_network_is_compared_with_the_nearest() -> None:
    strange = {name: np.zeros((5, *array.shape[1:])) for name, array in _zeros(NARROW, "timm").items()}
    with pytest.raises(UnknownArchitecture, match=r"has \d+; conv_stem\.weight is \(5, 3, 3, 3\), expected \(\d+, 3"):
        opened(strange)


def test_a_class_count_that_is_not_the_file_s_is_a_mismatch() -> None:
    arrays = in_dialect("native", NARROW, lively_state(NARROW))
    with pytest.raises(CheckpointMismatch, match=r"classifier\.kernel: expected .*, 11\), found .*, 10\)"):
        opened(arrays, SourceOptions(num_classes=11))


def test_strangers_are_refused() -> None:
    with pytest.raises(UnknownDialect, match=r"holds 1 tensor; no known dialect has these names: encoder\.weight"):
        opened({"encoder.weight": np.zeros(3, np.float32)})
    with pytest.raises(UnknownDialect, match="holds 0 tensors"):
        opened({})


def test_half_a_network_is_taken_for_no_other_one() -> None:
    arrays = in_dialect("timm", NARROW, lively_state(NARROW))
    half = dict(list(arrays.items())[: len(arrays) // 2])
    with pytest.raises(UnknownArchitecture, match="probably another architecture, or a part of a checkpoint"):
        opened(half)
    nearly = dict(list(arrays.items())[:-20])
    with pytest.raises(CheckpointMismatch, match=r"Missing"):
        opened(nearly, SourceOptions(arch="b0", width=0.13))


def test_a_few_known_names_are_no_network() -> None:
    with pytest.raises(UnknownArchitecture, match="No variant has 3 blocks"):
        opened({"blocks.2.expand.conv.kernel": np.zeros((1, 1, 8, 48), np.float32)})


def test_integers_are_no_weights() -> None:
    arrays = in_dialect("native", NARROW, lively_state(NARROW))
    arrays["classifier.bias"] = np.zeros(10, np.int32)
    with pytest.raises(UnsupportedFile, match=r"classifier\.bias holds int32"):
        opened(arrays)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (SourceOptions(dialect="offical"), UnknownDialect),
        (SourceOptions(arch="b17"), UnknownVariant),
        (SourceOptions(arch="b0", width=-1.0), InvalidSpec),
        (SourceOptions(recipe="none"), InvalidSpec),
    ],
)
def test_impossible_wishes_are_refused(options: SourceOptions, error: type[Exception]) -> None:
    with pytest.raises(error):
        opened(in_dialect("native", NARROW, lively_state(NARROW)), options)


@pytest.mark.parametrize("dialect", ["deep-learning-for-image-processing", "torchvision", "native"])
@pytest.mark.parametrize("width", [1.0, 0.38])
def test_a_network_that_squeezes_expanded_channels_is_none(dialect: str, width: float) -> None:
    spec = resolve("b0", width=width, num_classes=10)
    blocks = [replace(block, squeeze_channels=block.expanded_channels // 4) for block in spec.blocks]
    with pytest.raises(UnknownArchitecture, match=r"to a quarter of its expanded channels.*no EfficientNet"):
        opened(_zeros(replace(spec, blocks=tuple(blocks)), dialect))
    blocks[3] = replace(blocks[3], squeeze_channels=1)
    with pytest.raises(CheckpointMismatch):
        opened(_zeros(replace(spec, blocks=tuple(blocks)), dialect))
