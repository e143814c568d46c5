"""What is said of many images after they were run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from effnet.backends import Network
from effnet.batch.tally import Agreement, Broken, Share
from effnet.choices import Backend


@dataclass(frozen=True, kw_only=True)
class BatchReport:
    """The result of `predict_many` and of `evaluate`."""

    network: Network = field(repr=False)
    backend: Backend
    images: int
    broken: int
    """Images for which there is no answer: they cannot be read, or the network gives no numbers."""
    examples: tuple[Broken, ...]
    """The first of these."""
    top1: Share | None
    """Of the others, those whose class is the most probable one; None without classes."""
    top5: Share | None
    """The same for the five most probable ones; None also where the network has no more than five classes."""
    parity: Agreement | None
    """What a second backend gave; None without one."""
    notes: tuple[str, ...]
    output: Path | None
    taken_over: int
    """Images that an earlier run had done."""
    was_finished: bool
    """The table was there already, with all images: nothing was left to do."""
    seconds: float
    """From loading the network into its framework to the end of the table."""

    @property
    def rate(self) -> float:
        """Images a second of this run."""
        return (self.images - self.taken_over) / self.seconds if self.seconds > 0 else 0.0
