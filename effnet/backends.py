"""Run one network in one backend: numpy in, numpy out, whatever is between.

Arrays are channels last here: (N, H, W, C) or (N, C), in both directions and for both frameworks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from effnet.choices import Backend, Device, Precision
from effnet.errors import DeviceUnavailable
from effnet.frameworks import TITLES, import_frameworks
from effnet_core import InvalidOption, NetworkSpec

if TYPE_CHECKING:  # not at run time: workers of other environments have none of what converting needs
    from converters import LeftOut
    from effnet.sources import Source

Array = NDArray[Any]
Runner = Callable[[Array], dict[str, Array]]
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
_DETERMINISTIC_WORKSPACES = (":4096:8", ":16:8")
"""Source: NVIDIA, cuBLAS documentation, section Results reproducibility."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """A definition with its weights, and where they come from."""

    spec: NetworkSpec
    state: Mapping[str, Array] = field(repr=False)
    """Canonical names, TensorFlow's layouts."""
    name: str
    """What messages call it: the file, usually."""
    format: str | None = None
    """Name of the file's format, None for a network in memory."""
    notes: tuple[str, ...] = ()
    """What was decided while it was read, one sentence each."""
    left_out: tuple[LeftOut, ...] = ()
    """What else the file holds, by kind."""
    source: Source | None = field(default=None, repr=False, compare=False)
    """The file and how it was read; None for a network in memory, and for one that was adapted."""


@contextmanager
def runner(
    network: Network, *, endpoints: Sequence[str], backend: Backend, precision: Precision, device: Device
) -> Generator[Runner]:
    """A function from normalised input (N, H, W, C) to the endpoints by name, in inference mode.

    On `cuda`, TF32 is off while the context is open, and PyTorch uses deterministic algorithms alone. TensorFlow's
    cannot be switched off again once they are on (tf.config.experimental.enable_op_determinism), so they are left to
    who starts the process: TF_DETERMINISTIC_OPS=1. Raises `MissingFramework`, `DeviceUnavailable`, and `InvalidOption`
    for a CUBLAS_WORKSPACE_CONFIG with which cuBLAS is not deterministic.
    """
    import_frameworks([backend])
    same_again = deterministic_torch() if (backend, device) == (Backend.TORCH, Device.CUDA) else nullcontext()
    with device_of(backend, device), same_again:
        match backend:
            case Backend.TF:
                yield _tensorflow_runner(network, endpoints, precision)
            case Backend.TORCH:
                yield _torch_runner(network, endpoints, precision, device)
            case Backend.ONNX:
                yield _onnx_runner(network, endpoints, precision, device)


def device_of(backend: Backend, device: Device) -> AbstractContextManager[None]:
    """Where a framework, which is imported, computes while this is open; on `cuda` without TF32.

    Raises `DeviceUnavailable`.
    """
    match backend:
        case Backend.TF:
            return _tensorflow_device(device)
        case Backend.TORCH:
            return _torch_device(device)
        case Backend.ONNX:
            return _onnx_device(device)


@contextmanager
def deterministic_torch() -> Generator[None]:
    """PyTorch gives the same bits every time while this is open; its switches are put back afterwards.

    cuBLAS reads CUBLAS_WORKSPACE_CONFIG when it is first used; where it is unset, it is set for the whole process.
    Raises `InvalidOption` where it is set to what is not deterministic.
    """
    workspace = os.environ.get(_WORKSPACE)
    if workspace not in (None, *_DETERMINISTIC_WORKSPACES):
        raise InvalidOption(
            f"{_WORKSPACE} is {workspace!r}; expected {' or '.join(_DETERMINISTIC_WORKSPACES)}, without which cuBLAS "
            "is not deterministic. Set it so, or unset it."
        )
    os.environ.setdefault(_WORKSPACE, _DETERMINISTIC_WORKSPACES[0])
    torch: Any = import_module("torch")
    cudnn = torch.backends.cudnn
    was_on, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    before = cudnn.deterministic, cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was_on, warn_only=warned)
        cudnn.deterministic, cudnn.benchmark = before


