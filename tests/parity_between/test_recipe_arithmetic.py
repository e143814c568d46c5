"""Optimisers, moving averages, losses and schedules of both backends, with TensorFlow 1's own code as judge."""

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from effnet.choices import Backend
from effnet.frameworks import import_frameworks
from effnet_core import TRAINING_RECIPES, Decay, Decayed, LearningRate, RmsProp, Sgd, WeightDecay, parameters
from tests.heads import short, with_hidden
from tests.lively import lively_state

Array = NDArray[Any]
RULES = {"rmsprop": RmsProp(decay=0.9, momentum=0.9, epsilon=1e-3), "sgd": Sgd(momentum=0.9)}
RATES = (0.0, 0.02, 0.05, 0.1, 0.03, 0.03)
"""They change, which tells a rate inside the momentum from one outside."""
START = np.random.default_rng(0).normal(size=(3, 5))
GRADIENTS = [np.random.default_rng(step).normal(size=(3, 5)) for step in range(len(RATES))]


@pytest.fixture(scope="module", autouse=True)
def _frameworks() -> None:
    import_frameworks(Backend)
    import_module("torch").set_num_threads(1)


def of_tensorflow_1(rule: Any, dtype: str) -> tuple[Array, dict[str, Array]]:
    """What TensorFlow's own optimiser makes of the start, and its slots."""
    v1 = import_module("tensorflow").compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        variable = v1.Variable(START.astype(dtype), use_resource=True)
        gradient, rate = v1.placeholder(dtype, START.shape), v1.placeholder(dtype, [])
        # Plain numbers would be rounded to float32 on the way.
        numbers = [v1.constant(number, dtype) for number in vars(rule).values()]
        if isinstance(rule, RmsProp):
            decay, momentum, epsilon, _ = numbers
            optimizer = v1.train.RMSPropOptimizer(rate, decay, momentum, epsilon)
        else:
            optimizer = v1.train.MomentumOptimizer(rate, numbers[0])
        step = optimizer.apply_gradients([(gradient, variable)])
        session.run(v1.global_variables_initializer())
        for value, number in zip(GRADIENTS, RATES, strict=True):
            session.run(step, {gradient: value, rate: number})
        slots = {name: session.run(optimizer.get_slot(variable, name)) for name in optimizer.get_slot_names()}
        return session.run(variable), slots


def of_torch(rule: Any, dtype: str, optimizer: Any = None) -> tuple[Array, list[Array]]:
    torch: Any = import_module("torch")
    module: Any = import_module("effnet_torch.optimizers")
    tensor = torch.nn.Parameter(torch.from_numpy(START.astype(dtype)))
    made = module.create_optimizer(rule, [tensor], lr=0.1) if optimizer is None else optimizer([tensor])
    for value, number in zip(GRADIENTS, RATES, strict=True):
        made.param_groups[0]["lr"] = number
        tensor.grad = torch.from_numpy(value.astype(dtype))
        made.step()
    return tensor.detach().numpy(), [slot.numpy() for slot in module.read_slots(made, tensor).values()]


def of_keras(rule: Any, dtype: str, optimizer: Any = None) -> tuple[Array, list[Array]]:
    keras: Any = import_module("keras")
    tf: Any = import_module("tensorflow")
    module: Any = import_module("effnet_tf.optimizers")
    variable = keras.Variable(START.astype(dtype), dtype=dtype)

    rates = list(RATES)

    def rate() -> Any:
        return tf.constant(rates[0], tf.float64)

    made = module.create_optimizer(rule, learning_rate=rate) if optimizer is None else optimizer(rate)
    made.build([variable])
    for value in GRADIENTS:
        made.apply([tf.constant(value.astype(dtype))], [variable])
        rates.pop(0)
    return np.array(variable.numpy()), [np.array(slot.numpy()) for slot in module.read_slots(made, 0).values()]


def apart(a: Array, b: Array) -> float:
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    return float(np.abs(a - b).max() / np.abs(b).max())


@pytest.mark.parametrize("run", [of_torch, of_keras])
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(("dtype", "bound"), [("float64", 1e-15), ("float32", 1e-6)])
def test_the_optimisers_are_those_of_tensorflow_1(run: Any, name: str, dtype: str, bound: float) -> None:
    expected, slots = of_tensorflow_1(RULES[name], dtype)
    found, kept = run(RULES[name], dtype)
    assert apart(found, expected) < bound
    assert [apart(mine, theirs) < bound for mine, theirs in zip(kept, _ordered(slots), strict=True)] == [True] * len(
        kept
    )


def _ordered(slots: dict[str, Array]) -> Sequence[Array]:
    """Mean square before momentum."""
    return [slots[name] for name in ("rms", "momentum") if name in slots]


