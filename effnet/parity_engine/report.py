"""A parity report for programs, as plain values, and for people, as sentences and the rows of a table."""

from __future__ import annotations

from typing import Any

from effnet.frameworks import TITLES
from effnet.parity_engine.compare import FLOOR, MULTIPLE, ROUNDOFF32, Comparison, LayerComparison, Limits
from effnet.parity_engine.diagnosis import Cause, Diagnosis, NearCause, Summary, WeightDifference
from effnet.parity_engine.hypotheses import Suspect
from effnet.parity_engine.run import ParityReport, Side
from effnet.plain import plain

COLUMNS = (
    "layer",
    "shape",
    "float64 max|a-b|",
    "of largest",
    "float32 max|a-b|",
    "of largest",
    "L2",
    "a's own 32-64",
    "b's own 32-64",
    "",
)

_TENSORS = 6
"""Of a layer that are named in a sentence."""
TENSOR_COLUMNS = ("tensor", "side", "shape", "mean", "std", "largest")


def document(report: ParityReport) -> dict[str, Any]:
    """The whole report for JSON: the verdict first, every layer in forward order."""
    comparison = report.comparison
    return {
        "agrees": report.agrees,
        "first_difference": comparison.first_difference,
        "limits": plain(comparison.limits),
        "images": comparison.images,
        "same_argmax": comparison.same_argmax,
        "a": plain(report.a),
        "b": plain(report.b),
        "device": plain(report.device),
        "input": report.input,
        "notes": plain(report.notes),
        "diagnosis": plain(report.diagnosis),
        "layers": plain(comparison.layers),
    }


def heading(report: ParityReport) -> list[str]:
    """What was compared, and what is to be known about it, in sentences."""
    notes = (*report.a.notes, *report.b.notes, *report.notes)
    return [
        f"A  {side_line(report.a)}",
        f"B  {side_line(report.b)}",
        f"input  {report.input}, on {report.device}",
        *(f"note  {note}" for note in dict.fromkeys(notes)),
    ]


def rows(comparison: Comparison, *, every_layer: bool) -> list[tuple[str, ...]]:
    """The table under `COLUMNS`. Without `every_layer`: stem, blocks, head, and the first layer that differs."""
    return [_row(layer) for layer in comparison.layers if every_layer or _is_shown(layer, comparison)]


def verdict(comparison: Comparison) -> list[str]:
    """The result in sentences."""
    lines: list[str] = []
    if comparison.same_argmax is not None:
        lines.append(f"The largest logit is the same class for {comparison.same_argmax} of {comparison.images} images.")
    dull = [layer.name for layer in comparison.layers if layer.agrees and layer.remarks]
    if dull:
        lines.append(
            f"Careful: {len(dull)} of {len(comparison.layers)} layers are constant or the same for every image, first "
            f"{dull[0]}; their agreement proves little."
        )
    within = _allowed(comparison)
    if comparison.agrees:
        lines.append(f"The same: all {len(comparison.layers)} layers agree within {within}.")
        return lines
    count = sum(not layer.agrees for layer in comparison.layers)
    lines.append(
        f"Different: {count} of {len(comparison.layers)} layers are apart by more than {within}; "
        f"the first is {comparison.first_difference}."
    )
    if all(layer.agrees64 for layer in comparison.layers):
        lines.append(_rounding(comparison))
    return lines


def tensor_rows(diagnosis: Diagnosis) -> list[tuple[str, ...]]:
    """The table under `TENSOR_COLUMNS`: what goes into the first layer that differs, its weights, what comes out."""
    sides = {"A": diagnosis.a, "B": diagnosis.b}
    tensors = [
        (letter, tensor) for letter, side in sides.items() for tensor in (side.before, *side.weights, side.after)
    ]
    order = list(dict.fromkeys(tensor.name for _, tensor in tensors))
    tensors.sort(key=lambda pair: order.index(pair[1].name))
    return [_tensor_row(letter, tensor) for letter, tensor in tensors]


def explanations(diagnosis: Diagnosis | None) -> list[str]:
    """What explains the first difference, or what was tried in vain, in sentences."""
    if diagnosis is None:
        return []
    if not diagnosis.tried:  # a layer without usual causes, or rounding
        return [_weights(diagnosis)] if diagnosis.weights else []
    if not diagnosis.causes:
        tried = ", ".join(diagnosis.tried)
        return [
            f"No usual cause explains {diagnosis.layer}; tried on either side: {tried}.",
            *([] if diagnosis.nearest is None else [_nearly(diagnosis.layer, diagnosis.nearest)]),
            _weights(diagnosis),
        ]
    return [_explanation(diagnosis.layer, cause) for cause in diagnosis.causes]


