from collections.abc import Iterator

import pytest
import torch

from effnet.backends import device_of
from effnet.choices import Backend, Device
from effnet_core import NetworkSpec
from tests.effnet_torch.helpers import narrow


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)  # narrow networks lose more by waiting for threads than they gain


@pytest.fixture(autouse=True)
def _same_numbers_in_every_run() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each device, with float32 meaning float32 (no TF32)."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("PyTorch sees no CUDA device on this machine")
    with device_of(Backend.TORCH, Device(request.param)):
        yield request.param


@pytest.fixture
def spec() -> NetworkSpec:
    """A narrow B0 with 10 classes: residuals, squeeze-and-excite, strides, kernels 3 and 5, no expansion in block 0."""
    return narrow()
