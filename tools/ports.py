"""Measure published ports against the official network: the page docs/ports.md.

    ./tools/test tests/tools    # once: makes both environments
    .venv/bin/python tools/ports.py [--out FILE.md]

Without --out the page is printed. Each library's own model loads a B0 (V2-B0, Lite0, ...) with random weights and the
statistics of a batch, which the converter wrote in its names, and computes logits in float64. What the official
definition gives there is the truth (effnet_tf, which the tests hold to the official code's own results).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from converters import DIALECTS, DifferentSemantics, convert, save_state
from effnet.backends import Network, runner
from effnet.choices import Backend, Device, Precision
from effnet_core import NetworkSpec, resolve
from tests.foreign.judge import BESIDE_US, ENVIRONMENT, Judge, Made
from tests.foreign.judge import Network as Asked
from tests.lively import settled_state

SIZES = ((224, 224), (225, 225), (240, 331))
"""Nominal, odd, not square. At 225 all grids of a network are odd, and symmetric padding is the same as SAME."""
RIGHT, RIGHT_ROUNDED = 1e-11, 1e-5
"""The second where something is rounded to float32 on the way."""
CLASSES = 1000


BEFORE = """# Published ports against the official network

How far each library's result is from what the official definition gives, both in float64, as a part of the largest
value, with the same random weights, at the nominal size and at others (height x width). Bold is no rounding: the
network is another one there. Weights trained with one of the two and run in the other lose accuracy without a word.

Measured by `.venv/bin/python tools/ports.py --out docs/ports.md`, which wrote this page, with {releases}.
"""
AFTER = """
At 225 x 225 every grid inside a network is odd, and symmetric padding does the same as TensorFlow's SAME. `nominal` is
efficientnet_pytorch as its `from_name` makes it, with the padding for the nominal image size built in; the row above it
is made with `image_size=None`. Numbers around 1e-8 are rounding to float32: keras.applications normalises pixels so,
and variances that make up for another epsilon are written so. KerasHub is compared at its pooled features and in
float32, the only type in which Keras on PyTorch computes its normalisations.
[matrix.md](matrix.md) says what each library's own network does with padding and epsilon.
"""


@dataclass(frozen=True, kw_only=True)
class Port:
    """One row of the table."""

    project: str
    """As `tests/foreign/judge.py` calls it."""
    model: str
    """The library's name of the network."""
    variant: str
    dialect: str
    pixels: bool = False
    """Whether the model normalises by itself and takes 0..255."""
    features: bool = False
    """Whether it is compared at its pooled features."""
    dtype: str = "float64"


ENDINGS = {
    "keras-applications": ".h5",
    "keras-applications-v2": ".h5",
    "keras-hub": ".weights.h5",
    "timm": ".safetensors",
    "timm-symmetric": ".safetensors",
    "torchvision": ".pth",
    "efficientnet-pytorch": ".pth",
    "huggingface": "",
}
"""Of the file in each naming; a folder as on the Hugging Face hub has none."""

PORTS = (
    Port(project="keras.applications", model="EfficientNetB0", variant="b0", dialect="keras-applications", pixels=True),
    Port(
        project="keras.applications",
        model="EfficientNetV2B0",
        variant="v2-b0",
        dialect="keras-applications-v2",
        pixels=True,
    ),
    Port(project="timm", model="tf_efficientnet_b0", variant="b0", dialect="timm"),
    Port(project="timm", model="efficientnet_b0", variant="b0", dialect="timm-symmetric"),
    Port(project="timm", model="tf_efficientnet_lite0", variant="lite0", dialect="timm"),
    Port(project="timm", model="tf_efficientnet_es", variant="edgetpu-S", dialect="timm"),
    Port(project="timm", model="tf_efficientnet_cc_b0_4e", variant="condconv-b0-4e", dialect="timm"),
    Port(project="timm", model="tf_efficientnetv2_b0", variant="v2-b0", dialect="timm"),
    Port(project="torchvision", model="efficientnet_b0", variant="b0", dialect="torchvision"),
    Port(project="torchvision", model="efficientnet_v2_s", variant="v2-s", dialect="torchvision"),
    Port(project="transformers", model="b0", variant="b0", dialect="huggingface"),
    Port(
        project="keras_hub",
        model="efficientnet_b0 backbone",
        variant="b0",
        dialect="keras-hub",
        features=True,
        dtype="float32",
    ),
    Port(project="efficientnet_pytorch", model="efficientnet-b0", variant="b0", dialect="efficientnet-pytorch"),
    Port(project="efficientnet_pytorch", model="efficientnet-b0 nominal", variant="b0", dialect="efficientnet-pytorch"),
    Port(project="efficientnet_pytorch", model="efficientnet-lite0", variant="lite0", dialect="efficientnet-pytorch"),
)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """A network with lively weights and what it computes in float64."""

    spec: NetworkSpec
    images: dict[str, NDArray[np.float32]]
    """Normalised, by size."""
    logits: dict[str, NDArray[np.float64]]
    pooled: dict[str, NDArray[np.float64]]
    path: Path


