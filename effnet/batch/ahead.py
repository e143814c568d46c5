"""Images decoded by a few threads ahead of the network, in order, and only so far that memory stays bounded."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from numpy.typing import NDArray

from effnet.batch.listing import Item
from effnet.errors import InputError

Prepared = NDArray[Any] | InputError
"""A normalised image (H, W, C), or why there is none."""


def prepared(
    items: Iterable[Item], prepare: Callable[[Item], NDArray[Any]], *, threads: int, ahead: int
) -> Generator[tuple[Item, Prepared]]:
    """Every item with its image, in the order of the items; at most `ahead` are decoded or waiting.

    What `prepare` raises is raised here, but for `InputError`, which is about one image and given in its place.
    """

    def one(item: Item) -> Prepared:
        try:
            return prepare(item)
        except InputError as error:
            return error

    window: deque[tuple[Item, Future[Prepared]]] = deque()
    # Decoding ignores Pillow's warning of large images while it runs, for the whole process. Threads that do so at the
    # same time would switch it on for each other: here it stays off until all have ended.
    with warnings.catch_warnings(), ThreadPoolExecutor(threads, thread_name_prefix="effnet-decode") as pool:
        warnings.filterwarnings("ignore", message="Image size .* exceeds limit")
        try:
            for item in items:
                window.append((item, pool.submit(one, item)))
                if len(window) > ahead:
                    first, future = window.popleft()
                    yield first, future.result()
            while window:
                first, future = window.popleft()
                yield first, future.result()
        finally:
            for _, future in window:
                future.cancel()
