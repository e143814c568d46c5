"""What a checkpoint holds besides the tensors that are taken, by kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_EXAMPLES = 2
_LONGEST = 120


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Entries of a file that were not taken, for one reason."""

    reason: str
    count: int
    examples: tuple[str, ...]
    """The first names."""

    def __str__(self) -> str:
        more = " and others" if self.count > len(self.examples) else ""
        return f"{self.count}: {self.reason} ({', '.join(map(_shown, self.examples))}{more})"


def left_out(ignored: Mapping[str, str]) -> tuple[LeftOut, ...]:
    """Names with their reasons, grouped by reason, in the order in which the reasons come up."""
    names: dict[str, list[str]] = {}
    for name, reason in ignored.items():
        names.setdefault(reason, []).append(name)
    return tuple(
        LeftOut(reason=reason, count=len(found), examples=tuple(found[:_EXAMPLES])) for reason, found in names.items()
    )


def _shown(name: str) -> str:
    text = name if name.isprintable() else ascii(name)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
