"""What a client or the owner of a model directory can be told."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from effnet.errors import InputError
from effnet_core import EffnetError

_Result = TypeVar("_Result")


class UnservableModel(EffnetError):
    """A directory holds no model that can be served, or one that cannot be loaded."""


class Refused(EffnetError):
    """A request is answered with an error; the text goes to the client."""

    status = 400
    retry_after: int | None = None
    """Seconds after which another attempt makes sense."""
    reason = "bad_request"
    """One word for logs and metrics."""


class NotFound(Refused):
    """There is no such model, version or page."""

    status = 404
    reason = "not_found"


class WrongMethod(Refused):
    """The address is there, and takes another method."""

    status = 405
    reason = "wrong_method"


class TooSlowToRead(Refused):
    """The request did not arrive in time."""

    status = 408
    reason = "read_timeout"


class TooLarge(Refused):
    """The request is larger than the server reads."""

    status = 413
    reason = "too_large"


class Overloaded(Refused):
    """The server has as much to do as it takes on."""

    status = 503
    reason = "overloaded"

    def __init__(self, text: str, *, retry_after: int = 1) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class TooLate(Refused):
    """The answer would come later than the server lets a request wait."""

    status = 504
    reason = "answer_timeout"


class RefusedBatch(Exception):
    """A backend refused a whole batch for something in one of its images; alone each of them says whether it is it."""


async def numbered(answer: Awaitable[_Result], index: int, count: int) -> _Result:
    """What an image of a request gives. Its `InputError` says which of them it is, where there are several."""
    try:
        return await answer
    except InputError as error:
        if count == 1:
            raise
        raise InputError(f"Image {index} of {count}, the first being 0: {error}") from None
