"""What a runner switches, and puts back."""

import os

import numpy as np
import pytest

from effnet import Network
from effnet.backends import deterministic_torch, runner
from effnet.choices import Backend, Device, Precision
from effnet_core import InvalidOption, resolve
from tests import devices
from tests.lively import images, lively_state

SPEC = resolve("b0", width=0.13, depth=0.1, num_classes=10)
VARIABLE = "CUBLAS_WORKSPACE_CONFIG"


def switches(torch):
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
    )


@pytest.fixture
def torch(monkeypatch):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    monkeypatch.setenv(VARIABLE, ":16:8")  # so that it is put back
    monkeypatch.delenv(VARIABLE)
    before = switches(torch)
    yield torch
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before[2:]


@pytest.mark.parametrize("before", [(False, False, False, True), (True, True, True, False)])
def test_pytorch_is_deterministic_within_and_as_it_was_afterwards(torch, before):
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before[2:]
    with deterministic_torch():
        assert switches(torch) == (True, False, True, False)
        assert os.environ[VARIABLE] == ":4096:8"
    assert switches(torch) == before
    with pytest.raises(ZeroDivisionError), deterministic_torch():
        raise ZeroDivisionError
    assert switches(torch) == before


def test_a_workspace_that_is_set_stays(torch, monkeypatch):
    monkeypatch.setenv(VARIABLE, ":16:8")
    with deterministic_torch():
        assert os.environ[VARIABLE] == ":16:8"


def test_a_workspace_that_is_not_deterministic_is_refused(torch, monkeypatch):
    monkeypatch.setenv(VARIABLE, ":0:0")
    before = switches(torch)
    with pytest.raises(InvalidOption, match=r"':0:0'; expected :4096:8 or :16:8.*unset it"), deterministic_torch():
        pass
    assert switches(torch) == before


@pytest.mark.parametrize(
    ("name", "backend"),
    [("cpu", Backend.TF), ("cpu", Backend.TORCH), ("cuda", Backend.TORCH)],  # TensorFlow's are not switched on on cuda
)
def test_a_network_gives_the_same_bits_every_time(name, backend):
    device = Device(devices.available(name, *([devices.TORCH] if backend is Backend.TORCH else [])))
    network = Network(spec=SPEC, state=lively_state(SPEC), name="net")
    options = {"endpoints": ("logits",), "backend": backend, "precision": Precision.FLOAT32, "device": device}
    with runner(network, **options) as run:
        first, again = run(images(2, 64, 48)), run(images(2, 64, 48))
        other = run(images(2, 64, 48, seed=1))
    np.testing.assert_array_equal(first["logits"], again["logits"])
    assert (first["logits"] != other["logits"]).any()
