"""The one place that imports TensorFlow and PyTorch.

Where a CUDA build of PyTorch is installed, `import tensorflow` followed by anything that loads triton (torch.compile,
torch.optim, torchvision) ends in a segmentation fault: seen with tensorflow 2.21 and triton 3.8. Importing `torch` and
`torch._dynamo` before TensorFlow works. So PyTorch comes first whenever both are wanted or triton is there.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec

from effnet.choices import Backend
from effnet.errors import MissingFramework, install_command
from effnet_core import InvalidOption

TITLES = {Backend.TF: "TensorFlow", Backend.TORCH: "PyTorch", Backend.ONNX: "ONNX Runtime"}
"""What people call the backends."""
_STDERR = 2
_START_UP = (b"All log messages before absl::InitializeLog() is called", b"oneDNN custom operations are on")
_PACKAGES = {Backend.TF: ("tensorflow", "keras"), Backend.TORCH: ("torch",), Backend.ONNX: ("onnx", "onnxruntime")}
_EXTRAS = {Backend.TF: "tf", Backend.TORCH: "torch", Backend.ONNX: "onnx"}


def import_frameworks(backends: Iterable[Backend]) -> None:
    """Import the frameworks of these backends in the order that works.

    Raises `MissingFramework`, saying what to install.
    """
    wanted = set(backends)
    check_installed(wanted)
    holds_tensorflow = "tensorflow" in sys.modules
    has_triton = find_spec("triton") is not None and find_spec("torch") is not None
    if Backend.TORCH in wanted or (has_triton and not holds_tensorflow):
        import_module("torch")
        if not (has_triton and holds_tensorflow):  # too late for triton then, and PyTorch alone needs none
            import_module("torch._dynamo")
    if Backend.TF in wanted:
        with _without_start_up_log():
            import_module("tensorflow")
        _check_keras_backend()


@contextmanager
def _without_start_up_log() -> Generator[None]:
    """Keep TensorFlow's C++ libraries from describing the processor on standard error while they are loaded.

    Who sets TF_CPP_MIN_LOG_LEVEL to 0 keeps everything. That variable alone is not enough: the lines of `_START_UP`
    are printed at every level, so standard error goes to a file for a while, and everything else is copied back.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") == "0" or "tensorflow" in sys.modules:
        yield
        return
    sys.stderr.flush()
    before = os.dup(_STDERR)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(before, _STDERR)
            os.close(before)
            log.seek(0)
            kept = [line for line in log if not any(words in line for words in _START_UP)]
            os.write(_STDERR, b"".join(kept))


def is_installed(backend: Backend) -> bool:
    """Whether everything that the backend needs can be imported."""
    return all(find_spec(package) is not None for package in _PACKAGES[backend])


def check_trainable(backends: Iterable[Backend], *, wanted: str) -> None:
    """Raise `InvalidOption` for ONNX Runtime, which has no layers to train or to look into; `wanted` is a noun."""
    if Backend.ONNX in set(backends):
        raise InvalidOption(
            f"{wanted} looks into the layers of a framework, and ONNX Runtime runs whole graphs; expected tf or torch "
            "as the backend. Compare networks with `effnet parity`, which takes onnx too."
        )


def check_installed(backends: Iterable[Backend]) -> None:
    """Raise `MissingFramework`, saying what to install, unless the frameworks of these backends are there."""
    for backend in sorted(set(backends)):
        package = next((package for package in _PACKAGES[backend] if find_spec(package) is None), None)
        if package is not None:
            raise MissingFramework(
                f"{TITLES[backend]} is needed here, and the package {package!r} is not installed. "
                f"Install it, in the checkout: {install_command(_EXTRAS[backend])}"
                f"{' (tf-cpu instead of tf without a GPU)' if backend is Backend.TF else ''}."
            )


def _check_keras_backend() -> None:
    name = import_module("keras").backend.backend()
    if name != "tensorflow":
        raise MissingFramework(
            f"Keras runs on {name!r} here; expected 'tensorflow'. Unset KERAS_BACKEND, or set it to tensorflow."
        )
