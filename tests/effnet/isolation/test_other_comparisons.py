"""Exact arithmetic and trainings give the same numbers in processes of their own."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from effnet import Network, Trainee, exact_parity, training_parity
from effnet.choices import Backend, Device, Isolation, Precision
from effnet.errors import SeparateProcessFailed
from effnet.isolation import decision, exact, process, training
from effnet.isolation.process import Worker
from effnet.parity_engine import pair
from effnet.parity_engine.exact_run import ExactRequest, run_exactly
from effnet.parity_engine.grid import Grid
from effnet.parity_engine.pair import Processes
from effnet.parity_engine.trainee import USUAL, Course, lane
from effnet_core import TRAINING_RECIPES, Decay, InvalidOption, LearningRate, endpoints, resolve
from tests.lively import images, lively_state

SPEC = resolve("b0", width=0.13, num_classes=7, drop_connect_rate=0.6)
SPEC = replace(
    SPEC,
    blocks=(SPEC.blocks[0], SPEC.blocks[2]),
    head=replace(SPEC.head, in_channels=SPEC.blocks[2].out_channels),
)
NETWORK = Network(spec=SPEC, state=lively_state(SPEC), name="net")
GAMMA = "blocks.1.expand.norm.gamma"
OTHER = replace(NETWORK, state=NETWORK.state | {GAMMA: NETWORK.state[GAMMA] * np.float32(1.5)}, name="other")
IN_TORCH = {"a_backend": "torch", "b_backend": "torch", "inputs": images(2, 24, 33)}
HERE = {"backend": Backend.TORCH, "device": Device.CPU}
WORKER = Worker(title="net")


@pytest.fixture(autouse=True)
def _torch():
    pytest.importorskip("torch", reason="PyTorch is not installed")


def test_exact_arithmetic_gives_the_same_bits():
    request = ExactRequest(
        batch=images(2, 24, 33), names=endpoints(SPEC), reference=SPEC, grid=Grid(activations=11), seed=3
    )
    here = run_exactly(NETWORK, request, **HERE)
    apart = exact.run_elsewhere(WORKER, NETWORK, request, **HERE)
    for one, other in zip(parts(here), parts(apart), strict=True):
        assert different(one, other) == []
    assert (here.inference.margins, here.training.bits) == (apart.inference.margins, apart.training.bits)
    assert here.training.odd == apart.training.odd
    changed = run_exactly(OTHER, request, **HERE)  # the control
    assert "blocks.1.expand.norm" in different(changed.inference.values, apart.inference.values)


def parts(run):
    return run.held, run.inference.values, run.training.values, run.statistics


def different(one, other):
    assert list(one) == list(other)
    return [name for name in one if (one[name] != other[name]).any() or one[name].dtype != other[name].dtype]


def test_a_training_gives_the_same_bits():
    course = Course(
        recipe=TRAINING_RECIPES["v2-21k"],
        learning_rate=LearningRate(decay=Decay.EXPONENTIAL, peak=0.1, warmup_steps=0, factor=0.5),
        steps=2,
        batch=images(2, 24, 33),
        labels=np.array([1, 6]),
        seed=5,
    )
    with ExitStack() as open_:
        apart = training.lanes(WORKER, NETWORK, course, **HERE, precisions=[Precision.FLOAT64], open_=open_)
        here, other = (
            open_.enter_context(lane(one, USUAL, course, **HERE, precision=Precision.FLOAT64))
            for one in (NETWORK, OTHER)
        )
        assert apart[Precision.FLOAT64].sites == here.sites
        assert {site.name for site in here.sites} == {"blocks.1.drop_connect", "dropout"}
        for number in range(course.steps):
            one, same, changed = (running.step(number) for running in (here, apart[Precision.FLOAT64], other))
            assert (one.loss, one.learning_rate) == (same.loss, same.learning_rate)
            assert one.loss != changed.loss  # the control
            for part in ("gradients", "variables", "averages"):
                assert different(getattr(one, part), getattr(same, part)) == []
                assert different(getattr(one, part), getattr(changed, part)) != []


@pytest.mark.parametrize("compare", [exact_parity, training_parity])
def test_processes_of_their_own_are_taken_where_one_is_known_to_crash(compare, monkeypatch):
    late = replace(decision.facts(), holds_tensorflow=True, has_triton=True, holds_triton=False)
    monkeypatch.setattr(pair, "facts", lambda: late)
    monkeypatch.setattr(process.sys, "executable", "nowhere/python")
    with pytest.raises(SeparateProcessFailed, match="A \\(net\\) in PyTorch cannot run in a process of its own"):
        compare(NETWORK, NETWORK, **IN_TORCH)
    with pytest.raises(InvalidOption, match="a process has one Python"):
        compare(NETWORK, NETWORK, **IN_TORCH, processes=Processes(isolation=Isolation.NEVER, b_python=Path("python")))


def test_a_model_of_ones_own_trains_in_this_process_alone():
    apart = Processes(isolation=Isolation.ALWAYS)
    with pytest.raises(InvalidOption, match=r"A Trainee holds functions.*'always' was asked for.*isolation 'never'"):
        training_parity(NETWORK, NETWORK, **IN_TORCH, b_trainee=Trainee(build=print), processes=apart)
