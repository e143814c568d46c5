"""What happens to every request: it is timed, counted and logged, and a failure becomes JSON."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import MutableMapping
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from effnet.serving.errors import Refused
from effnet.serving.logs import log
from effnet.serving.metrics import Metrics

_SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
_QUIET = ("/healthz", "/readyz", "/metrics")
"""Asked every few seconds by machines: not logged unless something is wrong."""


class Gate:
    """ASGI middleware around the whole application. `draining` is set when the server is about to end."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, state: MutableMapping[str, Any]) -> None:
        self._app = app
        self._metrics = metrics
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        status = 0

        async def reply(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_SECURITY]
                if self._state["draining"]:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        try:
            await self._app(scope, receive, reply)
        except Exception as error:
            log("failure", level=logging.ERROR, error=error, path=scope["path"])
            scope["failure"] = type(error).__name__
            if status == 0:
                await _error(500, "The server failed; its log says how.")(scope, receive, reply)
        self._finish(scope, status, time.monotonic() - started)

    def _finish(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.request(route, status, seconds)
        if scope["path"] in _QUIET and status == 200:
            return
        client = scope.get("client") or ("", 0)
        facts: dict[str, Any] = scope.get("facts", {})
        level = logging.INFO if status < 500 else logging.WARNING
        log(
            "request",
            level=level,
            method=scope["method"],
            path=scope["path"][:200],
            status=status,
            ms=round(seconds * 1e3, 1),
            client=client[0],
            **facts,
        )


def refusal(request: Request, error: Exception) -> Response:
    """What a client is told of a `Refused`."""
    if not isinstance(error, Refused):
        raise error
    request.app.state.metrics.refused(error.reason)
    note(request, reason=error.reason, error=str(error)[:300])
    return _error(error.status, str(error), retry_after=error.retry_after)


def note(request: Request, **facts: Any) -> None:
    """Add fields to the line of the log that this request will have."""
    request.scope.setdefault("facts", {}).update(facts)


def json_response(document: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A document as TensorFlow Serving lays it out."""
    text = json.dumps(document, indent=1) + "\n"
    return Response(text, status_code=status, media_type="application/json", headers=headers)


def _error(status: int, text: str, *, retry_after: int | None = None) -> Response:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return json_response({"error": text}, status=status, headers=headers)
