from dataclasses import replace

import pytest

from effnet_core import (
    VARIANTS,
    Block,
    Counts,
    FusedMBConv,
    NetworkSpec,
    Padding,
    Parameter,
    Role,
    Stem,
    counts,
    multiply_adds,
    output_size,
    parameter_count,
    parameters,
    resolve,
    total_count,
)

PARAMETERS = {
    # Trainable parameters with 1000 classes, counted in the official graphs.
    "b0": 5_288_548,
    "b1": 7_794_184,
    "b2": 9_109_994,
    "b3": 12_233_232,
    "b4": 19_341_616,
    "b5": 30_389_784,
    "b6": 43_040_704,
    "b7": 66_347_960,
    "b8": 87_413_142,
    "l2": 480_309_308,
    "lite0": 4_652_008,
    "lite1": 5_416_680,
    "lite2": 6_092_072,
    "lite3": 8_197_096,
    "lite4": 13_006_568,
}
WITH_STATISTICS = {"b0": 5_330_564, "b7": 66_658_680, "l2": 481_399_996, "lite4": 13_118_936}
BILLION_MULTIPLY_ADDS = {
    # Published with torchvision's models, which count the same operations; b2 there is evaluated at 288 pixels.
    ("b0", 224): 0.386,
    ("b1", 240): 0.687,
    ("b2", 288): 1.088,
    ("b3", 300): 1.827,
    ("b4", 380): 4.394,
    ("b5", 456): 10.266,
    ("b6", 528): 19.068,
    ("b7", 600): 37.746,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_the_published_ones(name: str) -> None:
    assert parameter_count(resolve(name)) == PARAMETERS[name]


@pytest.mark.parametrize("name", WITH_STATISTICS)
def test_moving_statistics_count_in_checkpoints(name: str) -> None:
    assert total_count(resolve(name)) == WITH_STATISTICS[name]


@pytest.mark.parametrize(("name", "resolution"), BILLION_MULTIPLY_ADDS)
def test_multiply_adds_are_the_published_ones(name: str, resolution: int) -> None:
    counted = multiply_adds(resolve(name), resolution=resolution) / 1e9
    assert round(counted, 3) == BILLION_MULTIPLY_ADDS[name, resolution]


def test_multiply_adds_default_to_the_own_resolution() -> None:
    spec = resolve("b1")
    assert multiply_adds(spec) == multiply_adds(spec, resolution=240) != multiply_adds(spec, resolution=224)


def _walked(spec: NetworkSpec, resolution: int) -> Counts:
    """The counts, added up over every tensor of the network."""
    sides = [_strided(spec, resolution, spec.stem)]
    for block in spec.blocks:
        sides.append(_strided(spec, sides[-1], block))
    trainable = statistics = multiply_adds = 0
    for parameter in parameters(spec):
        trainable += parameter.size if parameter.trainable else 0
        statistics += 0 if parameter.trainable else parameter.size
        kernel = parameter.size // (parameter.shape[0] if parameter.expert_shape else 1)
        if parameter.role in (Role.CONV, Role.DEPTHWISE, Role.EXPERTS, Role.DEPTHWISE_EXPERTS):
            multiply_adds += kernel * _positions(spec, parameter, sides)
        if parameter.role in (Role.DENSE, Role.ROUTING) or parameter.expert_shape:
            multiply_adds += parameter.size
    return Counts(trainable=trainable, statistics=statistics, multiply_adds=multiply_adds)


def _strided(spec: NetworkSpec, side: int, part: Stem | Block) -> int:
    return output_size(side, kernel_size=part.kernel_size, stride=part.stride, padding=spec.padding)


def _positions(spec: NetworkSpec, parameter: Parameter, sides: list[int]) -> int:
    """To how many positions of an image a kernel is applied; `sides` are those of the inputs of the blocks."""
    if parameter.block is None:
        return sides[0 if parameter.part.startswith("stem") else -1] ** 2
    if parameter.part.startswith("squeeze_excite"):
        return 1
    is_before = parameter.part.startswith("expand") and not isinstance(spec.blocks[parameter.block], FusedMBConv)
    return sides[parameter.block if is_before else parameter.block + 1] ** 2


@pytest.mark.parametrize("name", VARIANTS)
def test_counts_are_those_of_every_tensor(name: str) -> None:
    published = resolve(name)
    narrow = replace(resolve(name, width=0.3, depth=0.5, num_classes=7, in_channels=1), padding=Padding.SYMMETRIC)
    assert counts(published) == _walked(published, published.preprocessing.resolution)
    assert counts(narrow, resolution=75) == _walked(narrow, 75) != _walked(narrow, 95)


def test_names_are_unique_and_in_forward_order() -> None:
    names = [parameter.name for parameter in parameters(resolve("b0"))]
    assert len(names) == len(set(names)) == 311
    assert names[:6] == [
        "stem.conv.kernel",
        "stem.norm.gamma",
        "stem.norm.beta",
        "stem.norm.mean",
        "stem.norm.variance",
        "blocks.0.depthwise.conv.kernel",
    ]
    assert names[-2:] == ["classifier.kernel", "classifier.bias"]
    assert "blocks.3.squeeze_excite.reduce.bias" in names


def test_parts_do_not_name_their_block() -> None:
    found = {parameter.name: parameter.part for parameter in parameters(resolve("b0"))}
    assert found["blocks.13.depthwise.norm.gamma"] == "depthwise.norm"
    assert found["stem.conv.kernel"] == "stem.conv"
