"""What the configuration of a Keras model says of a network's convolutions: strides, paddings, dilations.

Shapes do not tell them. People set the stride of the stem to 1 for small images, and take strides from late blocks, or
dilate these, for dense predictions.

Keras has no word for padding by one row less before than after, as TensorFlow does at stride 2 where a side is even:
keras.applications put a layer of zeros before such a convolution, by the size that Keras knows when it builds the
network. Source: keras/src/applications/imagenet_utils.py, correct_pad, version 3.15.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

from converters.keras_json import Layer
from converters.keras_models.classes import ZEROS
from converters.keras_models.image import Image
from converters.names.matching import Recognised
from converters.names.naming import entries
from effnet_core import FusedMBConv, NetworkSpec, Padding, Parameter, Role, without_classifier

_Pair = tuple[int, int]
"""Of height and width; or rows before and after."""
_NONE = (0, 0)
_Beside = Collection[tuple[Layer, frozenset[str]]]
"""The layers of a model, each with the names of those whose results it takes."""


class Convolution(NamedTuple):
    """A convolution of the network, as the configuration has it."""

    parameter: Parameter
    """Its kernel."""
    layer: Layer
    before: Sequence[Layer]
    """The layers whose results it takes."""

    @property
    def name(self) -> str:
        """Its layer's own name."""
        return self.layer.path.rpartition("/")[2]


class Geometry(NamedTuple):
    """What was read."""

    spec: NetworkSpec
    notes: tuple[str, ...]
    wrong: tuple[str, ...]
    """What no definition of this network can say, a few words each."""


def with_geometry(
    spec: NetworkSpec, convolutions: Sequence[Convolution], image: Image, *, may_be_symmetric: bool
) -> Geometry:
    """The network with the strides that its configuration says, and with symmetric padding where that is said and may
    be; `convolutions` are in forward order.
    """
    wrong: list[str] = []
    changed: list[str] = []
    for convolution in convolutions:
        config = convolution.layer.config
        if "dilation_rate" in config and _pair(config["dilation_rate"]) != (1, 1):
            wrong.append(f"the dilation {_shown(config['dilation_rate'])} in {convolution.name}")
        stride = stride_of(convolution, spec)
        if stride == _defined_stride(convolution.parameter, spec):
            continue
        other = _restrided(spec, convolution.parameter, stride)
        if other is None:
            wrong.append(f"the stride {_shown(config['strides'])} in {convolution.name}")
        else:
            spec = other
            changed.append(f"{stride[0]} in {convolution.name}")
    notes = [f"The model's configuration has the stride {', '.join(changed)}, and so the network is taken."]
    others = _padded_otherwise(spec, convolutions, image)
    if others and may_be_symmetric:
        symmetric = replace(spec, padding=Padding.SYMMETRIC)
        if not _padded_otherwise(symmetric, convolutions, image):
            spec, others = symmetric, []
            notes.append("The layers of the model's configuration pad symmetrically, and so the network is taken.")
    if others:
        more = f" and {len(others) - 2} more" if len(others) > 2 else ""
        wrong.append(f"another padding than {spec.padding} in {', '.join(others[:2])}{more}")
    return Geometry(spec=spec, notes=tuple(notes if changed else notes[1:]), wrong=tuple(wrong))


def convolutions_of(spec: NetworkSpec, recognised: Recognised, beside: _Beside) -> list[Convolution]:
    """The convolutions of a network among the layers of its model, in forward order."""
    layers = {_last(layer.path): layer for layer, _ in beside}
    before = {_last(layer.path): names for layer, names in beside}
    found: list[Convolution] = []
    for entry in entries(recognised.dialect, without_classifier(spec), scope=recognised.scope):
        name = _last(entry.name.rpartition(recognised.dialect.separator)[0])
        if entry.parameter.role in (Role.CONV, Role.DEPTHWISE) and name in layers:
            taken = [layers[one] for one in before[name] if one in layers]
            found.append(Convolution(parameter=entry.parameter, layer=layers[name], before=taken))
    return found


