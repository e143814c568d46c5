"""What `effnet serve` adds to a network: throughput and latency under load, beside the same network without a server.

    .venv/bin/python tools/bench_serving.py models/lite0 [--seconds 10] [--concurrency 1 8 32]

Needs the load tool wrk (apt-get install wrk), the extras serve, images, demo and what the model needs. Photographs of
scikit-image travel as JPEG in TensorFlow Serving's JSON over loopback. The same batches without a server run in a
process of their own, before and after each load; the better of the two counts. The CPU share is the same in processor
time for an image, which does not depend on what else the machine does. Then 3,000 requests come with a SIGTERM in the
middle: every one that was accepted has to be answered, and right.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from skimage import data

from effnet.serving.limits import Limits
from effnet.serving.models import load_models

ROOT = Path(__file__).parents[1]
MAX_BATCH = 8
REQUESTS, CLIENTS = 3000, 8
SCRIPT = """
local bodies, next = {{}}, 0
for index = 1, {count} do
  local file = io.open("{folder}/" .. index .. ".json", "rb")
  bodies[index] = file:read("*a")
  file:close()
end
request = function()
  next = next % {count} + 1
  return wrk.format("POST", "{path}", {{["Content-Type"] = "application/json"}}, bodies[next])
end
"""


@dataclass(frozen=True)
class Load:
    """What wrk saw."""

    rate: float
    p50: float
    p99: float
    failed: int


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the folder of one model, as `effnet export` writes it")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--in-process", type=int, metavar="BATCH", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.in_process is not None:
        print(*in_process(arguments.model, arguments.in_process, arguments.seconds))
        return
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    photographs = jpegs()
    print(f"{arguments.model}, {os.cpu_count()} processors, {len(photographs)} photographs of ", end="")
    print(f"{sum(map(len, photographs)) / len(photographs) / 1e3:.0f} kB, batches of at most {MAX_BATCH}\n")
    print("| clients | images/s | p50 ms | p99 ms | failed | batch without a server | images/s | share | CPU share |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    with serving(arguments.model) as (process, port):
        for clients in arguments.concurrency:
            batch = min(clients, MAX_BATCH)
            before, work_before = alone(arguments.model, batch, arguments.seconds)
            used = processor_seconds(process.pid)
            found = load(port, arguments.model.name, photographs, clients, arguments.seconds)
            work = (processor_seconds(process.pid) - used) / (found.rate * arguments.seconds)
            after, work_after = alone(arguments.model, batch, arguments.seconds)
            best = max(before, after)
            print(
                f"| {clients} | {found.rate:.1f} | {found.p50:.1f} | {found.p99:.1f} | {found.failed} "
                f"| {batch} | {best:.1f} | {found.rate / best:.0%} | {min(work_before, work_after) / work:.0%} |",
                flush=True,
            )
    print()
    ending(arguments.model, photographs)


def jpegs() -> list[bytes]:
    """Photographs of several sizes."""
    found: list[bytes] = []
    for name in ("chelsea", "coffee", "rocket", "astronaut"):
        file = io.BytesIO()
        Image.fromarray(getattr(data, name)()).save(file, "JPEG", quality=90)
        found.append(file.getvalue())
    return found


def body(photograph: bytes) -> bytes:
    """A request of TensorFlow Serving's."""
    instances = [{"b64": base64.b64encode(photograph).decode()}]
    return json.dumps({"signature_name": "classify_bytes", "instances": instances}).encode()


