"""Images of several requests, put together for the network.

One thread runs one batch at a time. While it runs, images gather. A batch is closed when it is full, when it has as
many images as are expected (all that are in the house, or as many as the last batch had), or when its oldest image has
waited for `max_wait` seconds. So a lone client never waits for others.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from effnet.errors import InputError
from effnet.serving.backend import Group, Prepared
from effnet.serving.errors import RefusedBatch, numbered
from effnet.serving.limits import Limits
from effnet.serving.response import Row

Run = Callable[[Group, Sequence[Any]], Sequence[Row]]


@dataclass(frozen=True, kw_only=True)
class Done:
    """The outputs for one image, and how long it took to have them."""

    row: Row
    waited: float
    """Seconds from the end of its preparation to the start of its batch."""
    ran: float
    """Seconds that its batch ran."""
    batch: int
    """Images in its batch."""


class Observer(Protocol):
    """Who wants to know of batches."""

    def batch(self, size: int, seconds: float) -> None:
        """A batch was run."""
        ...


@dataclass(eq=False)
class _Waiting:
    value: Any
    answer: asyncio.Future[Done]
    since: float = field(default_factory=time.monotonic)


class Batcher:
    """The queue of one model and the task that empties it. Lives in one event loop."""

    def __init__(self, run: Run, *, limits: Limits, usual_pixels: int, expected: Callable[[], int], observer: Observer):
        """`expected` tells how many images are in the house; `usual_pixels` what an image of the usual size has."""
        self._run = run
        self._limits = limits
        self._usual_pixels = usual_pixels
        self._expected = expected
        self._observer = observer
        self._waiting: dict[Group, deque[_Waiting]] = {}
        self._last = 1
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="effnet-batch")
        self._task = asyncio.create_task(self._work())

    async def answer(self, images: Sequence[Prepared]) -> list[Done]:
        """The outputs for images of one request, which may travel in several batches.

        Raises `InputError` for an image that the model refuses, and whatever else the model fails with.
        """
        loop = asyncio.get_running_loop()
        places = [_Waiting(value=image.value, answer=loop.create_future()) for image in images]
        for image, place in zip(images, places, strict=True):
            self._waiting.setdefault(image.group, deque()).append(place)
        self._arrived.set()
        try:
            return [await numbered(place.answer, index, len(places)) for index, place in enumerate(places)]
        finally:
            # After a failure or when nobody waits any more: what has not been started is not run.
            for place in places:
                if not place.answer.cancel() and not place.answer.cancelled():
                    place.answer.exception()  # seen: another image of the request failed first

    async def close(self) -> None:
        """Stop the task and the thread."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._thread.shutdown()

    async def _work(self) -> None:
        while True:
            group = self._oldest()
            if group is None:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            await self._gather(group)
            batch = self._take(group)
            if batch:
                await self._answer(group, batch)

    def _oldest(self) -> Group | None:
        """The group whose first image waits longest; those that nobody waits for any more are forgotten."""
        for group, places in list(self._waiting.items()):
            while places and places[0].answer.done():
                places.popleft()
            if not places:
                del self._waiting[group]
        return min(self._waiting, key=lambda group: self._waiting[group][0].since, default=None)

    async def _gather(self, group: Group) -> None:
        places = self._waiting[group]
        until = places[0].since + self._limits.max_wait
        while len(places) < self._capacity(group) and len(places) < max(self._last, self._expected()):
            rest = until - time.monotonic()
            if rest <= 0:
                return
            self._arrived.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), rest)

    def _capacity(self, group: Group) -> int:
        """Images of a batch: fewer where they are larger than usual, so that memory stays bounded."""
        pixels = group.shape[0] * group.shape[1] if group.shape else self._usual_pixels
        return max(1, min(self._limits.max_batch, self._limits.max_batch * self._usual_pixels // pixels))

    def _take(self, group: Group) -> list[_Waiting]:
        places, batch = self._waiting[group], list[_Waiting]()
        while places and len(batch) < self._capacity(group):
            place = places.popleft()
            if not place.answer.done():
                batch.append(place)
        return batch

    async def _answer(self, group: Group, batch: Sequence[_Waiting]) -> None:
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._thread, self._rows, group, [place.value for place in batch])
        ran = time.monotonic() - started
        self._last = len(batch)
        for place, row in zip(batch, found, strict=True):
            if place.answer.done():
                continue
            if isinstance(row, BaseException):
                place.answer.set_exception(row)
            else:
                done = Done(row=row, waited=started - place.since, ran=ran, batch=len(batch))
                place.answer.set_result(done)
        self._observer.batch(len(batch), ran)

    def _rows(self, group: Group, values: Sequence[Any]) -> Sequence[Row | Exception]:
        """The outputs of each image, or why there are none. One bad image does not spoil its neighbours."""
        try:
            return self._run(group, values)
        except RefusedBatch as error:
            if len(values) == 1:
                return [InputError(f"The image cannot be used: {error}.")]
            half = len(values) // 2
            return [*self._rows(group, values[:half]), *self._rows(group, values[half:])]
        except Exception as error:
            return [error for _ in values]
