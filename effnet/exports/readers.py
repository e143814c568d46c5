"""The runtimes that read an export, each as a function from normalised images to logits or features.

Images and results are numpy arrays, float32, channels last: (N, H, W, C) to (N, classes).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effnet.exports.options import Kind
from effnet.keras_archive import open_keras_archive

Array = NDArray[Any]


class CannotRun(Exception):
    """A runtime does not take a network at all, for the reason that it gives."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A runtime that reads files of one kind."""

    title: str
    packages: tuple[str, ...]
    """Which has to be installed, one of them: names on an index of packages."""
    module: str
    open: Callable[[Path, str], Any]
    """A context manager: given the file and the name of an output, the function that computes it."""

    @property
    def is_installed(self) -> bool:
        """Whether the runtime can be asked here."""
        return find_spec(self.module) is not None

    @property
    def name(self) -> str:
        """Title and version, for reports."""
        found = next((release for name in self.packages if (release := _version(name)) is not None), None)
        return self.title if found is None else f"{self.title} {found}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def readers_of(kind: Kind) -> tuple[Reader, ...]:
    """Who reads files of a kind; the first one is the runtime that they are written for."""
    return _READERS[kind]


@contextmanager
def serving_session(path: Path) -> Generator[tuple[Any, Any]]:
    """A TensorFlow session with the graph of a SavedModel and its signatures: what TensorFlow Serving's C++ loads."""
    tf: Any = import_module("tensorflow")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        with _without_advice(tf.get_logger()):
            loaded = tf.compat.v1.saved_model.load(session, [tf.saved_model.SERVING], str(path))
        yield session, loaded.signature_def


@contextmanager
def _without_advice(logger: logging.Logger) -> Generator[None]:
    """Keep TensorFlow from advising tf.saved_model.load: sessions, which TensorFlow Serving has, are what is tried."""

    def is_other(record: logging.LogRecord) -> bool:
        return "Use `tf.saved_model.load` instead" not in record.getMessage()

    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


@contextmanager
def _tensorflow_session(path: Path, output: str) -> Generator[Callable[[Array], Array]]:
    with serving_session(path) as (session, signatures):
        signature = signatures["serving_default"]
        fetch, feed = signature.outputs[output].name, signature.inputs["images"].name
        yield lambda images: session.run(fetch, {feed: images})


@contextmanager
def _openvino(path: Path, output: str) -> Generator[Callable[[Array], Array]]:
    openvino: Any = import_module("openvino")
    core: Any = openvino.Core()
    try:
        # Full precision: on some processors its default computes in bfloat16.
        model = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except RuntimeError as error:
        raise CannotRun(_openvino_reason(str(error))) from error
    yield lambda images: model(images)[output]


def _openvino_reason(text: str) -> str:
    """The line of its message that says why, behind those that name places in its source."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = (line for line in lines if not line.startswith(("Exception from", "Check ")))
    return next(told, lines[0] if lines else "no reason given")


@contextmanager
def _onnx_runtime(path: Path, output: str) -> Generator[Callable[[Array], Array]]:
    session: Any = import_module("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
    yield lambda images: session.run([output], {"images": images})[0]


@contextmanager
def _litert(path: Path, output: str) -> Generator[Callable[[Array], Array]]:
    interpreter: Any = import_module("ai_edge_litert.interpreter").Interpreter(str(path))
    signature = interpreter.get_signature_runner()
    yield lambda images: np.array(signature(images=images)[output])


@contextmanager
def _torch_program(path: Path, output: str) -> Generator[Callable[[Array], Array]]:
    del output  # a program has one
    torch: Any = import_module("torch")
    run = torch.export.load(path).module()

    def logits(images: Array) -> Array:
        with torch.inference_mode():
            # (N, H, W, C) -> (N, C, H, W)
            return run(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))).numpy()

    yield logits


@contextmanager
def _keras(path: Path, output: str) -> Generator[Callable[[Array], Array]]:
    del output  # the model has one
    model, _ = open_keras_archive(path)
    yield lambda images: np.asarray(model(images, training=False))


_READERS = {
    Kind.SAVEDMODEL: (
        Reader(
            title="TensorFlow, as a session",
            packages=("tensorflow", "tensorflow-cpu"),
            module="tensorflow",
            open=_tensorflow_session,
        ),
        Reader(title="OpenVINO", packages=("openvino",), module="openvino", open=_openvino),
    ),
    Kind.ONNX: (Reader(title="ONNX Runtime", packages=("onnxruntime",), module="onnxruntime", open=_onnx_runtime),),
    Kind.TFLITE: (Reader(title="LiteRT", packages=("ai-edge-litert",), module="ai_edge_litert", open=_litert),),
    Kind.TORCH_EXPORT: (
        Reader(title="PyTorch, torch.export", packages=("torch",), module="torch", open=_torch_program),
    ),
    Kind.KERAS: (Reader(title="Keras", packages=("keras",), module="keras", open=_keras),),
}
