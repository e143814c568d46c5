"""Bad input to the real server: a 4xx with a message, never a failure of its own, and no growth."""

import collections
import contextlib
import http.client
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.effnet.serving.bad_requests import bad_requests
from tests.effnet.serving.running import read, running

COUNT = 500


def test_500_bad_requests(server, photographs):
    assert server.classify(photographs["cat"]).status == 200
    # Once before memory is looked at: what libraries load and keep on the first bad request is not growth.
    for bad in bad_requests(60, photographs["cat"], seed=1):
        sent(server, bad)
    before = server.memory()
    kinds = collections.Counter()
    for bad in bad_requests(COUNT, photographs["cat"], seed=2):
        reply = sent(server, bad)
        assert 400 <= reply.status < 500, (bad.kind, bad.body[:200], reply)
        assert reply.error, bad
        assert bad.kind != "a bomb" or "pixels" in reply.error
        kinds[bad.kind] += 1
    assert sum(kinds.values()) == COUNT
    assert len(kinds) >= 10
    assert server.memory() - before < 60e6
    good = server.classify(photographs["cat"])
    assert (good.status, len(good.document["predictions"][0]["classes"])) == (200, 5)
    assert not [event for event in server.events() if event["event"] == "failure"]


@pytest.mark.parametrize("item", [b"[[[0]]]", b"[" + b"[[0,0,0]]," * 99 + b"[[0]]]"])
def test_others_are_answered_while_a_large_request_is_read(server, item):
    body = b'{"instances":[' + (item + b",") * (3_900_000 // (len(item) + 1)) + item + b"]}"
    with ThreadPoolExecutor(3) as clients:
        # Several, so that some wait for the thread that reads; were it the server's own, so would everybody.
        started = time.monotonic()
        large = [clients.submit(server.predict, body) for _ in range(3)]
        waits = []
        while not all(reply.done() for reply in large):
            asked = time.monotonic()
            assert server.ask("GET", "/healthz").status == 200
            waits.append(time.monotonic() - asked)
        took = time.monotonic() - started
    assert [reply.result().status for reply in large] == [400] * 3
    assert len(waits) > 4
    assert max(waits) < 0.7 * took
    assert server.memory() < 1e9


def sent(server, bad):
    """The reply; a server may answer before it has read everything."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with contextlib.closing(connection):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(bad.method, bad.path, bad.body, bad.headers)
        return read(connection)


@contextlib.contextmanager
def raw(server, data):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        line.sendall(data)
        yield line


def reply_of(line):
    found = b""
    while piece := line.recv(65536):
        found += piece
    head, _, body = found.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


def test_slow_clients_are_sent_away_and_others_are_answered_meanwhile(server, photographs):
    head = b"POST /v1/models/narrow:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
    with raw(server, b"POST /v1/mod") as no_head, raw(server, head + b"\r\n{") as no_body, raw(server, b"") as nothing:
        started = time.monotonic()
        assert server.classify(photographs["cat"]).status == 200
        found = [reply_of(line) for line in (no_head, no_body, nothing)]
        assert [status for status, _ in found] == [408, 408, 408]
        assert all("--read-timeout" in text for _, text in found)
        assert 1.5 < time.monotonic() - started < 6  # --read-timeout 2


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),  # TLS
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    ],
)
def test_what_is_no_http(server, data):
    with raw(server, data) as line:
        status, text = reply_of(line)
    assert status == 400
    assert "Invalid HTTP request" in text


def test_a_body_in_pieces_is_measured_too(server):
    with raw(
        server, b"POST /v1/models/narrow:predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    ) as line:
        with contextlib.suppress(OSError):
            for _ in range(6):
                line.sendall(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
            line.sendall(b"0\r\n\r\n")
        line.shutdown(socket.SHUT_WR)
        status, text = reply_of(line)
    assert status == 413
    assert "--max-body" in text


def test_too_many(onnx_models, photographs, tmp_path):
    options = ("--queue", "2", "--max-batch", "2", "--max-requests", "3")
    with running(onnx_models, tmp_path / "log", *options) as server:
        assert server.classify(photographs["cat"]).status == 200
        many = server.classify(*[photographs["cat"]] * 3)
        assert many.status == 400
        assert "1 to 2 (--queue)" in many.error
        with ThreadPoolExecutor(12) as clients:
            replies = list(clients.map(lambda _: server.classify(photographs["cat"]), range(36)))
        assert {reply.status for reply in replies} == {200, 503}
        for reply in replies:
            if reply.status == 503:
                assert int(reply.headers["retry-after"]) >= 1
                assert "Try again in" in reply.error
        assert server.classify(photographs["cat"]).status == 200


def test_too_late(onnx_models, tmp_path):
    with running(onnx_models, tmp_path / "log", "--timeout", "0.1") as server:
        late = server.predict({"inputs": [[[[0, 0, 0]] * 1000] * 1000]})  # its numbers alone take longer to read
        assert late.status == 504
        assert "--timeout" in late.error
        assert server.ask("GET", "/healthz").status == 200
