"""The TensorFlow tensor bundle ("V2 checkpoint"): `PREFIX.index` and `PREFIX.data-00000-of-00001`.

Read and written without TensorFlow. Source: tensorflow/core/util/tensor_bundle/{tensor_bundle,naming}.cc and
tensorflow/core/protobuf/tensor_bundle.proto. The parts are in `converters.formats._bundle`.
"""

from __future__ import annotations

from converters.formats._bundle.reader import TensorBundleReader
from converters.formats._bundle.sidecar import SUFFIX as METADATA_SUFFIX
from converters.formats._bundle.writer import TensorBundleWriter

__all__ = ["METADATA_SUFFIX", "TensorBundleReader", "TensorBundleWriter"]
