"""What was written, asked the same questions as the network that it comes from.

The network in float64 is the truth, in another implementation than the one that wrote the file, where one is installed:
a mistake of the writer would stand on both sides otherwise. Its own float32 result says how far rounding takes it,
and an export may be a small multiple of that away (`effnet.parity_engine.compare`), at the recipe's size and, where it
takes any, at an odd size that is not square.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.backends import Network, runner
from effnet.choices import Backend, Device, Precision
from effnet.errors import MissingFramework, NotFiniteLogits
from effnet.exports.options import ExportOptions, Kind, Quantize
from effnet.exports.readers import CannotRun, readers_of, serving_session
from effnet.frameworks import is_installed
from effnet.images import load_bytes
from effnet.parity_engine.compare import MULTIPLE, ROUNDOFF32, distance, explained

Array = NDArray[Any]
TWINS = {
    Kind.SAVEDMODEL: Backend.TF,
    Kind.TFLITE: Backend.TF,
    Kind.KERAS: Backend.TF,
    Kind.TORCH_EXPORT: Backend.TORCH,
    Kind.ONNX: Backend.ONNX,
}
"""The backend that writes."""
_OTHERS = {Backend.TF: (Backend.TORCH,), Backend.TORCH: (Backend.TF,), Backend.ONNX: (Backend.TORCH, Backend.TF)}
"""Who judges it, in order of preference. ONNX Runtime has no float64 convolutions: its way to do without is slow."""
_IMAGES = 2


@dataclass(frozen=True, kw_only=True)
class Check:
    """What one runtime made of the file, on one input."""

    reader: str
    """The runtime and its version."""
    question: str
    """What it was asked, with the shape of the input."""
    difference: float
    """Largest |a - b| as a part of the largest value in float64."""
    rounding: float
    """The same of the network's own float32 result."""
    same_top: int
    """Images whose most probable class is that of float64."""
    images: int
    agrees: bool | None
    """None where no rounding explains the difference: it is only measured."""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """All questions, and the runtimes that could not be asked."""

    judge: Backend
    """What computed the network in float64."""
    checks: tuple[Check, ...]
    notes: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """False when an answer is farther from float64 than rounding explains."""
        return all(check.agrees is not False for check in self.checks)


def judge_of(kind: Kind) -> Backend:
    """The backend that says what an export should give: another than its writer's, where one is installed."""
    return next((backend for backend in _OTHERS[TWINS[kind]] if is_installed(backend)), TWINS[kind])


def check_reader(kind: Kind) -> None:
    """Raise `MissingFramework` where the runtime that files of a kind are written for cannot be asked."""
    reader = readers_of(kind)[0]
    if not reader.is_installed:
        raise MissingFramework(
            f"What is exported is checked by {reader.title}, and {reader.packages[0]} is not installed. Install it: "
            f"pip install {reader.packages[0]}."
        )


def verify_export(network: Network, path: Path, options: ExportOptions, photographs: Array | None) -> Verification:
    """Ask every installed runtime that reads `path`. `photographs`: real images, for what 8-bit numbers are good at.

    Raises `NotFiniteLogits` for a network that gives no numbers itself.
    """
    spec = network.spec
    judge = judge_of(options.kind)
    installed = [reader for reader in readers_of(options.kind) if reader.is_installed]
    missing = [reader for reader in readers_of(options.kind) if not reader.is_installed]
    notes = [f"Not asked: {reader.title}, because {reader.packages[0]} is not installed." for reader in missing]
    questions = [(_shape(images), images) for images in _questions(network, options, photographs)]
    takes_files = options.kind is Kind.SAVEDMODEL and spec.classifier is not None and spec.stem.in_channels == 3
    if takes_files and find_spec("PIL") is None:
        notes.append("Not asked about an image file, because pillow is not installed.")
        takes_files = False
    if judge is TWINS[options.kind]:
        notes.append(f"Judged by the backend that wrote it ({judge}): no other one is installed.")
    photograph = load_bytes(_jpeg(), spec.preprocessing)[None] if takes_files else None
    inputs = [images for _, images in questions] + ([] if photograph is None else [photograph])
    truths, rounded = (
        _answers(network, inputs, judge, precision) for precision in (Precision.FLOAT64, Precision.FLOAT32)
    )
    checks: list[Check] = []
    for reader in installed:
        try:
            with reader.open(path, "features" if spec.classifier is None else "logits") as run:
                checks += [
                    _check(reader.name, question, run(images), truth, own, options)
                    for (question, images), truth, own in zip(questions, truths, rounded, strict=False)
                ]
        except CannotRun as error:  # of one that the file was not written for
            notes.append(f"Not for {reader.name}, which does not run this network: {error}.")
    if photograph is not None:
        checks.append(_of_bytes(path, installed[0].name, truths[-1], rounded[-1], options))
    return Verification(judge=judge, checks=tuple(checks), notes=tuple(notes))


