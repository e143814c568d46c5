"""An ONNX file behind the signatures of the SavedModel: ONNX Runtime for the network, NumPy for everything around it.

Neither TensorFlow nor PyTorch is imported.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from effnet.errors import MissingFramework, install_command
from effnet.serving.about import about_model
from effnet.serving.backend import About, Group, Prepared
from effnet.serving.errors import UnservableModel
from effnet.serving.logs import log
from effnet.serving.response import Row
from effnet.serving.signatures import CLASSIFY_BYTES, DEFAULT, FEATURES, DataType, Signature, Tensor

_IMAGES, _LOGITS, _FEATURES = "images", "logits", "features"


class OnnxModel:
    """A session of ONNX Runtime on the processor."""

    def __init__(self, path: Path, *, threads: int | None, pixels: int) -> None:
        """Raises `UnservableModel` for a file that cannot be loaded or was not written by this project."""
        self._session = _session(path, threads)
        self.about: About = _about(path, self._session.get_modelmeta().custom_metadata_map)
        self._pixels = pixels
        self._input = _IMAGES
        self.signatures: Mapping[str, Signature] = _signatures(path, self.about, self._session)

    def prepare(self, signature: str, image: Any) -> Prepared:
        """See `Backend.prepare`. Files are decoded and normalised here."""
        if signature == CLASSIFY_BYTES:
            image = _load_bytes(image, self.about, self._pixels)
        return Prepared(group=Group(signature=signature, shape=image.shape), value=image)

    def run(self, group: Group, values: Sequence[Any]) -> Sequence[Row]:
        """See `Backend.run`."""
        batch = np.stack(values)
        wanted = _FEATURES if _FEATURES in self.signatures[group.signature].outputs else _LOGITS
        (found,) = cast("list[NDArray[Any]]", self._session.run([wanted], {self._input: batch}))
        if wanted == _FEATURES:
            return [{_FEATURES: row} for row in found]
        probabilities = softmax(found)
        if group.signature == DEFAULT:
            return [{_LOGITS: row, "probabilities": share} for row, share in zip(found, probabilities, strict=True)]
        return [self._best(row) for row in probabilities]

    def _best(self, probabilities: NDArray[np.float32]) -> Row:
        """The most probable classes first; of equal ones the one with the lower number, as tf.math.top_k has them."""
        order = np.argsort(-probabilities, kind="stable")[: top(self.about, len(probabilities))].astype(np.int32)
        labels = self.about.labels
        names = [str(index) if labels is None else labels[index] for index in map(int, order)]
        return {"classes": np.array(names, dtype=object), "probabilities": probabilities[order], "indices": order}


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities (N, classes) in float32."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def top(about: About, classes: int) -> int:
    """How many classes `classify_bytes` names."""
    return min(int(about.card.get("top", 5)), classes)


def _session(path: Path, threads: int | None) -> Any:
    if find_spec("onnxruntime") is None:
        raise MissingFramework(
            f"An ONNX model needs ONNX Runtime. Install it, in the checkout: {install_command('onnx')}."
        )
    runtime: Any = import_module("onnxruntime")
    options = runtime.SessionOptions()
    # It keeps a plan of memory for every shape that it has ever seen; clients choose the shapes.
    options.enable_mem_pattern = False
    # Between two batches, its threads would otherwise take the time of those that decode images and answer.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    # Its errors have no common class below Exception.
    except Exception as error:
        raise UnservableModel(f"{path} cannot be loaded by ONNX Runtime: {error}") from None


def _about(path: Path, found: Mapping[str, str]) -> About:
    try:
        labels, card = (json.loads(found[key]) if key in found else None for key in ("effnet.labels", "effnet.card"))
    except ValueError as error:
        raise UnservableModel(f"{path} has names or a card that are no JSON: {error}. Export it again.") from None
    return about_model(path, spec=found.get("effnet.spec"), labels=labels, card=card)


def _load_bytes(data: bytes, about: About, pixels: int) -> NDArray[np.float32]:
    from effnet.images import load_bytes

    return load_bytes(data, about.spec.preprocessing, pixel_limit=pixels)


def _images(path: Path, about: About, session: Any) -> Tensor:
    """The input: free sizes are -1. Raises `UnservableModel` for an input that `effnet export` does not write."""
    channels = about.spec.stem.in_channels
    inputs = [(item.name, item.type, list(item.shape)) for item in session.get_inputs()]
    name, kind, shape = inputs[0]
    fits = len(shape) == 4 and not isinstance(shape[0], int) and shape[3] == channels
    if len(inputs) != 1 or name != _IMAGES or kind != "tensor(float)" or not fits:
        found = ", ".join(f"{name}: {kind} {tuple(shape)}" for name, kind, shape in inputs)
        raise UnservableModel(
            f"{path} takes {found}. Expected {_IMAGES}: tensor(float) (N, height, width, {channels}), as "
            "`effnet export ... --as onnx` writes it. Export the model so."
        )
    sizes = (size if isinstance(size, int) else -1 for size in shape[1:3])
    return Tensor(name=f"{_IMAGES}:0", dtype=DataType.FLOAT, shape=(-1, *sizes, channels))


def _signatures(path: Path, about: About, session: Any) -> dict[str, Signature]:
    outputs = {item.name: item for item in session.get_outputs()}
    images = _images(path, about, session)
    if _LOGITS not in outputs and _FEATURES not in outputs:
        raise UnservableModel(
            f"{path} gives {', '.join(outputs)}. Expected {_LOGITS} or {_FEATURES}, as `effnet export ... --as onnx` "
            "writes them. Export the model so."
        )
    found: dict[str, Signature] = {}
    if _FEATURES in outputs:
        features = _floats(_FEATURES, _width(outputs[_FEATURES]))
        found[FEATURES] = Signature(input_name=_IMAGES, input=images, outputs={_FEATURES: features})
    if _LOGITS not in outputs:
        # As the SavedModel of a network without classifier has it.
        return found | {DEFAULT: found[FEATURES]}
    classes = _width(outputs[_LOGITS])
    rows = {_LOGITS: _floats(_LOGITS, classes), "probabilities": _floats("probabilities", classes)}
    found[DEFAULT] = Signature(input_name=_IMAGES, input=images, outputs=rows)
    side = about.spec.preprocessing.resolution
    if any(size not in (-1, side) for size in images.shape[1:3]):
        why = f"The file takes {images.shape[1]} x {images.shape[2]}; photographs are prepared as {side} x {side}."
        log("left out", level=logging.WARNING, signature=CLASSIFY_BYTES, path=str(path), why=why)
    elif images.shape[3] == 3:
        best = top(about, classes)
        found[CLASSIFY_BYTES] = Signature(
            input_name="image_bytes",
            input=Tensor(name="image_bytes:0", dtype=DataType.STRING, shape=(-1,)),
            outputs={
                "classes": Tensor(name="classes:0", dtype=DataType.STRING, shape=(-1, best)),
                "probabilities": _floats("probabilities", best),
                "indices": Tensor(name="indices:0", dtype=DataType.INT32, shape=(-1, best)),
            },
        )
    return found


def _floats(name: str, width: int) -> Tensor:
    return Tensor(name=f"{name}:0", dtype=DataType.FLOAT, shape=(-1, width))


def _width(output: Any) -> int:
    size = output.shape[-1]
    return size if isinstance(size, int) else -1
