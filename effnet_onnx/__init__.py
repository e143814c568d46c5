"""The third twin: networks as ONNX graphs, images as their input, without TensorFlow or PyTorch.

Importing the package loads numpy alone: what needs onnx is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from effnet_onnx.model import Layout, TooLarge, create_model

__all__ = ["Layout", "TooLarge", "create_model"]


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("effnet_onnx.model"), name)
