"""The published recipes as values and pure functions."""

from dataclasses import replace

import pytest

from effnet_core import (
    TRAINING_RECIPES,
    Decay,
    Decayed,
    InvalidOption,
    LearningRate,
    MovingAverage,
    Slot,
    WeightDecay,
    constant_rate,
    parameters,
    resolve,
    slots,
    training_recipe,
)

V1 = TRAINING_RECIPES["v1"]
IMAGENET = 1281167
RATE = V1.schedule.learning_rate(batch_size=2048, steps_per_epoch=IMAGENET / 2048, total_steps=218949)


def decayed(recipe):
    rule = TRAINING_RECIPES[recipe].weight_decay
    return {item.name.rsplit(".", 1)[1] for item in parameters(resolve("b0")) if item.trainable and rule.applies(item)}


def test_the_official_rate_warms_up_and_falls_in_steps_counted_from_the_start():
    assert RATE.peak == 0.128
    assert [RATE.at(step) for step in (0, 1563)] == pytest.approx([0.0, 0.064], rel=1e-3)
    assert RATE.at(3126) < RATE.at(3127) * 1.1  # five epochs: the warm-up ends below its peak, two falls behind
    assert RATE.at(3127) == pytest.approx(0.128 * 0.97**2)
    fall = 2.4 * IMAGENET / 2048
    assert RATE.at(int(fall * 3)) / RATE.at(int(fall * 3) + 1) == pytest.approx(1 / 0.97)
    assert RATE.at(218948) == pytest.approx(0.128 * 0.97**145)


@pytest.mark.parametrize(
    ("rate", "step", "expected"),
    [
        (constant_rate(0.3), 7, 0.3),
        (LearningRate(decay=Decay.COSINE, peak=1.0, warmup_steps=0, total_steps=10), 5, 0.5),
        (LearningRate(decay=Decay.COSINE, peak=1.0, warmup_steps=0, total_steps=10, minimum=0.25), 10, 0.25),
        (LearningRate(decay=Decay.COSINE, peak=1.0, warmup_steps=4, total_steps=10, minimum=0.25), 0, 0.0),
    ],
)
def test_other_schedules(rate, step, expected):
    assert rate.at(step) == pytest.approx(expected)


def test_biases_are_decayed_in_v1_and_not_in_v2():
    assert decayed("v1") == {"kernel", "bias"}
    assert decayed("v2") == {"kernel"}
    everything = WeightDecay(rate=1e-5, tensors=Decayed.EVERYTHING)
    names = {item.name.rsplit(".", 1)[1] for item in parameters(resolve("b0")) if everything.applies(item)}
    assert names == {"kernel", "bias", "gamma", "beta"}


def test_moving_averages_warm_up():
    rule = MovingAverage(decay=0.9999)
    assert [rule.decay_at(updates) for updates in (1, 8, 10**6)] == [2 / 11, 0.5, 0.9999]


def test_what_optimisers_keep():
    assert slots(V1.optimizer) == (Slot.MEAN_SQUARE, Slot.MOMENTUM)
    assert V1.optimizer.initial_mean_square == 1.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: training_recipe("v3"),
        lambda: constant_rate(0),
        lambda: replace(RATE, factor=1.5),
        lambda: replace(V1.schedule.learning_rate(batch_size=1, steps_per_epoch=1, total_steps=1), decay_steps=0),
        lambda: V1.schedule.learning_rate(batch_size=0, steps_per_epoch=1, total_steps=1),
        lambda: Decay("linear"),
        lambda: Decayed("some"),
    ],
)
def test_what_has_no_meaning_is_refused_with_what_was_expected(call):
    with pytest.raises(InvalidOption, match="expected"):
        call()
