"""A SavedModel, run by TensorFlow: loaded once, its signatures called as they are."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from effnet.choices import Backend as Framework
from effnet.decoding import check_size
from effnet.frameworks import import_frameworks
from effnet.serving.about import about_model
from effnet.serving.backend import About, Group, Prepared
from effnet.serving.errors import RefusedBatch, UnservableModel
from effnet.serving.response import Row
from effnet.serving.signatures import DataType, Signature, Tensor

_NOISE = re.compile(r"\{\{.*?\}\}|\[\[.*?\]\]|\[Op:\w+\]")
"""What TensorFlow writes about its graph around a message."""
_ASSERTION = re.compile(r"assertion failed: \[(.*?)\]( \[.*\])?$")
"""How TensorFlow reports what the graph itself refuses: the reason, and values that belong to it."""
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
"""What the graph decodes (`effnet_tf.decoding`)."""


@dataclass(frozen=True, kw_only=True)
class File:
    """An image file that the graph decodes."""

    data: bytes
    pixels: int
    """Height times width, as its head says."""


class SavedModel:
    """The signatures of a SavedModel that take one tensor."""

    def __init__(self, path: Path, *, threads: int | None, pixels: int) -> None:
        """Raises `UnservableModel` for a folder that cannot be loaded or was not written by this project."""
        # Otherwise its decoders write lines of their own about every broken image, between those of the log.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import_frameworks([Framework.TF])
        self._tf: Any = import_module("tensorflow")
        if threads is not None:
            _limit_threads(self._tf, threads)
        self.about: About = _about(path)
        # What it loads lives as long as this object does.
        self._loaded: Any = _load(self._tf, path)
        errors = self._tf.errors
        self._refusals = (errors.InvalidArgumentError, errors.OutOfRangeError, errors.DataLossError)
        self._pixels = pixels
        self._functions: dict[str, Any] = {}
        self.signatures: Mapping[str, Signature] = self._read(path)

    def _read(self, path: Path) -> dict[str, Signature]:
        found: dict[str, Signature] = {}
        for name, definition in _definitions(path).items():
            if len(definition.inputs) == 1 and name in self._loaded.signatures:
                ((input_name, info),) = definition.inputs.items()
                outputs = {key: _tensor(value) for key, value in definition.outputs.items()}
                found[name] = Signature(input_name=input_name, input=_tensor(info), outputs=outputs)
                self._functions[name] = self._loaded.signatures[name]
        if not found:
            raise UnservableModel(f"{path} has no signature with one input. Write it with `effnet export`.")
        return found

    def prepare(self, signature: str, image: Any) -> Prepared:
        """See `Backend.prepare`. The model decodes files itself; here only their size is looked at."""
        if self.signatures[signature].takes_bytes:
            file = File(data=image, pixels=check_size(image, pixel_limit=self._pixels, formats=_FORMATS))
            return Prepared(group=Group(signature=signature, shape=()), value=file)
        return Prepared(group=Group(signature=signature, shape=image.shape), value=image)

    def run(self, group: Group, values: Sequence[Any]) -> Sequence[Row]:
        """See `Backend.run`."""
        if not self.signatures[group.signature].takes_bytes:
            return self._call(group.signature, self._tf.constant(np.stack(values)))
        parts = in_parts(values, self._pixels)
        return [row for part in parts for row in self._call(group.signature, self._tf.constant(part))]

    def _call(self, name: str, batch: Any) -> list[Row]:
        signature = self.signatures[name]
        try:
            found = self._functions[name](**{signature.input_name: batch})
        except self._refusals as error:
            raise RefusedBatch(readable(error.message)) from None
        outputs = {name: value.numpy() for name, value in found.items()}
        return [{name: array[index] for name, array in outputs.items()} for index in range(len(batch))]


def in_parts(files: Sequence[File], pixels: int) -> list[list[bytes]]:
    """The bytes of the files, in order, as batches of at most so many pixels; a file that alone has more is alone."""
    parts: list[list[bytes]] = []
    room = 0
    for file in files:
        if not parts or file.pixels > room:
            parts.append([])
            room = pixels
        parts[-1].append(file.data)
        room -= file.pixels
    return parts


def readable(message: str) -> str:
    """The last line of a message of TensorFlow, which says why, without the names of its graph."""
    lines = (" ".join(_NOISE.sub("", line).split()) for line in reversed(message.splitlines()))
    told = next((line for line in lines if line), "TensorFlow refused it")
    return _ASSERTION.sub(lambda found: found[1] + (found[2] or ""), told).removesuffix(".")


def _limit_threads(tf: Any, threads: int) -> None:
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:  # TensorFlow has computed before: the second model of the same server
        return


def _load(tf: Any, path: Path) -> Any:
    try:
        return tf.saved_model.load(str(path))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise UnservableModel(f"{path} cannot be loaded by TensorFlow: {error}") from None


def _definitions(path: Path) -> dict[str, Any]:
    """The signatures as the file lists them, with the names that TensorFlow Serving shows."""
    model = import_module("tensorflow.core.protobuf.saved_model_pb2").SavedModel()
    model.ParseFromString((path / "saved_model.pb").read_bytes())
    definitions = model.meta_graphs[0].signature_def
    return {name: value for name, value in definitions.items() if not name.startswith("__")}  # __saved_model_init_op


def _tensor(info: Any) -> Tensor:
    types = import_module("tensorflow.core.framework.types_pb2").DataType
    shape = tuple(int(dim.size) for dim in info.tensor_shape.dim)
    return Tensor(name=info.name, dtype=DataType(types.Name(info.dtype)), shape=shape)


def _about(path: Path) -> About:
    assets = path / "assets"
    spec, labels, card = (_text(assets / name) for name in ("effnet.json", "labels.txt", "card.json"))
    try:
        parsed = None if card is None else json.loads(card)
    except ValueError as error:
        raise UnservableModel(f"{assets / 'card.json'} is no JSON: {error}. Export the model again.") from None
    return about_model(path, spec=spec, labels=None if labels is None else labels.rstrip("\n").split("\n"), card=parsed)


def _text(file: Path) -> str | None:
    return file.read_text(encoding="utf-8") if file.is_file() else None