def _tensorflow_runner(network: Network, endpoints: Sequence[str], precision: Precision) -> Runner:
    from effnet_tf import create_model

    model: Any = create_model(network.spec, network.state, endpoints=endpoints, dtype=precision.value)

    def run(inputs: Array) -> dict[str, Array]:
        outputs = model(inputs.astype(precision.value), training=False)
        return {name: np.asarray(outputs[name]) for name in endpoints}

    return run


def _torch_runner(network: Network, endpoints: Sequence[str], precision: Precision, device: Device) -> Runner:
    torch: Any = import_module("torch")
    from effnet_torch import create_model

    model: Any = create_model(
        network.spec, network.state, endpoints=endpoints, dtype=precision.value, device=device.value
    ).eval()

    def run(inputs: Array) -> dict[str, Array]:
        images = torch.from_numpy(inputs.astype(precision.value)).permute(0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)
        with torch.inference_mode():
            outputs = model(images.contiguous().to(device.value))
        return {name: _channels_last(outputs[name].cpu().numpy()) for name in endpoints}

    return run


def _onnx_runner(network: Network, endpoints: Sequence[str], precision: Precision, device: Device) -> Runner:
    session = onnx_session(network, endpoints=endpoints, precision=precision, device=device)

    def run(inputs: Array) -> dict[str, Array]:
        outputs: list[Array] = session.run(list(endpoints), {"image": inputs.astype(precision.value)})
        return dict(zip(endpoints, outputs, strict=True))

    return run


def onnx_session(network: Network, *, endpoints: Sequence[str], precision: Precision, device: Device) -> Any:
    """A session of ONNX Runtime, which decides on its threads itself: images (N, H, W, C) in, `endpoints` out."""
    from effnet_onnx import create_model

    model = create_model(network.spec, network.state, endpoints=endpoints, dtype=precision.value)
    runtime: Any = import_module("onnxruntime")
    # On a graphics processor without TF32, as in the frameworks.
    cuda = ("CUDAExecutionProvider", {"use_tf32": 0})
    return runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"] if device is Device.CPU else [cuda]
    )


@contextmanager
def _onnx_device(device: Device) -> Generator[None]:
    runtime: Any = import_module("onnxruntime")
    if device is Device.CUDA and "CUDAExecutionProvider" not in runtime.get_available_providers():
        raise _unavailable(Backend.ONNX)
    yield


def _channels_last(array: Array) -> Array:
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array  # (N, C, H, W) -> (N, H, W, C)


@contextmanager
def _tensorflow_device(device: Device) -> Generator[None]:
    tf: Any = import_module("tensorflow")
    if device is Device.CPU:
        with tf.device("/CPU:0"):
            yield
        return
    if not tf.config.list_physical_devices("GPU"):
        raise _unavailable(Backend.TF)
    execution = tf.config.experimental
    # Else TensorFlow takes all the memory at its first operation, and nothing is left for PyTorch. Once it has done
    # so, it refuses.
    with suppress(RuntimeError):
        for processor in tf.config.list_physical_devices("GPU"):
            execution.set_memory_growth(processor, True)
    before = execution.tensor_float_32_execution_enabled()
    execution.enable_tensor_float_32_execution(False)
    try:
        with tf.device("/GPU:0"):
            yield
    finally:
        execution.enable_tensor_float_32_execution(before)


@contextmanager
def _torch_device(device: Device) -> Generator[None]:
    torch: Any = import_module("torch")
    if device is Device.CPU:
        yield
        return
    if not torch.cuda.is_available():
        raise _unavailable(Backend.TORCH)
    switches = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [switch.allow_tf32 for switch in switches]
    for switch in switches:
        switch.allow_tf32 = False
    try:
        yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.allow_tf32 = value


def _unavailable(backend: Backend) -> DeviceUnavailable:
    return DeviceUnavailable(
        f"{TITLES[backend]} sees no CUDA device here. Use --device cpu, or install a build of it with CUDA support."
    )
