from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from effnet.parity_engine.grid import Grid, grid_state, to_grid, unit
from effnet.parity_engine.trace import Trace
from effnet_core import InvalidOption, Norm, resolve
from tests.lively import lively_state

SPEC = resolve("condconv-b0-4e", width=0.04, depth=0.1, num_classes=7)
STATE = lively_state(SPEC)


def test_the_unit_divides_every_value_and_is_the_largest_that_does():
    assert unit(np.array([0.0, 0.75, -6.0])) == 0.25
    assert unit(np.array([1024.0, 3 * 2.0**-40])) == 2.0**-40
    assert unit(np.zeros(3)) == np.inf


def test_rounding_gives_multiples_and_keeps_them():
    values = np.random.default_rng(0).normal(size=1000)
    rounded, margin = to_grid(values, 8)
    assert unit(rounded) == 2.0**-8
    assert np.abs(rounded - values).max() < 2.0**-8
    assert 0 < margin < 0.5
    assert np.array_equal(to_grid(rounded, 8)[0], rounded)
    assert np.array_equal(to_grid(rounded, 12)[0], rounded)


def test_the_last_bits_of_averages_do_not_decide():
    """A boundary at a simple fraction, where averages lie, would make a result depend on the order of its sum."""
    for count in range(1, 200):
        exact = np.arange(-300, 300) / count
        for wrong in (np.nextafter(exact, np.inf), np.nextafter(exact, -np.inf)):
            assert np.array_equal(to_grid(wrong, 0)[0], to_grid(exact, 0)[0])
        assert to_grid(exact, 0)[1] > 0.38 / count**2
    whole = np.floor([1.0, np.nextafter(1.0, 0)])  # the control: a boundary where averages lie
    assert whole[0] != whole[1]


@pytest.mark.parametrize("epsilon", [1e-3, 1e-5, 0.01])
def test_normalisations_scale_by_powers_of_two_near_the_original(epsilon):
    spec = replace(SPEC, norm=Norm(epsilon=epsilon, decay=0.99))
    found = grid_state(spec, STATE, Grid(), reference=spec)
    for name in (name for name in STATE if name.endswith(".variance")):
        powers = np.log2(found[name] + epsilon) / 2
        assert np.array_equal(powers, np.round(powers))
        gamma = name.replace("variance", "gamma")
        scale, original = (state[gamma] / np.sqrt(state[name].astype(float) + epsilon) for state in (found, STATE))
        assert np.abs(scale - original).max() < 2.0**-9 * np.abs(original).max()
        assert not np.any(np.log2(found[name] + epsilon * 1.01) % 2 == 0)  # the control: another epsilon


def test_weights_have_the_bits_of_the_grid():
    found = grid_state(SPEC, STATE, Grid(weights=7, mixture=3), reference=SPEC)
    for name in ("stem.conv.kernel", "classifier.bias", "blocks.4.project.norm.beta"):
        assert np.abs(found[name]).max() / unit(found[name]) <= 2**7
    assert np.abs(found["blocks.4.project.conv.kernel"]).max() / unit(found["blocks.4.project.conv.kernel"]) <= 2**4


def test_the_bits_of_a_sum_are_enough_and_not_far_too_many():
    state = grid_state(SPEC, STATE, Grid(), reference=SPEC)
    trace = Trace(SPEC, state, Grid(), reference=SPEC)
    x = to_grid(np.random.default_rng(0).normal(size=(2, 5, 5, 3)), 12)[0]
    kernel = state["stem.conv.kernel"]
    window = sum(
        Fraction(float(a)) * Fraction(float(b))
        for a, b in zip(np.abs(x[0, :3, :3]).ravel(), kernel[..., 0].ravel(), strict=True)
    )
    trace.layer("stem.conv", [x], np.zeros((2, 3, 3, 8)), lambda first: first)
    needed = float(np.log2(float(abs(window)) / (unit(x) * unit(kernel))))
    assert needed < trace.bits["stem.conv"] < needed + 8


@pytest.mark.parametrize("fields", [{"activations": 0}, {"activations": 31}, {"weights": 4}, {"mixture": 0}])
def test_grids_that_are_none_are_refused(fields):
    with pytest.raises(InvalidOption, match="expected activations from 1 to 30"):
        Grid(**fields)
