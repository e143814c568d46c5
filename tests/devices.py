"""Where a test computes: the processor, and a graphics processor where the frameworks that it needs see one."""

import pytest

DEVICES = ("cpu", "cuda")
TORCH, TF = "PyTorch", "TensorFlow"


def available(name: str, *frameworks: str) -> str:
    """The device; skips with the reason where these frameworks, by default both, do not see it."""
    if name == "cuda":
        wanted = frameworks or (TORCH, TF)
        blind = [framework for framework in wanted if not _SEES[framework]()]
        if blind:
            pytest.skip(f"{' and '.join(blind)} see{'' if len(blind) > 1 else 's'} no CUDA device on this machine")
    return name


def _torch_sees() -> bool:
    return pytest.importorskip("torch", reason="PyTorch is not installed").cuda.is_available()


def _tensorflow_sees() -> bool:
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    return bool(tf.config.list_physical_devices("GPU"))


_SEES = {TORCH: _torch_sees, TF: _tensorflow_sees}
