"""A measured number and the table of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

_DIGITS = {"s": 2, "ms": 2, "MB": 1}


@dataclass(frozen=True, kw_only=True)
class Result:
    """One number with its unit, and what it may be at most (None: shown for comparison)."""

    variant: str
    what: str
    value: float
    unit: str
    budget: float | None = None

    @property
    def missed(self) -> bool:
        """True when it is above its budget."""
        return self.budget is not None and self.value > self.budget


def table_of(results: Sequence[Result], *, title: str) -> Table:
    """The numbers beside their budgets."""
    table = Table("variant", "what", "measured", "budget", "", title=title)
    for result in results:
        digits = _DIGITS.get(result.unit, 0)
        table.add_row(
            result.variant,
            result.what,
            f"{result.value:.{digits}f} {result.unit}",
            "" if result.budget is None else f"{result.budget:.{digits}f} {result.unit}".strip(),
            "" if result.budget is None else "MISSED" if result.missed else "kept",
        )
    return table
