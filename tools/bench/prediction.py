"""How long it takes from an official archive to the label of a photograph, start-up included."""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from skimage.data import astronaut

from bench import measure
from bench.result import Result
from bench.start import EFFNET

HERE = Path(__file__).parent
VARIANT = "efficientnet-b0"
BACKENDS = ("onnx", "torch", "tf")
_LIBRARIES = "import numpy, onnx, onnxruntime, PIL.Image"
_RUNS = 3


def predictions(folder: Path) -> Iterator[Result]:
    """Whole processes, in each backend, beside one that imports the libraries of the lightest.

    `folder` takes the archive: random weights, which cost what real ones do.
    """
    archive, photograph = folder / f"{VARIANT}.tar.gz", folder / "photograph.jpg"
    checkpoint = folder / VARIANT
    checkpoint.mkdir()
    measure.run([sys.executable, HERE / "official_checkpoint.py", VARIANT, checkpoint / "model.ckpt"])
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(checkpoint, VARIANT)
    Image.fromarray(astronaut()).save(photograph, quality=95)
    yield _result(f"python -c '{_LIBRARIES}'", [sys.executable, "-c", _LIBRARIES])
    for backend in BACKENDS:
        command = [EFFNET, "predict", archive, photograph, "--backend", backend]
        yield _result(f".tar.gz to label, --backend {backend}", command)


def _result(what: str, command: measure.Command) -> Result:
    return Result(variant=VARIANT, what=what, value=measure.seconds(command, runs=_RUNS), unit="s")
