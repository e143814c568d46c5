"""What the server takes on at most."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from effnet_core import InvalidOption

MEGABYTE = 2**20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on size, number and time; all of them positive, `max_wait` may be 0. Raises `InvalidOption` otherwise."""

    max_batch: int = 8
    """Images that the network sees at once. Larger images than the network was made for come fewer at a time."""
    max_wait: float = 0.005
    """Seconds that an image waits at most for others, once the network is free."""
    queue: int = 256
    """Images of a model that are being prepared, waiting or being run. Beyond: 503."""
    requests: int = 64
    """Requests that are answered at the same time, after they were read. Beyond: 503."""
    connections: int = 1000
    """Open connections. Beyond: 503."""
    body: int = 32 * MEGABYTE
    """Bytes of one request. Beyond: 413."""
    lists: int = 4 * MEGABYTE
    """Lists and objects in the JSON of one request; an image that is sent as numbers has one for each pixel. 400."""
    bodies: int = 256 * MEGABYTE
    """Bytes of all requests that are in memory. Beyond: 503."""
    read_timeout: float = 30.0
    """Seconds until a request must have arrived, from its first byte or, on a new connection, from the start. 408."""
    answer_timeout: float = 30.0
    """Seconds from the arrival of a whole request to its answer. Beyond: 504."""
    drain: float = 0.5
    """Seconds after a signal to end in which requests on open connections are still taken."""
    shutdown: float = 30.0
    """Seconds after which requests that are still being answered are given up at the end."""
    pixels: int = 50_000_000
    """Pixels of an image file; checked before they are decoded. Beyond: 400."""
    input_pixels: int = 1024 * 1024
    """Height times width of an image that is sent as numbers. Beyond: 400."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name in ("max_wait", "drain") else 1e-9
            if not math.isfinite(value) or value < least:
                raise InvalidOption(f"The limit {field.name} is {value}; expected a positive number.")
        if self.queue < self.max_batch:
            raise InvalidOption(
                f"A queue of {self.queue} images never fills a batch of {self.max_batch}. Make it at least as long."
            )
