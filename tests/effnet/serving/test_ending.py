"""The end of the real server: what it accepted is answered, and right."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from tests.effnet.serving.running import ROOT, b64, end, read, running


class Client(threading.Thread):
    """Posts on one connection until the server closes it, then on another, until none is taken."""

    def __init__(self, server, bodies):
        super().__init__()
        self.port, self.bodies = server.port, bodies
        self.replies, self.lost, self.refused = [], [], False

    def run(self):
        names = sorted(self.bodies)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        while not self.refused and not self.lost:
            name = names[len(self.replies) % len(names)]
            try:
                if connection.sock is None:
                    connection.connect()
            except ConnectionRefusedError:
                self.refused = True
                return
            try:
                connection.request("POST", "/v1/models/narrow:predict", self.bodies[name])
                self.replies.append((name, read(connection)))
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(error)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_every_request_that_was_accepted_is_answered_and_right(onnx_models, photographs, tmp_path, number):
    with running(onnx_models, tmp_path / "log") as server:
        bodies = {
            name: json.dumps({"signature_name": "classify_bytes", "instances": [b64(file)]})
            for name, file in photographs.items()
        }
        right = {name: server.classify(file).document for name, file in photographs.items()}
        clients = [Client(server, bodies) for _ in range(6)]
        for client in clients:
            client.start()
        while sum(len(client.replies) for client in clients) < 20:
            time.sleep(0.02)
        before = sum(len(client.replies) for client in clients)
        code, seconds = end(server, number)
        for client in clients:
            client.join(20)
        replies = [reply for client in clients for reply in client.replies]
        assert (code, [client.lost for client in clients]) == (0, [[]] * 6)
        assert seconds < 10
        assert len(replies) > before  # the control: requests were under way when the signal came
        assert {reply.status for _, reply in replies} == {200}
        assert all(same(reply.document, right[name]) for name, reply in replies)
        assert server.events()[-1]["event"] == "ended"


def same(found, right):
    a, b = found["predictions"][0], right["predictions"][0]
    return a["indices"] == b["indices"] and a["probabilities"] == pytest.approx(b["probabilities"], rel=1e-4)


def test_a_client_that_stays_connected_keeps_nothing_alive(onnx_models, tmp_path):
    with running(onnx_models, tmp_path / "log") as server, socket.create_connection(("127.0.0.1", server.port)):
        code, seconds = end(server)
        assert code == 0
        assert seconds < 6


def test_a_taken_port_and_a_folder_without_models_are_errors_of_one_line(onnx_models, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for arguments, says in (
            ([str(onnx_models), "--port", str(port)], "cannot be listened on: Address already in use."),
            ([str(tmp_path), "--port", str(port)], "cannot be listened on"),  # before anything is loaded
            ([str(tmp_path)], "holds no model"),
        ):
            command = [sys.executable, "-m", "effnet", "serve", *arguments, "--log-level", "error"]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
            assert (done.returncode, done.stdout) == (2, "")
            assert says in done.stderr
            assert done.stderr.count("\n") == 1