def test_other_arithmetic_is_seen() -> None:
    torch: Any = import_module("torch")
    keras: Any = import_module("keras")
    expected, _ = of_tensorflow_1(RULES["rmsprop"], "float64")
    for changed in ({"epsilon": 1e-2}, {"initial_mean_square": 0.0}, {"momentum": 0.8}, {"decay": 0.99}):
        for run in (of_torch, of_keras):
            assert apart(run(replace(RULES["rmsprop"], **changed), "float64")[0], expected) > 1e-3
    theirs = of_torch(None, "float64", lambda tensors: torch.optim.RMSprop(tensors, alpha=0.9, momentum=0.9, eps=1e-3))
    assert apart(theirs[0], expected) > 1e-3
    own = of_keras(None, "float64", lambda rate: keras.optimizers.RMSprop(rate, rho=0.9, momentum=0.9, epsilon=1e-3))
    assert apart(own[0], expected) > 1e-3
    sgd = of_keras(None, "float64", lambda rate: keras.optimizers.SGD(rate, momentum=0.9))
    assert apart(sgd[0], of_tensorflow_1(RULES["sgd"], "float64")[0]) > 1e-3


def test_moving_averages_are_those_of_tensorflow_1() -> None:
    v1 = import_module("tensorflow").compat.v1
    spec = short()
    rule = TRAINING_RECIPES["v1"].moving_average
    states = [lively_state(spec, seed=seed) for seed in range(4)]
    name = "stem.norm.variance"  # a moving statistic, which has a shadow too
    with v1.Graph().as_default(), v1.Session() as session:
        step = v1.train.get_or_create_global_step()
        variable = v1.Variable(states[0][name], use_resource=True)
        value = v1.placeholder(v1.float32, variable.shape)
        averages = v1.train.ExponentialMovingAverage(0.9999, num_updates=step)
        with v1.control_dependencies([v1.assign_add(step, 1), variable.assign(value)]):
            train = averages.apply([variable])
        session.run(v1.global_variables_initializer())
        for state in states[1:]:
            session.run(train, {value: state[name]})
        expected = session.run(averages.average(variable))
    for backend in ("effnet_torch", "effnet_tf"):
        package: Any = import_module(backend)
        model = package.create_model(spec, states[0])
        shadows = import_module(f"{backend}.averages").MovingAverages(model, spec, rule)
        for made, state in enumerate(states[1:], start=1):
            package.load_state(model, spec, state)
            shadows.update(made)
        found = shadows.read()
        assert list(found) == [parameter.name for parameter in parameters(spec)]
        assert apart(found[name], expected) < 1e-6
        assert apart(states[-1][name], expected) > 1e-2


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_that_of_tensorflow_1(smoothing: float) -> None:
    tf: Any = import_module("tensorflow")
    torch: Any = import_module("torch")
    logits, labels = START * 3, np.array([4, 0, 2])
    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        onehot = np.eye(5)[labels]
        expected = session.run(v1.losses.softmax_cross_entropy(onehot, v1.constant(logits), label_smoothing=smoothing))
    of_tf = import_module("effnet_tf.losses").cross_entropy
    of_pt = import_module("effnet_torch.losses").cross_entropy
    for given in (labels, onehot):
        assert float(of_tf(logits, given, label_smoothing=smoothing)) == pytest.approx(expected, rel=1e-6)
        found = of_pt(torch.from_numpy(logits), torch.from_numpy(given), label_smoothing=smoothing)
        assert float(found) == pytest.approx(float(of_tf(logits, given, label_smoothing=smoothing)), rel=1e-14)


@pytest.mark.parametrize("tensors", Decayed)
def test_weight_decay_is_half_the_sum_of_squares(tensors: Decayed) -> None:
    spec = with_hidden(short())
    state, rule = lively_state(spec), WeightDecay(rate=0.25, tensors=tensors)
    expected = sum(
        0.25 * float(np.square(state[item.name].astype(np.float64)).sum()) / 2
        for item in parameters(spec)
        if item.trainable and rule.applies(item)
    )
    for backend in ("effnet_torch", "effnet_tf"):
        model = import_module(backend).create_model(spec, state, dtype="float64")
        found = import_module(f"{backend}.losses").weight_decay(model, spec, rule)
        assert (found.item() if backend == "effnet_torch" else float(found)) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("decay", Decay)
def test_schedules_of_both_backends(decay: Decay) -> None:
    rate = LearningRate(
        decay=decay, peak=0.3, warmup_steps=2, decay_steps=2.4, factor=0.97, total_steps=9, minimum=0.01
    )
    schedule = import_module("effnet_tf.optimizers").create_schedule(rate)
    steps = range(10)
    assert [float(schedule(step)) for step in steps] == pytest.approx([rate.at(step) for step in steps], rel=1e-15)
    again = type(schedule).from_config(schedule.get_config())
    assert float(again(7)) == float(schedule(7))
    torch: Any = import_module("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate.peak)
    scheduler = import_module("effnet_torch.optimizers").create_schedule(optimizer, rate)
    found: list[float] = []
    for _ in steps:
        found.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert found == pytest.approx([rate.at(step) for step in steps], rel=1e-15)