def _answers(network: Network, inputs: list[Array], judge: Backend, precision: Precision) -> list[Array]:
    """What the network itself gives for each input."""
    spec = network.spec
    last = "pooled" if spec.head is not None else f"blocks.{len(spec.blocks) - 1}"
    endpoint = last if spec.classifier is None else "logits"
    with runner(network, endpoints=[endpoint], backend=judge, precision=precision, device=Device.CPU) as run:
        found = [run(images)[endpoint] for images in inputs]
    if not all(np.isfinite(answer).all() for answer in found):
        raise NotFiniteLogits(
            f"{network.name} gives NaN or infinite numbers in {precision}, so that no export of it can be checked. "
            "Look at its weights: effnet inspect names those that are not finite."
        )
    return found


def _questions(network: Network, options: ExportOptions, photographs: Array | None) -> list[Array]:
    spec = network.spec
    side = spec.preprocessing.resolution
    if photographs is not None:
        return [photographs]
    fixed = options.size or ((side, side) if options.kind is Kind.TFLITE else None)
    sizes = [fixed] if fixed else [(side, side), (side // 2 * 2 + 1, side // 3 * 2)]
    random = np.random.default_rng(0)
    return [
        random.standard_normal((_IMAGES, height, width, spec.stem.in_channels), dtype=np.float32)
        for height, width in sizes
    ]


def _check(reader: str, question: str, found: Array, truth: Array, rounded: Array, options: ExportOptions) -> Check:
    own = distance(rounded, truth)
    gap = distance(found, truth)
    limit = MULTIPLE * explained(own.relative_l2, own.relative_l2, roundoff=ROUNDOFF32)
    measured_only = options.quantize is not Quantize.NONE
    return Check(
        reader=reader,
        question=question,
        difference=gap.relative,
        rounding=own.relative,
        same_top=int(np.count_nonzero(found.argmax(axis=-1) == truth.argmax(axis=-1))),
        images=len(truth),
        agrees=None if measured_only and np.isfinite(gap.relative) else gap.relative_l2 <= limit,
    )


def _of_bytes(path: Path, reader: str, truth: Array, rounded: Array, options: ExportOptions) -> Check:
    """The signature that takes image files, against the preparation without TensorFlow and the network behind it."""
    with serving_session(path) as (session, signatures):
        signature = signatures["classify_bytes"]
        names = {key: signature.outputs[key].name for key in ("indices", "probabilities")}
        found = session.run(names, {signature.inputs["image_bytes"].name: [_jpeg()]})
    return check_answers(reader, found["indices"], found["probabilities"], (truth, rounded), options)


def check_answers(
    reader: str, chosen: Array, probabilities: Array, logits: tuple[Array, Array], options: ExportOptions
) -> Check:
    """The classes (N, k) that were chosen and their probabilities, against logits (N, classes) in float64 and float32.

    The probabilities have to be those of these classes, and the k largest of all.
    """
    truth, rounded = map(_softmax, logits)
    wide, narrow = (np.take_along_axis(values, chosen, axis=-1) for values in (truth, rounded))
    largest, narrow_largest = (-np.sort(-values, axis=-1)[:, : chosen.shape[-1]] for values in (truth, rounded))
    check = _check(reader, "classify_bytes, a JPEG", probabilities, wide, narrow, options)
    are_largest = _check(reader, check.question, probabilities, largest, narrow_largest, options)
    same = int(np.count_nonzero(chosen[:, 0] == truth.argmax(axis=-1)))
    return replace(check, same_top=same, agrees=check.agrees and are_largest.agrees)


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _jpeg() -> bytes:
    """A coloured picture of 97 x 131 pixels with slow and quick changes, the same every time."""
    y, x = np.mgrid[:97, :131]
    waves = [np.sin(x / (7 + 3 * k)) + np.cos(y / (5 + 2 * k) + k) + np.sin(x * y / 400) for k in range(3)]
    pixels = np.clip(127.5 + 40 * np.stack(waves, axis=-1), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    import_module("PIL.Image").fromarray(pixels).save(buffer, format="JPEG", quality=90)
    return buffer.getvalue()


def _shape(images: Array) -> str:
    return "x".join(map(str, images.shape))
