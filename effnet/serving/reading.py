"""The body of a request, within the limits of size, memory and time."""

from __future__ import annotations

import asyncio

from fastapi import Request
from starlette.requests import ClientDisconnect

from effnet.serving.errors import Overloaded, Refused, TooLarge, TooSlowToRead
from effnet.serving.limits import Limits


class Bodies:
    """All bodies that are in memory."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = 0

    async def read(self, request: Request) -> bytearray:
        """The whole body; `release` says that it is no longer needed.

        Raises `TooLarge`, `TooSlowToRead`, `Overloaded` where all bodies together are too large, and `Refused` for a
        compressed one, and when the client went away.
        """
        encoding = request.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise Refused("The request is compressed (Content-Encoding); expected plain JSON. Send it as it is.")
        self._check(_announced(request))
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.read_timeout):
                async for chunk in request.stream():
                    self._check(len(body) + len(chunk))
                    self._hold(len(chunk))
                    body += chunk
        except TimeoutError:
            self.release(body)
            raise TooSlowToRead(
                f"{len(body)} bytes arrived in {self._limits.read_timeout:g} s (--read-timeout); expected the whole "
                "request. Try again on a faster line, or with a smaller image."
            ) from None
        except ClientDisconnect:
            self.release(body)
            raise Refused("The client went away before its request had arrived.") from None
        except BaseException:
            self.release(body)
            raise
        return body

    def release(self, body: bytearray) -> None:
        """Give back the room of a body."""
        self._held -= len(body)

    def _check(self, size: int) -> None:
        if size > self._limits.body:
            raise TooLarge(
                f"The request has {size:,} bytes or more; at most {self._limits.body:,} are read (--max-body). "
                "Send fewer or smaller images."
            )

    def _hold(self, size: int) -> None:
        if self._held + size > self._limits.bodies:
            raise Overloaded(f"Requests of {self._held:,} bytes are being read or answered. Try again in a second.")
        self._held += size


def _announced(request: Request) -> int:
    text = request.headers.get("content-length", "0")
    return int(text) if text.isascii() and text.isdigit() else 0
