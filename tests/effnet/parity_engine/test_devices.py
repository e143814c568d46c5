"""PyTorch on each device against PyTorch on the processor; needs PyTorch alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from effnet.backends import Network
from effnet.choices import Backend, Device, Precision
from effnet.parity_engine.bits import differing_bits
from effnet.parity_engine.exact_run import ExactRequest, run_exactly
from effnet.parity_engine.grid import Grid
from effnet.parity_engine.trainee import USUAL, Course, lane
from effnet.parity_engine.training import FLOAT64_LIMIT
from effnet.parity_engine.training_compare import compare_step
from effnet_core import endpoints, resolve, training_recipe
from tests import devices
from tests.lively import images, lively_state

STEPS = 10


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    torch.set_num_threads(1)  # narrow networks lose more by waiting for threads than they gain


@pytest.fixture
def device(request):
    return Device(devices.available(request.param, devices.TORCH))


def cases(*networks):
    """Each network on cuda, and the first one on the processor too, for the control."""
    return [("cpu", *networks[0]), *(("cuda", *network) for network in networks)]


def narrow(variant):
    spec = resolve(variant, width=0.1, depth=0.35, num_classes=7, drop_connect_rate=0.4)
    return Network(spec=spec, state=lively_state(spec), name=variant)


def exact(network, device):
    request = ExactRequest(
        batch=images(2, 48, 33), names=endpoints(network.spec), reference=network.spec, grid=Grid(), seed=0
    )
    return run_exactly(network, request, backend=Backend.TORCH, device=device)


def parting(a, b):
    """Weights and layers' results that differ in a bit, the first one first."""
    pairs = ((a.held, b.held), (a.inference.values, b.inference.values), (a.training.values, b.training.values))
    assert all(set(left) == set(right) for left, right in pairs)
    return [name for left, right in pairs for name in left if differing_bits(name, left[name], right[name]).differing]


@pytest.mark.parametrize(
    ("device", "variant"),
    cases(("lite0",), ("b0",), ("edgetpu-s",), ("condconv-b0-4e",), ("v2-b0",)),
    indirect=["device"],
)
def test_in_exact_arithmetic_not_one_bit_depends_on_the_device(variant, device):
    network = narrow(variant)
    there = exact(network, device)
    assert parting(exact(network, Device.CPU), there) == []
    kernel = network.state["blocks.1.project.conv.kernel"].copy()
    kernel.flat[3] += 0.25
    changed = replace(network, state={**network.state, "blocks.1.project.conv.kernel": kernel})
    seen = parting(exact(changed, Device.CPU), there)
    assert seen[:2] == ["blocks.1.project.conv.kernel", "blocks.1.project.conv"]


def trained(network, device, precision, recipe):
    rate = recipe.schedule.learning_rate(batch_size=256, steps_per_epoch=1, total_steps=STEPS)
    labels = np.array([3, 0, 6, 1])
    course = Course(recipe=recipe, learning_rate=rate, steps=STEPS, batch=images(4, 48, 33), labels=labels, seed=0)
    with lane(network, USUAL, course, backend=Backend.TORCH, precision=precision, device=device) as made:
        return [made.step(number) for number in range(STEPS)]


def in_both(network, device, recipe):
    return [trained(network, device, precision, recipe) for precision in (Precision.FLOAT64, Precision.FLOAT32)]


def compared(here, there):
    """Every tensor of every step, with the verdict of a comparison of training."""
    return [
        tensor
        for number, (a, b, a32, b32) in enumerate(zip(here[0], there[0], here[1], there[1], strict=True))
        for tensor in compare_step(number, (a, b), (a32, b32), limit=FLOAT64_LIMIT)[1]
    ]


@pytest.mark.parametrize(
    ("device", "variant", "recipe"), cases(("lite0", "v1"), ("b0", "v1"), ("v2-b0", "v2")), indirect=["device"]
)
def test_ten_steps_of_training_do_not_depend_on_the_device(variant, recipe, device):
    network, rule = narrow(variant), training_recipe(recipe)
    here = in_both(network, Device.CPU, rule)
    found = compared(here, in_both(network, device, rule))
    assert [tensor for tensor in found if not tensor.agrees] == []
    other = compared(here, in_both(network, device, replace(rule, label_smoothing=0.11)))
    assert sum(not tensor.agrees for tensor in other) > len(other) / 2
