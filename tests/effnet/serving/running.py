"""The real server as a process, and plain HTTP to it."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self):
        return json.loads(self.body)

    @property
    def error(self):
        assert self.headers["content-type"].startswith("application/json"), self
        document = self.document
        assert set(document) == {"error"}, document
        assert len(document["error"]) > 20, document
        return document["error"]


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen
    port: int
    log: Path

    def ask(self, method, path, body=None, headers=None, timeout=30):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            return read(connection)

    def predict(self, document, model="narrow"):
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.ask("POST", f"/v1/models/{model}:predict", body)

    def classify(self, *files, model="narrow"):
        return self.predict({"signature_name": "classify_bytes", "instances": [b64(file) for file in files]}, model)

    def memory(self):
        """Resident bytes."""
        text = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        return 1024 * int(re.search(r"VmRSS:\s+(\d+)", text)[1])

    def events(self):
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]


def read(connection):
    answer = connection.getresponse()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return Reply(answer.status, headers, answer.read())


def b64(data):
    return {"b64": base64.b64encode(data).decode()}


@contextlib.contextmanager
def running(directory, log, *options):
    """`effnet serve directory` on a free port, until the block ends."""
    command = [sys.executable, "-m", "effnet", "serve", str(directory), "--port", "0", *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
    try:
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)$", line)
        assert found, f"{line!r} {log.read_text('utf-8')}"
        yield Server(process, int(found[1]), log)
        assert process.poll() is None or process.returncode == 0, log.read_text("utf-8")[-2000:]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def end(server, number=signal.SIGTERM, within=20):
    """Send a signal and wait; the exit code."""
    server.process.send_signal(number)
    started = time.monotonic()
    code = server.process.wait(within)
    return code, time.monotonic() - started
