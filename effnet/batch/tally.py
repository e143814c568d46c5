"""What the rows of many images add up to."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from effnet.batch.rows import Row
from effnet.choices import Backend

_Z = 1.959963984540054
"""The quantile of the normal distribution for 95 % on both sides."""
_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Share:
    """How many of so many images, and where the share of all such images lies with 95 % confidence."""

    count: int
    of: int
    share: float
    low: float
    """Wilson's score interval: Wilson, Probable Inference, JASA 22 (1927), 209-212."""
    high: float


def share(count: int, of: int) -> Share | None:
    """The share with its interval; None of no images."""
    if of == 0:
        return None
    part, square = count / of, _Z**2
    middle = (part + square / (2 * of)) / (1 + square / of)
    half = _Z / (1 + square / of) * sqrt(part * (1 - part) / of + square / (4 * of**2))
    return Share(count=count, of=of, share=part, low=max(0.0, middle - half), high=min(1.0, middle + half))


@dataclass(frozen=True, kw_only=True)
class Broken:
    """An image for which there is no answer."""

    path: str
    error: str


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Two backends over all images."""

    a: Backend
    b: Backend
    images: int
    """That both gave numbers for, or one of them did not."""
    largest: float
    """Largest difference of logits, as a part of the image's largest |logit|."""
    largest_path: str | None
    mean: float
    """Of the same over all images."""
    other_top1: int
    """Images whose most probable class is another one."""
    beyond: int
    """Images whose difference rounding does not explain."""
    examples: tuple[str, ...]
    """The first of these."""
    same_function: bool
    """Both agree on random input, in float32 and in float64."""

    @property
    def agrees(self) -> bool:
        """Rounding explains everything, and there is something that it explains."""
        return self.same_function and self.beyond == 0 and self.images > 0


class Tally:
    """Adds rows up, one at a time."""

    def __init__(self) -> None:
        self.images = 0
        self.broken = 0
        self.examples: list[Broken] = []
        self.top1 = 0
        self.top5 = 0
        self._compared = 0
        self._sum = 0.0
        self._largest: tuple[float, str | None] = (0.0, None)
        self._other_top1 = 0
        self._beyond: list[str] = []
        self._beyond_count = 0

    def add(self, row: Row) -> None:
        """One more image."""
        self.images += 1
        error, place = row["error"], row.get("rank")
        if isinstance(error, str):
            self.broken += 1
            if len(self.examples) < _SHOWN:
                self.examples.append(Broken(path=str(row["path"]), error=error))
            return
        if isinstance(place, int):
            self.top1 += place == 1
            self.top5 += place <= 5
        if "agrees" in row:
            self._add_comparison(row)

    def _add_comparison(self, row: Row) -> None:
        self._compared += 1
        relative, path = row["relative_difference"], str(row["path"])
        if isinstance(relative, float):
            self._sum += relative
            if relative > self._largest[0]:
                self._largest = (relative, path)
        self._other_top1 += row["other_class"] != row["class_1"]
        if row["agrees"] is not True:
            self._beyond_count += 1
            if len(self._beyond) < _SHOWN:
                self._beyond.append(path)

    def accuracy(self, top: int) -> Share | None:
        """Top-1 or top-5 of the images that could be classified."""
        return share(self.top1 if top == 1 else self.top5, self.images - self.broken)

    def agreement(self, a: Backend, b: Backend, *, same_function: bool) -> Agreement:
        """What both backends came to."""
        return Agreement(
            a=a,
            b=b,
            images=self._compared,
            largest=self._largest[0],
            largest_path=self._largest[1],
            mean=self._sum / self._compared if self._compared else 0.0,
            other_top1=self._other_top1,
            beyond=self._beyond_count,
            examples=tuple(self._beyond),
            same_function=same_function,
        )
