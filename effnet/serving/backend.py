"""What runs a model: twins over TensorFlow (`saved_model`) and ONNX Runtime (`onnx_model`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from effnet.serving.response import Row
from effnet.serving.signatures import Signature
from effnet_core import NetworkSpec


@dataclass(frozen=True, kw_only=True)
class Group:
    """What images must have in common to be run together."""

    signature: str
    shape: tuple[int, ...]
    """(height, width, channels); empty for files that the model itself decodes."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An image that is ready to be put into a batch."""

    group: Group
    value: Any
    """An array (H, W, C), or the bytes of a file."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What a model says of itself."""

    spec: NetworkSpec
    labels: tuple[str, ...] | None
    """A name for each logit, None where they have none."""
    card: Mapping[str, Any]
    """What the export wrote: `effnet`, `source`, `digest`, `folded`, `top`, `runtime`."""


class Backend(Protocol):
    """A loaded model."""

    about: About
    signatures: Mapping[str, Signature]

    def prepare(self, signature: str, image: Any) -> Prepared:
        """An image of a request, a file's bytes or an array (H, W, C); called by several threads at once.

        Raises `InputError` for a file that is no image, broken, or larger than what is decoded.
        """
        ...

    def run(self, group: Group, values: Sequence[Any]) -> Sequence[Row]:
        """The outputs for each image of a batch; called by one thread at a time.

        Raises `RefusedBatch` when one of the images is to blame.
        """
        ...
