"""A graph while it is written: nodes in order, and the tensors that they hold.

Values are named after the layers that give them (`blocks.3.depthwise.conv`), tensors as the canonical parameters
(`blocks.3.depthwise.conv.kernel`), so that a viewer of ONNX files shows the network of the definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet_onnx._onnx import Attribute, NodeProto, node_of

Array = NDArray[Any]
NONE: Mapping[str, Attribute] = {}


@dataclass(frozen=True, kw_only=True)
class Value:
    """What a node gives: (N, C, H, W), or (N, C) where `is_flat`."""

    name: str
    channels: int
    size: tuple[int, int] | None
    """Height and width in pixels; None where they are free."""
    is_flat: bool = False


class Graph:
    """Takes nodes in forward order."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        """Of every number in the network."""
        self._nodes: list[NodeProto] = []
        self._tensors: dict[str, Array] = {}

    def add(self, operator: str, inputs: Sequence[str], name: str, attributes: Mapping[str, Attribute] = NONE) -> str:
        """A node with one output, which has its name."""
        self._nodes.append(node_of(operator, inputs, [name], name=name, attributes=attributes))
        return name

    def split(self, x: str, count: int, name: str) -> list[str]:
        """`count` equal parts along the second axis."""
        outputs = [f"{name}.{index}" for index in range(count)]
        attributes = {"axis": 1, "num_outputs": count}
        self._nodes.append(node_of("Split", [x], outputs, name=name, attributes=attributes))
        return outputs

    def tensor(self, name: str, array: Array) -> str:
        """A tensor of weights, in the type of the network."""
        self._tensors[name] = array.astype(self.dtype, order="C")
        return name

    def numbers(self, values: Iterable[int], name: str) -> str:
        """A vector of whole numbers, such as a shape."""
        self._tensors[name] = np.array(list(values), dtype=np.int64)
        return name

    def needed(self, outputs: Mapping[str, str]) -> tuple[list[NodeProto], dict[str, Array]]:
        """The nodes and tensors on which values depend; `outputs` gives the value of each name that they are to have.

        A value gets the name itself where no other output has it.
        """
        final: dict[str, str] = {}
        for name, value in outputs.items():
            if value in final:
                self.add("Identity", [value], name)
            else:
                final[value] = name
        for node in self._nodes:
            for values in (node.input, node.output):
                values[:] = [final.get(value, value) for value in values]
        wanted, kept = set(outputs), list[NodeProto]()
        for node in reversed(self._nodes):
            if wanted.intersection(node.output):
                kept.append(node)
                wanted.update(node.input)
        return kept[::-1], {name: array for name, array in self._tensors.items() if name in wanted}
