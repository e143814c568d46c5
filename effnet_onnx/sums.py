"""Convolutions in float64 as sums of shifted products, because ONNX Runtime convolves float32 alone.

y(p) = sum over the places d of the kernel of kernel(d) * padded(stride * p + d): a slice of the padded image for each
place, times its weights. The same numbers in another order, many times as slow.

Source: onnxruntime docs/OperatorKernels.md, CPUExecutionProvider: Conv has tensor(float).
"""

from __future__ import annotations

from itertools import product

from effnet_core import Padding
from effnet_onnx.graph import Array, Graph


def convolve(
    graph: Graph, x: str, kernel: Array, name: str, *, stride: int, padding: Padding, is_depthwise: bool, label: str
) -> str:
    """The convolution `name` of the value `x` with a kernel (out, in, height, width), or (channels, 1, height, width).

    `label` is the canonical name of the kernel.
    """
    side = int(kernel.shape[2])
    slices = _slices(graph, x, name, side=side, stride=stride, padding=padding)
    terms: list[str] = []
    for (row, column), part in slices.items():
        weights = kernel[:, :, row, column]  # (out, in)
        if is_depthwise:
            tensor = graph.tensor(f"{label}.{row}.{column}", weights[:, :, None])  # (channels, 1, 1)
            terms.append(graph.add("Mul", [part, tensor], f"{name}.product.{row}.{column}"))
        else:
            tensor = graph.tensor(f"{label}.{row}.{column}", weights)
            rule = {"equation": "oi,nihw->nohw"}
            terms.append(graph.add("Einsum", [tensor, part], f"{name}.product.{row}.{column}", rule))
    return graph.add("Sum", terms, f"{name}.sum")


def _slices(graph: Graph, x: str, name: str, *, side: int, stride: int, padding: Padding) -> dict[tuple[int, int], str]:
    """For each place of the kernel the pixels that it meets, (N, C, out height, out width)."""
    if side == 1 and stride == 1:
        return {(0, 0): x}

    def number(value: int) -> str:
        return graph.numbers([value], f"{name}.number.{value}")

    def computed(operator: str, a: str, b: str, what: str) -> str:
        return graph.add(operator, [a, b], f"{name}.{what}")

    shape = graph.add("Shape", [x], f"{name}.shape", {"start": 2, "end": 4})
    # The amounts and sizes of `effnet_core.padding`, for height and width at once.
    if padding is Padding.SAME:
        rounded = computed("Add", shape, number(stride - 1), "rounded")
        last = computed("Sub", computed("Div", rounded, number(stride), "out"), number(1), "last")
        reach = computed("Add", computed("Mul", last, number(stride), "span"), number(side), "reach")
        total = computed("Max", computed("Sub", reach, shape, "lacking"), number(0), "total")
        before = computed("Div", total, number(2), "before")
        after = computed("Sub", total, before, "after")
    else:
        before = after = graph.numbers([(side - 1) // 2] * 2, f"{name}.amount")
        margin = computed("Add", shape, number(2 * ((side - 1) // 2) - side), "margin")
        last = computed("Div", margin, number(stride), "last")
    none = graph.numbers([0, 0], f"{name}.none")
    pads = graph.add("Concat", [none, before, none, after], f"{name}.pads", {"axis": 0})
    padded = graph.add("Pad", [x, pads], f"{name}.padded")
    width = computed("Add", computed("Mul", last, number(stride), "reached"), number(1), "width")
    axes, steps = graph.numbers([2, 3], f"{name}.axes"), graph.numbers([stride, stride], f"{name}.steps")
    found: dict[tuple[int, int], str] = {}
    for row, column in product(range(side), repeat=2):
        place = f"{name}.slice.{row}.{column}"
        starts = graph.numbers([row, column], f"{place}.starts")
        ends = graph.add("Add", [width, starts], f"{place}.ends")
        found[row, column] = graph.add("Slice", [padded, starts, ends, axes, steps], place)
    return found
