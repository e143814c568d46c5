"""What a model can be asked, in the words of TensorFlow Serving: signatures and their tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

DEFAULT = "serving_default"
CLASSIFY_BYTES = "classify_bytes"
FEATURES = "features"


class DataType(StrEnum):
    """TensorFlow's types that the signatures use."""

    FLOAT = "DT_FLOAT"
    INT32 = "DT_INT32"
    INT64 = "DT_INT64"
    STRING = "DT_STRING"


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A named input or output."""

    name: str
    """Its name in the graph, such as `images:0`."""
    dtype: DataType
    shape: tuple[int, ...]
    """-1 where any size goes; the first is the number of images."""


@dataclass(frozen=True, kw_only=True)
class Signature:
    """A function of the model: one input, whose rows are images, and outputs with a row for each of them."""

    input_name: str
    input: Tensor
    outputs: Mapping[str, Tensor]

    @property
    def takes_bytes(self) -> bool:
        """Whether the images are files."""
        return self.input.dtype is DataType.STRING


def metadata(name: str, version: int, signatures: Mapping[str, Signature]) -> dict[str, Any]:
    """The answer to GET .../metadata: protobuf's JSON of a GetModelMetadataResponse.

    Source: tensorflow/serving apis/get_model_metadata.proto, model_servers/http_rest_api_util.cc.
    """
    definitions = {key: _signature(signatures[key]) for key in sorted(signatures)}
    return {
        "model_spec": {"name": name, "signature_name": "", "version": str(version)},
        "metadata": {"signature_def": {"signature_def": definitions}},
    }


def _signature(signature: Signature) -> dict[str, Any]:
    return {
        "inputs": {signature.input_name: _tensor(signature.input)},
        "outputs": {name: _tensor(tensor) for name, tensor in sorted(signature.outputs.items())},
        "method_name": "tensorflow/serving/predict",
    }


def _tensor(tensor: Tensor) -> dict[str, Any]:
    sizes = [{"size": str(size), "name": ""} for size in tensor.shape]
    return {
        "dtype": tensor.dtype.value,
        "tensor_shape": {"dim": sizes, "unknown_rank": False},
        "name": tensor.name,
    }
