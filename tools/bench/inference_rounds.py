"""The rounds of `tools/bench_inference.py` and what came out of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from statistics import median, quantiles
from typing import Any

import numpy as np

from bench.inference import TORCH, Contender
from bench.inference_processes import Process

COUNT = 2
"""Batches on the clock each time that it is a contender's turn, behind one off the clock."""

AGREEMENT = 1e-4
"""Logits may differ by this part of the largest: float32 rounds by a hundredth of it, a wrong network by much more."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What one contender took for one batch."""

    contender: Contender
    batch: int
    seconds: tuple[float, ...]
    distance: float
    """Between its first logits and those of the first contender, as a part of the largest of these."""
    floor: float
    """Seconds."""

    @property
    def is_wrong(self) -> bool:
        """Whether it computes something else, which makes its time worthless."""
        return not self.contender.has_other_weights and not self.distance <= AGREEMENT

    @property
    def median(self) -> float:
        """Seconds."""
        return median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Seconds."""
        first, _, third = quantiles(self.seconds, n=4, method="inclusive")
        return first, third

    def is_behind(self, peer: Timing) -> bool:
        """Whether it is slower by more than the spread of both: the middle halves do not meet."""
        return self.quartiles[0] > peer.quartiles[1]


def timings(
    contenders: Sequence[Contender], processes: Mapping[str, Process], *, batches: Sequence[int], rounds: int
) -> Iterator[Timing]:
    """Every contender that takes part; the others and their reasons go to the standard error."""
    for batch in batches:
        logits = dict(_warmed(contenders, processes, batch))
        floor = processes[TORCH].ask({"floor": batch})
        first = next(iter(logits.values()))
        seconds: dict[Contender, list[float]] = {contender: [] for contender in logits}
        for number in range(rounds):
            # Another order each time, so that nobody always follows the same neighbour.
            for contender, taken in Random(number).sample(list(seconds.items()), len(seconds)):
                question = {"name": contender.name, "batch": batch, "count": COUNT}
                taken.extend(processes[contender.runtime].ask(question)["seconds"])
        for contender, taken in seconds.items():
            yield Timing(
                contender=contender,
                batch=batch,
                seconds=tuple(taken),
                distance=float(np.abs(logits[contender] - first).max() / np.abs(first).max()),
                floor=floor["seconds"],
            )


def _warmed(
    contenders: Sequence[Contender], processes: Mapping[str, Process], batch: int
) -> Iterator[tuple[Contender, np.ndarray]]:
    """Built, run once, and their logits; the processes at the same time, since compiling takes a minute."""
    with ThreadPoolExecutor() as threads:
        answers = {
            runtime: threads.submit(_asked, [one for one in contenders if one.runtime == runtime], process, batch)
            for runtime, process in processes.items()
        }
        found = {contender: answer for future in answers.values() for contender, answer in future.result()}
    for contender in contenders:
        if "skipped" in found[contender]:
            print(f"{contender.label} does not take part: {found[contender]['skipped']}", file=sys.stderr)
        else:
            yield contender, np.array(found[contender]["logits"])


def _asked(contenders: Sequence[Contender], process: Process, batch: int) -> list[tuple[Contender, dict[str, Any]]]:
    found = list[tuple[Contender, dict[str, Any]]]()
    for contender in contenders:
        found.append((contender, process.ask({"name": contender.name, "batch": batch})))
        print(f"{contender.label}, batch {batch}: prepared", file=sys.stderr)
    return found