def _explanation(layer: str, cause: Cause) -> str:
    found = (
        f"Cause ({cause.suspect}): {layer} agrees to {cause.relative_l2:.0e} when {cause.side.upper()} {cause.words}"
    )
    if not cause.is_whole:
        return f"{found}. That explains this layer; the next that differs is {cause.next_difference}."
    if cause.suspect in (Suspect.AVERAGES, Suspect.NORMALISATION):
        return f"{found}. The whole network agrees then."
    return f"{found}{', in every layer' if cause.is_everywhere else ', there alone'}. The whole network agrees then."


def _nearly(layer: str, cause: NearCause) -> str:
    return (
        f"Nearly ({cause.suspect}): at {layer}, {cause.relative_l2:.0e} is left of {cause.before:.0e} when "
        f"{cause.side.upper()} {cause.words}. That is still more than rounding explains, so that something else is "
        "different there too."
    )


def _weights(diagnosis: Diagnosis) -> str:
    """Which tensors of the layer are not the same."""
    if diagnosis.folded is not None:
        return f"{diagnosis.folded.upper()} is folded, the other one is not, so that their weights cannot be the same."
    if not (diagnosis.a.weights or diagnosis.b.weights):
        return "It has no weights: it computes something else."
    if not diagnosis.weights:
        return "The weights that both were given for it are the same, bit for bit: it does something else with them."
    found = [_weight(item) for item in diagnosis.weights]
    more = len(found) - _TENSORS
    return f"Of its weights, {'; '.join(found[:_TENSORS])}{f'; and {more} tensors more' if more > 0 else ''}."


def _weight(item: WeightDifference) -> str:
    if item.only is not None:
        return f"{item.name} is in {item.only.upper()} alone"
    bad = (
        f" and holds NaN or Inf in {' and '.join(side.upper() for side in item.not_finite)}" if item.not_finite else ""
    )
    return f"{item.name} differs in {item.differing} of {item.size} values{bad}"


def _tensor_row(letter: str, tensor: Summary) -> tuple[str, ...]:
    shape = " x ".join(str(side) for side in tensor.shape)
    return (tensor.name, letter, shape, f"{tensor.mean:.6g}", f"{tensor.std:.6g}", f"{tensor.largest:.6g}")


def allowed(limit: float | None) -> str:
    """A limit of one precision in words."""
    return f"{MULTIPLE} times what rounding explains" if limit is None else f"{limit:g} of the largest value"


def _allowed(comparison: Comparison) -> str:
    limits = comparison.limits
    if limits == Limits():
        return f"{allowed(None)} in float64 and float32"
    return f"{allowed(limits.float64)} in float64, {allowed(limits.float32)} in float32"


def _rounding(comparison: Comparison) -> str:
    """What to make of layers that differ in float32 alone."""
    worst = max((layer for layer in comparison.layers if not layer.agrees), key=lambda layer: layer.float32.relative_l2)
    own = {"A": worst.own_a.relative_l2, "B": worst.own_b.relative_l2}
    text = (
        f"In float64 every layer agrees, so weights and architecture are the same: at {worst.name} the two are "
        f"{worst.float32.relative_l2:.1e} apart in float32, and {own['A']:.1e} and {own['B']:.1e} from their own "
        "float64 results. "
    )
    coarse = max(own, key=own.__getitem__)
    if own[coarse] > MULTIPLE * max(min(own.values()), FLOOR * ROUNDOFF32):
        return f"{text}{coarse} computes float32 with less precision than the other, as TF32 or bfloat16 would."
    return f"{text}--float32-limit allows more."


def side_line(side: Side) -> str:
    """One of the two, and what ran it."""
    return f"{side.name}: {side.network} ({side.format or 'in memory'}) in {TITLES[side.backend]}"


def _is_shown(layer: LayerComparison, comparison: Comparison) -> bool:
    parts = layer.name.split(".")
    return len(parts) < 3 or layer.name == comparison.first_difference


def _row(layer: LayerComparison) -> tuple[str, ...]:
    marks = [] if layer.agrees else ["differs"]
    return (
        layer.name,
        " x ".join(str(side) for side in layer.shape),
        f"{layer.float64.max_abs:.1e}",
        f"{layer.float64.relative:.1e}",
        f"{layer.float32.max_abs:.1e}",
        f"{layer.float32.relative:.1e}",
        f"{layer.float32.relative_l2:.1e}",
        f"{layer.own_a.relative:.1e}",
        f"{layer.own_b.relative:.1e}",
        "; ".join([*marks, *(remark.value for remark in layer.remarks)]),
    )
