"""Parts of a listing run by the network of this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from itertools import chain

from effnet.batch.listing import Item
from effnet.batch.options import Plan
from effnet.batch.rows import Row
from effnet.batch.worker import Worker

Pending = Iterable[tuple[int, list[Item]]]
Done = Generator[tuple[int, list[Row]]]


def run_here(plan: Plan, numbers: Mapping[str, int] | None, pending: Pending, *, seen: Callable[[Row], None]) -> Done:
    """Every part with its rows, in order; `seen` is called with each row as soon as there is one."""
    waiting = iter(pending)
    first = next(waiting, None)
    if first is None:
        return  # nothing is left to do: the network is not even loaded
    sizes: deque[tuple[int, int]] = deque()

    def items() -> Iterator[Item]:
        for number, part in chain([first], waiting):
            sizes.append((number, len(part)))
            yield from part

    held: list[Row] = []
    with Worker(plan, numbers) as worker, closing(worker.rows(items())) as rows:
        for row in rows:
            seen(row)
            held.append(row)
            if len(held) == sizes[0][1]:
                yield sizes.popleft()[0], held
                held = []
