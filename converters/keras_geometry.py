"""What the configuration of a Keras model says of a network's convolutions: strides, paddings, dilations.

Shapes do not tell them. People set the stride of the stem to 1 for small images, and take strides from late blocks, or
dilate these, for dense predictions.

Source: keras/src/applications/imagenet_utils.py, correct_pad, version 3.15.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, cast

from converters.keras_config import Layer
from effnet_core import FusedMBConv, NetworkSpec, Padding, Parameter

_PADDING_LAYER = "ZeroPadding2D"
_Sides = tuple[int, int]
"""Of height and width; or rows before and after."""
_NONE = (0, 0), (0, 0)


class Convolution(NamedTuple):
    """A convolution of the network, as the configuration has it."""

    parameter: Parameter
    """Its kernel."""
    layer: Layer
    before: Sequence[Layer]
    """The layers whose results it takes."""


class Geometry(NamedTuple):
    """What was read."""

    spec: NetworkSpec
    notes: tuple[str, ...]
    wrong: tuple[str, ...]
    """What no definition of this network can say, a few words each."""


def with_strides(spec: NetworkSpec, convolutions: Sequence[Convolution], beside: Sequence[Layer]) -> Geometry:
    """The network with the strides that its configuration says; `beside` are all layers of the model that holds it."""
    wrong: list[str] = []
    changed: list[str] = []
    is_fixed = any(None not in shape for shape in map(_input_shape, beside) if shape)
    for convolution in convolutions:
        name, config = convolution.layer.path.rpartition("/")[2], convolution.layer.config
        stride, dilation = (_pair(config.get(key, 1)) for key in ("strides", "dilation_rate"))
        expected = _stride(convolution.parameter, spec) if "strides" in config else stride
        if dilation != (1, 1):
            wrong.append(f"the dilation {_shown(config['dilation_rate'])} in {name}")
        elif stride != expected:
            other = _restrided(spec, convolution.parameter, stride)
            if other is None:
                wrong.append(f"the stride {_shown(config['strides'])} in {name}")
            else:
                spec = other
                changed.append(f"{stride[0]} in {name}")
        if not _pads_as(spec.padding, convolution, stride, is_fixed=is_fixed):
            wrong.append(f"a padding of {name} that is not {spec.padding}")
    note = f"The model's configuration has the stride {', '.join(changed)}, and so the network is taken."
    return Geometry(spec=spec, notes=(note,) if changed else (), wrong=tuple(wrong))


def _stride(parameter: Parameter, spec: NetworkSpec) -> _Sides:
    """What the network's definition says of a convolution."""
    stride = 1
    if parameter.block is None:
        stride = spec.stem.stride if parameter.part == "stem.conv" else 1
    elif parameter.part == _spatial(spec, parameter.block):
        stride = spec.blocks[parameter.block].stride
    return stride, stride


def _spatial(spec: NetworkSpec, index: int) -> str:
    """The convolution of a block that has its stride."""
    block = spec.blocks[index]
    if not isinstance(block, FusedMBConv):
        return "depthwise.conv"
    return "expand.conv" if block.has_expansion else "project.conv"


def _restrided(spec: NetworkSpec, parameter: Parameter, stride: _Sides) -> NetworkSpec | None:
    """The network with another stride of one convolution, None where a definition cannot have it."""
    if stride not in ((1, 1), (2, 2)):
        return None
    if parameter.part == "stem.conv":
        return replace(spec, stem=replace(spec.stem, stride=stride[0]))
    index = parameter.block
    if index is None or parameter.part != _spatial(spec, index) or spec.blocks[index].has_residual:
        return None
    block = replace(spec.blocks[index], stride=stride[0])
    return replace(spec, blocks=(*spec.blocks[:index], block, *spec.blocks[index + 1 :]))


def _pads_as(policy: Padding, convolution: Convolution, stride: _Sides, *, is_fixed: bool) -> bool:
    """Whether a convolution's zeros are those of the policy; `is_fixed` where the model takes images of one size."""
    kernel, word = convolution.parameter.shape[0], convolution.layer.config.get("padding")
    layers = (_amounts(layer) for layer in convolution.before if layer.kind == _PADDING_LAYER)
    amounts = [sides for sides in layers if sides != _NONE]
    if word == "same" and not amounts:
        return stride == (1, 1) or policy is Padding.SAME
    if word != "valid" or len(amounts) > 1:
        return word is None
    smaller, larger = (kernel - 1) // 2, kernel // 2
    allowed: set[_Sides] = {(smaller, larger)}
    if stride != (1, 1) and policy is Padding.SAME:
        # Of an even size one row less before than after; of an odd one, or where Keras knows no size, see correct_pad.
        allowed = {(larger - 1, larger)} | ({(larger, larger)} if is_fixed else set())
    return all(side in allowed for side in (amounts or [_NONE])[0])


def _amounts(layer: Layer) -> tuple[_Sides, _Sides]:
    """Rows above and below, columns left and right."""
    value = layer.config.get("padding")
    rows, columns = cast("list[object]", value) if _is_pair(value) else (value, value)
    return _pair(rows), _pair(columns)


def _pair(value: object) -> _Sides:
    """Two whole numbers, or one for both; (-1, -1) for anything else."""
    first, second = cast("list[object]", value) if _is_pair(value) else (value, value)
    if type(first) is not int or type(second) is not int:
        return -1, -1
    return first, second


def _is_pair(value: object) -> bool:
    return isinstance(value, list | tuple) and len(cast("list[object]", value)) == 2


def _input_shape(layer: Layer) -> tuple[object, ...]:
    """Height and width of the images that a model takes, each None where any will do; empty for another layer."""
    shape = layer.config.get("batch_shape", layer.config.get("batch_input_shape"))
    if layer.kind != "InputLayer" or not isinstance(shape, list | tuple):
        return ()
    return tuple(cast("list[object]", shape)[1:3])


def _shown(value: object) -> str:
    return f"{value}"[:20]
