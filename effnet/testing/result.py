"""What a comparison of two models found, and the text of a test that failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from effnet.choices import Device, Precision
from effnet.parity_engine.compare import MULTIPLE, Comparison, LayerComparison
from effnet.plain import plain

_BEFORE, _AFTER = 3, 4
"""Rows that are shown before and after the first difference."""


@dataclass(frozen=True, kw_only=True)
class ParityResult:
    """Two models on the same input."""

    a: str
    b: str
    input: str
    device: Device
    precisions: tuple[Precision, ...]
    names: Mapping[str, tuple[str, str]]
    """What the table calls a result -> what each model calls it."""
    comparison: Comparison
    """With a single precision, both precisions of it are that one."""

    @property
    def agrees(self) -> bool:
        """True when every result agrees."""
        return self.comparison.agrees

    def document(self) -> dict[str, Any]:
        """Everything for JSON."""
        first = {"agrees": self.agrees, "first_difference": self.comparison.first_difference}
        return {**first, **plain(self)}

    def __str__(self) -> str:
        """The table around the first difference, and what to make of it."""
        layers, first = self.comparison.layers, self.comparison.first_difference
        lines = [
            f"A  {self.a}",
            f"B  {self.b}",
            f"input  {self.input}, on {self.device}, compared in {' and '.join(self.precisions)}",
            "",
        ]
        if first is None:
            return "\n".join([*lines, f"The same: all {len(layers)} results agree."])
        index = next(number for number, layer in enumerate(layers) if layer.name == first)
        shown = layers[max(0, index - _BEFORE) : index + 1 + _AFTER]
        left = len(layers) - len(shown)
        lines += _table([self._columns(), *(self._row(layer, layer is layers[index]) for layer in shown)])
        if left:
            lines.append(f"  and {left} more")
        count = sum(not layer.agrees for layer in layers)
        of_b = "" if self.names[first][1] == first else f" (B: {self.names[first][1]})"
        lines += ["", f"{count} of {len(layers)} results differ; the first is {first}{of_b}."]
        return "\n".join([*lines, *self._advice(layers[index], is_first=index == 0)])

    def _columns(self) -> tuple[str, ...]:
        distances = [f"{precision} |a-b| of largest" for precision in self.precisions]
        own = ("a's own 32-64", "b's own 32-64") if len(self.precisions) > 1 else ()
        return ("", "result", "shape", *distances, *own, "")

    def _row(self, layer: LayerComparison, is_first: bool) -> tuple[str, ...]:
        by_precision = {Precision.FLOAT32: layer.float32, Precision.FLOAT64: layer.float64}
        distances = [f"{by_precision[precision].relative:.1e}" for precision in self.precisions]
        own = (f"{layer.own_a.relative:.1e}", f"{layer.own_b.relative:.1e}") if len(self.precisions) > 1 else ()
        remarks = [*([] if layer.agrees else ["differs"]), *(remark.value for remark in layer.remarks)]
        shape = " x ".join(map(str, layer.shape))
        return (">" if is_first else "", layer.name, shape, *distances, *own, "; ".join(remarks))

    def _advice(self, layer: LayerComparison, *, is_first: bool) -> list[str]:
        if layer.float64.max_abs != layer.float64.max_abs or layer.float32.max_abs != layer.float32.max_abs:
            return ["It holds NaN or Inf: look at the weights and at the input."]
        if layer.agrees64:
            return [
                f"In float64 it agrees, so that what is left is rounding in float32: {layer.float32.relative:.1e} "
                f"apart, and from their own float64 results {layer.own_a.relative:.1e} and {layer.own_b.relative:.1e}. "
                "tolerance=Limits(float32=...) allows more."
            ]
        return [*self._of_one_part_in_float32(layer), *self._where_to_look(is_first=is_first)]

    def _of_one_part_in_float32(self, layer: LayerComparison) -> list[str]:
        if len(self.precisions) == 1 or layer.float64.relative_l2 > MULTIPLE * layer.explained32:
            return []
        return [
            "In float64 the two are as close as rounding to float32 leaves them: a part of one may compute in float32 "
            "whatever its type is (constants, casts; normalisations of Keras on PyTorch). precision='float32' compares "
            "in that type alone."
        ]

    def _where_to_look(self, *, is_first: bool) -> list[str]:
        if len(self.names) == 1:
            return ["Only outputs were compared. names={'layer of A': 'module of B', ...} tells where they part."]
        if is_first:
            return [
                "Nothing before it agrees. Look at its weights and their layout, at the padding of its convolution "
                "(another input size may tell), at the epsilon of its normalisation, and at what the model does to its "
                "input by itself; or name an earlier result."
            ]
        return [
            "What comes before it agrees: look at its own weights and their layout, its padding, its epsilon, its "
            "activation; or name the results between it and the one above."
        ]


class ParityError(AssertionError):
    """Two models differ. `result` has every number."""

    def __init__(self, result: ParityResult) -> None:
        first = result.comparison.first_difference
        super().__init__(f"The models part at {first}.\n\n{result}")
        self.result = result


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
