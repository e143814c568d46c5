"""Other projects' implementations, asked for networks and for logits through files.

A judge is a process: `tests/foreign/worker/serve.py` under the Python that has the library. It makes networks with
lively weights and saves them with the library's own tools; and it loads files strictly with the library's own loader.
A test compares the logits of both sides.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv-foreign"
SIZES = ((65, 49), (67, 67), (64, 96))
"""Height and width of the images that a narrow network is asked about: odd and not square, odd, even and not square. At
65x65, as at every 32 k + 1, all grids of the network are odd, and TensorFlow's SAME padding is the symmetric one."""
DTYPES = ("float32", "float64")
BESIDE_US = frozenset({"keras.applications", "tutorial", "efficientnet_pytorch"})
"""Libraries that the project's own environment has."""
WIDTH, DEPTH = 0.4, 0.3
"""Coefficients of narrow networks. With fewer channels the two sides of a first block of stride 1 become equally wide,
which they are in no published network, and implementations disagree on whether such a block has a residual."""


class Refused(Exception):
    """The library did not do what it was asked for; its traceback."""


class Died(Exception):
    """The process of a judge ended by itself."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network by the name that the library has for it."""

    name: str
    classes: int = 10
    width: float | None = None
    """None: as published."""
    depth: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What else it is made with, in the library's words; transformers alone is asked for any."""


def narrow(name: str, *, width: float = WIDTH, depth: float = DEPTH, classes: int = 10, **settings: Any) -> Network:
    return Network(name=name, classes=classes, width=width, depth=depth, settings=settings)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A network's files and what the library computes with it."""

    network: Network
    files: Mapping[str, Path]
    """By the kind of file: pth, safetensors, ..."""
    images_path: Path
    images: Mapping[str, NDArray[np.float32]]
    """By size (`65x49`), (N, H, W, C)."""
    logits: Mapping[str, NDArray[Any]]
    """By size and type (`65x49/float64`), (N, classes)."""


class Judge:
    """The process of one library. `with` ends it."""

    def __init__(self, library: str, *, python: Path, folder: Path) -> None:
        self.name = library
        self._folder = folder
        self._log = (folder / "stderr.txt").open("w+")
        command = [str(python), str(ROOT / "tests/foreign/worker/serve.py"), library]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, cwd=folder
        )

    def make(
        self,
        network: Network,
        *,
        sizes: Sequence[tuple[int, int]] = SIZES,
        dtypes: Sequence[str] = DTYPES,
        seed: int = 0,
    ) -> Made:
        """A network with lively weights, saved with the library's own tools, and its logits at `sizes`."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        done = self._ask("make", network, sizes=sizes, dtypes=dtypes, seed=seed, folder=str(folder))
        return Made(
            network=network,
            files={kind: Path(path) for kind, path in done["files"].items()},
            images_path=Path(done["images"]),
            images=_arrays(done["images"]),
            logits=_arrays(done["logits"]),
        )

    def logits(self, file: Path, *, like: Made) -> Mapping[str, NDArray[Any]]:
        """The logits with the weights of `file`, for the network and the images of `like`.

        Raises `Refused` where the library does not take the file.
        """
        answer = Path(tempfile.mkdtemp(dir=self._folder)) / "logits.npz"
        dtypes = sorted({key.rpartition("/")[2] for key in like.logits})
        paths = {"file": str(file), "images": str(like.images_path), "logits": str(answer)}
        done = self._ask("judge", like.network, **paths, dtypes=dtypes)
        return _arrays(done["logits"])

    def shapes(self, network: Network) -> dict[str, tuple[int, ...]]:
        """Every tensor of a network, as the library has it."""
        return {name: tuple(shape) for name, shape in self._ask("shapes", network)["shapes"].items()}

    @property
    def process_id(self) -> int:
        return self._process.pid

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def _ask(self, what: str, network: Network, **arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": what, "network": asdict(network), **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._log.seek(0)
            last = "".join(self._log.readlines()[-15:])
            raise Died(f"The judge {self.name} ended with {self._process.wait(30)} at {what} {network}:\n{last}")
        answer = json.loads(line)
        if "failed" in answer:
            raise Refused(f"{self.name}, {what} {network}:\n{answer['failed']}")
        return answer["done"]


@contextmanager
def judging(library: str, folder: Path) -> Iterator[Judge]:
    """The judge of a library, for as long as a test module runs; skips where its environment is not there."""
    judge = Judge(library, python=_python(library), folder=folder)
    try:
        yield judge
    finally:
        judge.close()


def _python(library: str) -> Path:
    if "tests.without_foreign" in sys.modules:
        pytest.skip("left out: ./tools/test --without-foreign")
    if library in BESIDE_US:
        return Path(sys.executable)
    if not (ENVIRONMENT / "effnet-ready").is_file() or (ENVIRONMENT / "effnet-unfinished").exists():
        pytest.skip(f"{ENVIRONMENT.name} is not there or not finished: ./tools/test makes it")
    return ENVIRONMENT / "bin" / "python"


def _arrays(path: str) -> Mapping[str, NDArray[Any]]:
    with np.load(path) as file:
        return {name: file[name] for name in file}
