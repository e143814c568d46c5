"""What to say when the tensors at hand are not the tensors of the network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import NamedTuple

from effnet_core.errors import EffnetError
from effnet_core.parameters import Parameter

SHOWN = 7
"""Tensors that a message lists of each kind; the attributes of the error hold all."""
ADVICE = "Check the variant, the width and depth coefficients, the number of classes and the naming of the file."
_NAME_LENGTH = 120
_NEAR_POOL = 500
_NO_NAMES: Mapping[str, str] = MappingProxyType({})


class Misshapen(NamedTuple):
    """A tensor of the right name and the wrong shape."""

    name: str
    expected: tuple[int, ...]
    found: tuple[int, ...]


class CheckpointMismatch(EffnetError):
    """Tensors are missing, unexpected or of another shape; the message lists all of them at once."""

    def __init__(
        self,
        *,
        missing: Iterable[str] = (),
        unexpected: Iterable[str] = (),
        misshapen: Iterable[Misshapen] = (),
        foreign: Mapping[str, str] = _NO_NAMES,
        subject: str = "The checkpoint",
        network: str = "the network",
        advice: str = ADVICE,
    ) -> None:
        """`missing` and `misshapen` hold canonical names, `unexpected` the names of the file.

        `foreign` gives the file's name of a canonical one, where the two differ: messages show both.
        """
        self.missing = tuple(missing)
        self.unexpected = tuple(unexpected)
        self.misshapen = tuple(misshapen)
        self.foreign = dict(foreign)
        self._subject, self._network = subject, network
        super().__init__("\n".join((f"{subject} does not fit {network}.", *self._lines(), advice)))

    def with_advice(self, advice: str) -> CheckpointMismatch:
        """The same differences, with another last line."""
        return CheckpointMismatch(
            missing=self.missing,
            unexpected=self.unexpected,
            misshapen=self.misshapen,
            foreign=self.foreign,
            subject=self._subject,
            network=self._network,
            advice=advice,
        )

    def _lines(self) -> list[str]:
        pool = [name for name in self.unexpected if len(name) <= _NAME_LENGTH][:_NEAR_POOL]
        missing = [f"{self._named(name)}{self._near(name, pool)}" for name in self.missing[:SHOWN]]
        misshapen = [
            f"{self._named(item.name)}: expected {item.expected}, found {_shown(item.found)}"
            for item in self.misshapen[:SHOWN]
        ]
        unexpected = [_printable(name) for name in self.unexpected[:SHOWN]]
        return [
            *_listed("Missing", missing, len(self.missing)),
            *_listed("Unexpected", unexpected, len(self.unexpected)),
            *_listed("Of another shape", misshapen, len(self.misshapen)),
        ]

    def _named(self, name: str) -> str:
        other = self.foreign.get(name, name)
        return name if other == name else f"{_printable(other)} ({name})"

    def _near(self, name: str, pool: Sequence[str]) -> str:
        near = get_close_matches(self.foreign.get(name, name), pool, n=1, cutoff=0.8)
        return f"; near: {_printable(near[0])}" if near else ""


def check_state(
    parameters: Iterable[Parameter],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    foreign: Mapping[str, str] = _NO_NAMES,
    subject: str = "The checkpoint",
    network: str = "the network",
    advice: str = ADVICE,
) -> None:
    """Compare the shapes at hand, by canonical name, with those of the network's tensors.

    Names in `shapes` that no parameter has are unexpected; `advice` ends the message. Raises `CheckpointMismatch` with
    every difference.
    """
    expected = {parameter.name: parameter.shape for parameter in parameters}
    missing = [name for name in expected if name not in shapes]
    unexpected = [foreign.get(name, name) for name in shapes if name not in expected]
    misshapen = [
        Misshapen(name=name, expected=shape, found=tuple(shapes[name]))
        for name, shape in expected.items()
        if name in shapes and tuple(shapes[name]) != shape
    ]
    if missing or unexpected or misshapen:
        raise CheckpointMismatch(
            missing=missing,
            unexpected=unexpected,
            misshapen=misshapen,
            foreign=foreign,
            subject=subject,
            network=network,
            advice=advice,
        )


def _listed(title: str, lines: Sequence[str], count: int) -> list[str]:
    if not count:
        return []
    more = [f"  ... and {count - len(lines)} more"] if count > len(lines) else []
    return [f"{title} ({count}):", *(f"  {line}" for line in lines), *more]


def _printable(name: str) -> str:
    """A name from a file, fit for a terminal: no control characters, not endless."""
    short = name if len(name) <= _NAME_LENGTH else f"{name[:_NAME_LENGTH]}..."
    return short if short.isprintable() else repr(short)


def _shown(shape: tuple[int, ...]) -> str:
    return _printable(str(shape))