def stride_of(convolution: Convolution, spec: NetworkSpec) -> _Pair:
    """That of the configuration, or the definition's where it says none."""
    config = convolution.layer.config
    return _pair(config["strides"]) if "strides" in config else _defined_stride(convolution.parameter, spec)


def _defined_stride(parameter: Parameter, spec: NetworkSpec) -> _Pair:
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


def _restrided(spec: NetworkSpec, parameter: Parameter, stride: _Pair) -> NetworkSpec | None:
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


def _padded_otherwise(spec: NetworkSpec, convolutions: Sequence[Convolution], image: Image) -> list[str]:
    """The names of the convolutions whose zeros are not those of the network's padding."""
    wrong: list[str] = []
    by_size: list[_Padded] = []
    rows, columns = image.size
    for convolution in convolutions:
        stride, word = stride_of(convolution, spec), convolution.layer.config.get("padding")
        zeros = [amounts for layer in convolution.before if (amounts := _zeros(layer)) != (_NONE, _NONE)]
        larger = (convolution.parameter.shape[0] - 1) // 2
        depends = stride != (1, 1) and spec.padding is Padding.SAME
        if word == "same" and not zeros:
            fits = depends or stride == (1, 1)
        elif word == "valid" and len(zeros) <= 1:
            found = zeros[0] if zeros else (_NONE, _NONE)
            fits = depends or found == ((larger, larger), (larger, larger))
            if depends:
                by_size.append(_Padded(convolution.name, found, (_amounts(rows, larger), _amounts(columns, larger))))
        else:
            fits = word is None
        if not fits:
            wrong.append(convolution.name)
        if stride != (1, 1):
            rows, columns = _halved(rows), _halved(columns)
    return wrong + _wrong_for_size(by_size, image)


class _Padded(NamedTuple):
    """A convolution with stride, the zeros before it, and those that SAME takes at its size: rows, columns."""

    name: str
    found: tuple[_Pair, _Pair]
    wanted: tuple[_Pair, _Pair]


def _wrong_for_size(padded: Sequence[_Padded], image: Image) -> list[str]:
    wrong = [one.name for one in padded if one.found != one.wanted]
    if not wrong or image.is_certain:
        return wrong
    # Some size explains any row of odd and even sides; but where all seem odd, it may as well be another policy.
    sides = [side for one in padded for side in one.found]
    explained = all(before in (after - 1, after) and after == wanted for (before, after), wanted in _paired(padded))
    return [] if explained and any(before != after for before, after in sides) else wrong


def _paired(padded: Sequence[_Padded]) -> list[tuple[_Pair, int]]:
    return [(side, wanted[1]) for one in padded for side, wanted in zip(one.found, one.wanted, strict=True)]


def _amounts(side: object, larger: int) -> _Pair:
    """The zeros before and after a side that Keras knows to be odd, or any other."""
    return (larger, larger) if isinstance(side, int) and side % 2 else (larger - 1, larger)


def _halved(side: object) -> object:
    return (side + 1) // 2 if isinstance(side, int) else None


def _zeros(layer: Layer) -> tuple[_Pair, _Pair]:
    """Rows above and below, columns left and right, that a layer adds."""
    if layer.kind != ZEROS:
        return _NONE, _NONE
    value = layer.config.get("padding")
    rows, columns = cast("list[object]", value) if _is_pair(value) else (value, value)
    return _pair(rows), _pair(columns)


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _pair(value: object) -> _Pair:
    """Two whole numbers, or one for both; (-1, -1) for anything else."""
    first, second = cast("list[object]", value) if _is_pair(value) else (value, value)
    if type(first) is not int or type(second) is not int:
        return -1, -1
    return first, second


def _is_pair(value: object) -> bool:
    return isinstance(value, list | tuple) and len(cast("list[object]", value)) == 2


def _shown(value: object) -> str:
    return f"{value!a}"[:20]