@contextmanager
def serving(model: Path) -> Generator[tuple[subprocess.Popen[str], int]]:
    """The server, and the port that it listens on."""
    command = [sys.executable, "-m", "effnet", "serve", str(model), "--port", "0", "--log-level", "warning"]
    process = subprocess.Popen([*command, "--max-batch", str(MAX_BATCH)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline().rpartition(":")[2])
    finally:
        process.terminate()
        process.wait(30)


def alone(model: Path, batch: int, seconds: int) -> tuple[float, float]:
    """Images a second of the same signature in a process of its own, and its processor seconds for one of them."""
    command = [sys.executable, __file__, str(model), "--in-process", str(batch), "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    return float(done[-2]), float(done[-1])


def in_process(model: Path, batch: int, seconds: int) -> tuple[float, float]:
    """Prepare and run batches, one after the other."""
    (loaded,) = load_models(model, limits=Limits(max_batch=batch, queue=batch))
    backend, photographs = loaded.backend, jpegs()
    rounds, started, used = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        files = [photographs[(rounds * batch + index) % len(photographs)] for index in range(batch)]
        prepared = [backend.prepare("classify_bytes", file) for file in files]
        backend.run(prepared[0].group, [one.value for one in prepared])
        rounds += 1
    images = rounds * batch
    return images / (time.perf_counter() - started), (time.process_time() - used) / images


def processor_seconds(pid: int) -> float:
    """What a process has used of the processors."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(port: int, name: str, photographs: Sequence[bytes], clients: int, seconds: int) -> Load:
    """Post photographs on `clients` connections for a while."""
    with tempfile.TemporaryDirectory() as folder:
        for index, photograph in enumerate(photographs, 1):
            (Path(folder) / f"{index}.json").write_bytes(body(photograph))
        script = Path(folder) / "post.lua"
        path = f"/v1/models/{name}:predict"
        script.write_text(SCRIPT.format(count=len(photographs), folder=folder, path=path))
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "--latency", "-s", str(script)]
        done = subprocess.run(
            [*command, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True
        ).stdout
    failed = sum(map(int, re.findall(r"(?:responses:|connect|read|write|timeout) (\d+)", done)))
    rate = float(re.search(r"Requests/sec:\s+([0-9.]+)", done)[1])
    return Load(rate, milliseconds(done, "50"), milliseconds(done, "99"), failed)


def milliseconds(text: str, share: str) -> float:
    """A row of wrk's latency distribution."""
    found = re.search(rf"^\s+{share}%\s+([0-9.]+)(us|ms|s|m)\s*$", text, re.MULTILINE)
    assert found is not None, text
    return float(found[1]) * {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}[found[2]]


@dataclass
class Tally:
    """What the clients of the last part saw."""

    left: int
    answered: Counter[int] = field(default_factory=Counter)
    wrong: int = 0
    lost: int = 0
    refused: int = 0
    lock: Any = field(default_factory=threading.Lock)


def ending(model: Path, photographs: Sequence[bytes]) -> None:
    """3,000 requests, a SIGTERM when half of them are answered."""
    with serving(model) as (process, port):
        bodies = [body(photograph) for photograph in photographs]
        right = [ask(http.client.HTTPConnection("127.0.0.1", port), model.name, one)[1] for one in bodies]
        tally = Tally(left=REQUESTS)
        clients = [
            threading.Thread(target=client, args=(port, model.name, bodies, right, tally)) for _ in range(CLIENTS)
        ]
        for one in clients:
            one.start()
        memory: dict[int, float] = {}
        while (count := sum(tally.answered.values())) < REQUESTS // 2 and any(one.is_alive() for one in clients):
            memory.setdefault(count // 500, resident(process.pid))
            time.sleep(0.01)
        memory[-1] = resident(process.pid)
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        code = process.wait(60)
        seconds = time.monotonic() - started
        for one in clients:
            one.join()
    shown = ", ".join(f"{megabytes:.0f}" for megabytes in memory.values())
    print(f"{REQUESTS} requests on {CLIENTS} connections, SIGTERM after {REQUESTS // 2} answers:")
    print(f"answered {dict(tally.answered)}, wrong {tally.wrong}, lost {tally.lost}, not accepted {tally.refused}")
    print(f"memory at 0, 500, 1000 and 1500 answers: {shown} MB; ended after {seconds:.1f} s with exit code {code}")


def client(port: int, name: str, bodies: Sequence[bytes], right: Sequence[Any], tally: Tally) -> None:
    """Post until nothing is left; what the server does not take any more is not accepted."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while True:
        with tally.lock:
            if tally.left == 0:
                return
            tally.left -= 1
            index = tally.left % len(bodies)
        try:
            if connection.sock is None:
                connection.connect()
        except ConnectionRefusedError:
            with tally.lock:
                tally.refused += 1
            continue
        try:
            status, found = ask(connection, name, bodies[index])
        except (OSError, http.client.HTTPException):
            with tally.lock:
                tally.lost += 1
            connection.close()
            continue
        with tally.lock:
            tally.answered[status] += 1
            tally.wrong += status == 200 and not same(found, right[index])


def ask(connection: http.client.HTTPConnection, name: str, content: bytes) -> tuple[int, Any]:
    """Post one request."""
    connection.request("POST", f"/v1/models/{name}:predict", content)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def same(a: Any, b: Any) -> bool:
    """Whether two answers are equal but for rounding, which depends on the batch."""
    one, other = a["predictions"][0], b["predictions"][0]
    near = zip(one["probabilities"], other["probabilities"], strict=True)
    return one["indices"] == other["indices"] and all(abs(x - y) < 1e-4 * max(x, y) for x, y in near)


def resident(pid: int) -> float:
    """Megabytes of memory of a process."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1e3


if __name__ == "__main__":
    main()