@cache
def truth(variant: str, folder: Path) -> Truth:
    """The official network of that name; every port of it gets the same weights and images."""
    spec = resolve(variant, num_classes=CLASSES)
    state = settled_state(spec, seed=1)
    random = np.random.default_rng(2)
    images = {f"{h}x{w}": random.standard_normal((1, h, w, 3)).astype(np.float32) for h, w in SIZES}
    with runner(
        Network(spec=spec, state=state, name=variant),
        endpoints=("pooled", "logits"),
        backend=Backend.TF,
        precision=Precision.FLOAT64,
        device=Device.CPU,
    ) as run:
        found = {size: run(array) for size, array in images.items()}
    path = folder / f"{variant}.safetensors"
    save_state(path, spec, state, sync=False)
    return Truth(
        spec=spec,
        images=images,
        logits={size: outputs["logits"] for size, outputs in found.items()},
        pooled={size: outputs["pooled"] for size, outputs in found.items()},
        path=path,
    )


def errors(port: Port, folder: Path) -> dict[str, float]:
    """By size: the largest difference from float64 as a part of the largest value."""
    given = truth(port.variant, folder)
    place = Path(tempfile.mkdtemp(dir=folder))
    images = {size: as_taken(port, given.spec, array) for size, array in given.images.items()}
    np.savez(place / "images.npz", **images)
    asked = Made(
        network=Asked(name=port.model, classes=CLASSES),
        files={},
        images_path=place / "images.npz",
        images=images,
        logits={f"{size}/{port.dtype}": np.empty(0) for size in images},
    )
    python = Path(sys.executable) if port.project in BESIDE_US else ENVIRONMENT / "bin" / "python"
    judge = Judge(port.project, python=python, folder=place)
    try:
        found = judge.logits(written(port, given.path, place), like=asked)
    finally:
        judge.close()
    expected = given.pooled if port.features else given.logits
    return {
        size: float(np.abs(found[f"{size}/{port.dtype}"] - right).max() / np.abs(right).max())
        for size, right in expected.items()
    }


def as_taken(port: Port, spec: NetworkSpec, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalised images, or the pixels that become them."""
    if not port.pixels:
        return images
    prepared = spec.preprocessing
    return (images * np.array(prepared.scale) + np.array(prepared.mean)).astype(np.float32)


def written(port: Port, source: Path, folder: Path) -> Path:
    """The weights in the library's names; where its own network pads otherwise, all the same."""
    target = folder / f"network{ENDINGS[port.dialect]}"
    to_format = None if ENDINGS[port.dialect] else "hf-folder"
    try:
        convert(source, target, to=port.dialect, to_format=to_format, sync=False)
    except DifferentSemantics:
        convert(source, target, to=port.dialect, to_format=to_format, sync=False, accept_different_logits=True)
    return target if ENDINGS[port.dialect] else target / "model.safetensors"


def releases() -> Iterator[str]:
    """The libraries with their releases, from both lists of requirements."""
    pinned = (ROOT / "constraints.txt").read_text() + (ROOT / "constraints-foreign.txt").read_text()
    wanted = (
        "keras",
        "timm",
        "torchvision",
        "transformers",
        "keras-hub",
        "efficientnet_pytorch",
        "efficientnet-lite-pytorch",
    )
    for line in pinned.splitlines():
        name, _, version = line.partition("==")
        if name in wanted:
            yield f"{name} {version}"


def document(rows: list[tuple[Port, dict[str, float]]]) -> str:
    """The page."""
    sizes = [f"{height} x {width}" for height, width in SIZES]
    lines = [
        BEFORE.format(releases=", ".join(sorted(set(releases())))),
        f"| project | its network | official network | {' | '.join(sizes)} |",
        f"| --- | --- | --- | {' | '.join('---' for _ in sizes)} |",
    ]
    for port, found in rows:
        cells = [f"**{error:.1e}**" if not error <= bound(port) else f"{error:.1e}" for error in found.values()]
        lines.append(f"| {port.project} | {port.model} | {resolve(port.variant).name} | {' | '.join(cells)} |")
    lines.append(AFTER)
    return "\n".join(lines)


def bound(port: Port) -> float:
    """Up to where the port's result is right.

    A model that normalises pixels does it in float32, and variances that make up for another epsilon are written so.
    """
    shifts = any(row.epsilon != resolve(port.variant).norm.epsilon for row in DIALECTS[port.dialect].semantics)
    return RIGHT_ROUNDED if port.pixels or shifts or port.dtype == "float32" else RIGHT


def main() -> None:
    """Measure every port, and print the page or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="write the page there; default: print it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for port in PORTS:
            rows.append((port, errors(port, Path(folder))))
            print(
                port.project,
                port.model,
                *(f"{error:.1e}" for error in rows[-1][1].values()),
                file=sys.stderr,
                flush=True,
            )
    if arguments.out:
        arguments.out.write_text(document(rows), "utf-8")
    else:
        print(document(rows), end="")


if __name__ == "__main__":
    main()
