"""The process: uvicorn, a limit on how long a request may take to arrive, an end that finishes what was accepted."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import NoReturn, cast

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from effnet.serving.app import create_app
from effnet.serving.errors import UnservableModel
from effnet.serving.limits import Limits
from effnet.serving.logs import log
from effnet.serving.models import Loaded

_TURNS = 3


def serve(loaded: Sequence[Loaded], *, address: socket.socket, limits: Limits, started: Callable[[str], None]) -> None:
    """Answer requests until SIGTERM or SIGINT; then finish what was accepted and return.

    `address` is what `take_address` gave; `started` is told it. Raises `UnservableModel` where another process came
    to listen there.
    """
    app = create_app(loaded, limits)
    config = uvicorn.Config(
        app,
        http=_protocol(limits),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=limits.connections,
        timeout_graceful_shutdown=max(1, round(limits.shutdown)),
    )
    try:
        address.listen(1024)
    except OSError as error:
        host, port = address.getsockname()[:2]
        raise _taken(host, port, error) from None
    started(_address(address))
    try:
        _Server(config, drain=limits.drain, gate=app.state.gate).run(sockets=[address])
    finally:
        log("ended")


def end_on_signals() -> None:
    """Let SIGTERM and SIGINT end the process with exit code 0, also while models are loaded."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    sys.exit(0)


def take_address(host: str, port: int) -> socket.socket:
    """A socket at that address, which refuses connections until `serve` has it; `port` 0 takes a free one.

    Raises `UnservableModel` where the address is taken or there is none such.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio looks at the protocol before it sets TCP_NODELAY; without that, answers wait 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise _taken(host, port, error) from None
    return listener


def _taken(host: str, port: int, error: OSError | OverflowError) -> UnservableModel:
    reason = (error.strerror if isinstance(error, OSError) else None) or error
    return UnservableModel(
        f"{host}:{port} cannot be listened on: {reason}. Name another --port (0 takes a free one) or --host."
    )


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


class _Server(uvicorn.Server):
    """Ends in order: no new connections, open ones may still ask for a moment, then what is being answered."""

    def __init__(self, config: uvicorn.Config, *, drain: float, gate: dict[str, bool]) -> None:
        super().__init__(config)
        self._drain = drain
        self._gate = gate

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        log("ending", connections=len(self.server_state.connections), answering=len(self.server_state.tasks))
        # The connections that wait already are accepted: those that a turn of the loop finds, behind this in that turn.
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        # From now on every answer closes its connection, and /readyz says no. Not before: who is told to connect anew
        # while the door is closing may be reset by the system, neither accepted nor refused.
        self._gate["draining"] = True
        # A client on an open connection may be sending just now: closing at once would lose its request.
        until = asyncio.get_running_loop().time() + self._drain
        while self.server_state.connections and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)


def _protocol(limits: Limits) -> type[asyncio.Protocol]:
    """HTTP of uvicorn with a time limit: `read_timeout` from a connection's start, or from a request's first byte."""

    class TimedProtocol(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  # as uvicorn's own
            super().connection_made(transport)
            self._start()

        def data_received(self, data: bytes) -> None:
            if self._timer is None:
                self._start()
            super().data_received(data)
            # While a head or a body is arriving, also one that was answered before its end, the clock runs.
            if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
                self._stop()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def send_400_response(self, msg: str) -> None:
            """What is no HTTP gets an answer of the same form as everything else."""
            self.transport.write(_plain_answer("400 Bad Request", f"{msg} Expected a request in HTTP/1.1."))
            self.transport.close()

        def _start(self) -> None:
            # A little more than the application waits for a body, so that it answers first.
            self._timer = self.loop.call_later(limits.read_timeout + 0.5, self._late)

        def _stop(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _late(self) -> None:
            self._timer = None
            if self.transport.is_closing():
                return
            if self.conn.their_state is h11.IDLE:
                text = f"No whole request arrived in {limits.read_timeout:g} s (--read-timeout). Send it faster."
                self.transport.write(_plain_answer("408 Request Timeout", text))
            self.transport.close()

    return cast("type[asyncio.Protocol]", TimedProtocol)


def _plain_answer(status: str, text: str) -> bytes:
    body = json.dumps({"error": text}).encode() + b"\n"
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"connection: close\r\n\r\n" + body
