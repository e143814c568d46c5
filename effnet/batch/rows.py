"""The columns of the table, and the row of one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from numpy.typing import NDArray

from effnet.batch.agreement import Verdict
from effnet.batch.listing import Item
from effnet.batch.options import Plan
from effnet.guessing import best, rank
from effnet.labels import label

Value = str | int | float | bool | None
Row = dict[str, Value]
"""The values by column; those of a column that says nothing of this image are None."""


class Kind(StrEnum):
    """What a column holds."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    TRUTH = "truth"


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The table's columns in order, and what fills them."""

    kinds: Mapping[str, Kind]
    has_labels: bool
    """The network has ImageNet's classes, so that classes have names."""

    @property
    def empty(self) -> Row:
        """A row of nothing."""
        return dict.fromkeys(self.kinds)


def columns(plan: Plan, *, has_truth: bool) -> Columns:
    """Those of a plan; with `has_truth` also what the image is and where the network ranks that."""
    has_labels = _label(plan, 0) is not None
    kinds = {"path": Kind.TEXT, "error": Kind.TEXT}
    if has_truth:
        kinds |= {"true_class": Kind.INTEGER}
        kinds |= {"true_label": Kind.TEXT} if has_labels else {}
        kinds |= {"rank": Kind.INTEGER}
    for place in range(1, plan.top + 1):
        kinds |= {f"class_{place}": Kind.INTEGER}
        kinds |= {f"label_{place}": Kind.TEXT} if has_labels else {}
        kinds |= {f"probability_{place}": Kind.NUMBER}
    if plan.parity is not None:
        kinds |= {
            "other_class": Kind.INTEGER,
            "difference": Kind.NUMBER,
            "relative_difference": Kind.NUMBER,
            "agrees": Kind.TRUTH,
        }
    return Columns(kinds=kinds, has_labels=has_labels)


def without_answer(layout: Columns, plan: Plan, item: Item, *, truth: int | None, error: str) -> Row:
    """The row of an image for which there is no answer."""
    return layout.empty | {"path": item.name, "error": error} | _of_truth(layout, plan, truth)


def answer(
    layout: Columns, plan: Plan, item: Item, *, truth: int | None, logits: NDArray[Any], verdict: Verdict | None
) -> Row:
    """The row of an image with the network's logits (classes)."""
    row = layout.empty | {"path": item.name} | _of_truth(layout, plan, truth)
    if truth is not None:
        row["rank"] = rank(logits, truth)
    for place, guess in enumerate(best(logits, plan.top, label_offset=plan.label_offset), start=1):
        row[f"class_{place}"], row[f"probability_{place}"] = guess.index, guess.probability
        if layout.has_labels:
            row[f"label_{place}"] = guess.label
    if verdict is not None:
        row["other_class"], row["agrees"] = verdict.other_class, verdict.agrees
        row["difference"], row["relative_difference"] = verdict.difference, verdict.relative
    return row


def values(layout: Columns, row: Row) -> list[Value]:
    """The row in the order of the columns."""
    return [row[name] for name in layout.kinds]


def named(layout: Columns, found: Sequence[Value]) -> Row:
    """The row of such values."""
    return dict(zip(layout.kinds, found, strict=True))


def _of_truth(layout: Columns, plan: Plan, truth: int | None) -> Row:
    if truth is None:
        return {}
    row: Row = {"true_class": truth}
    if layout.has_labels:
        row["true_label"] = _label(plan, truth)
    return row


def _label(plan: Plan, index: int) -> str | None:
    return label(index, num_classes=plan.num_classes, label_offset=plan.label_offset)
