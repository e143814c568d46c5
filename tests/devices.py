"""Where a test of both frameworks computes: the processor, and a graphics processor where both see one."""

import pytest

DEVICES = ("cpu", "cuda")


def available(name: str) -> str:
    """The device; skips with the reason where it is not there."""
    if name == "cuda":
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
        if not (torch.cuda.is_available() and tf.config.list_physical_devices("GPU")):
            pytest.skip("PyTorch and TensorFlow see no CUDA device on this machine")
    return name
