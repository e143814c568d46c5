import numpy as np
import pytest

from effnet.parity_engine.compare import Limits, Outputs, Remark, compare, distance
from effnet.parity_engine.report import verdict

RANDOM = np.random.default_rng(0)
SHAPES = {"stem": (2, 4, 4, 3), "blocks.0": (2, 2, 2, 5), "logits": (2, 7)}


def outputs(**changed):
    """Lively results of two images; `changed` replaces endpoints in both precisions."""
    random = np.random.default_rng(1)
    wide = {name: random.normal(size=shape) for name, shape in SHAPES.items()}
    wide |= {name.replace("_", "."): values for name, values in changed.items()}
    return Outputs(float64=wide, float32={name: values.astype(np.float32) for name, values in wide.items()})


def layer(name, **changed):
    report = compare(outputs(), outputs(**changed))
    return next(item for item in report.layers if item.name == name)


def test_distances_are_relative_to_the_larger_side():
    found = distance(np.array([[3.0, -4.0]]), np.array([[3.0, -5.0]]))
    assert found.max_abs == 1
    assert found.relative == 1 / 5
    assert found.relative_l2 == pytest.approx(1 / np.sqrt(34))
    assert distance(np.array([3.0, -5.0]), np.array([3.0, -4.0])) == found


def test_zeros_on_both_sides_are_at_no_distance():
    assert distance(np.zeros(3), np.zeros(3)).relative == 0
    assert distance(np.zeros(3), np.ones(3)).relative == 1


def test_equal_results_agree():
    report = compare(outputs(), outputs())
    assert report.agrees
    assert report.first_difference is None
    assert [item.name for item in report.layers] == list(SHAPES)
    assert (report.images, report.same_argmax) == (2, 2)
    assert all(item.own_a.relative > 1e-9 for item in report.layers)  # rounding to float32 is seen


@pytest.mark.parametrize(("units", "agrees"), [(12, True), (20, False)])
def test_float64_is_held_to_what_rounding_explains(units, agrees):
    values = outputs().float64["blocks.0"]
    found = layer("blocks.0")
    assert found.explained64 == pytest.approx(min(found.own_a.relative_l2, found.own_b.relative_l2) * 2.0**-29)
    moved = np.random.default_rng(2).normal(size=values.shape)
    moved *= units * found.explained64 * np.linalg.norm(values) / np.linalg.norm(moved)
    found = layer("blocks.0", blocks_0=values + moved)
    assert (found.agrees64, found.agrees32) == (agrees, True)


@pytest.mark.parametrize(("bits", "agrees"), [(22, True), (10, False), (7, False)])
def test_float32_of_less_precision_is_a_difference(bits, agrees):
    """float32 keeps 23 bits behind the first, TF32 10, bfloat16 7."""
    a, b = outputs(), outputs()
    mantissa, exponent = np.frexp(b.float32["stem"])
    coarse = np.ldexp(np.round(mantissa * 2.0 ** (bits + 1)) / 2.0 ** (bits + 1), exponent).astype(np.float32)
    report = compare(a, Outputs(float64=b.float64, float32={**b.float32, "stem": coarse}))
    assert (report.layers[0].agrees64, report.agrees) == (True, agrees)
    assert agrees or "B computes float32 with less precision" in verdict(report)[-1]


def test_results_that_float32_holds_exactly_leave_a_few_units():
    whole = np.arange(32.0).reshape(2, 16)
    sides = [Outputs(float64={"stem": values}, float32={"stem": whole}) for values in (whole, whole * (1 + 2.0**-52))]
    assert compare(*sides).agrees
    assert compare(*sides).layers[0].explained64 == 4 * 2.0**-53


def test_limits_can_be_chosen():
    values = outputs().float64["stem"] * 1.001
    assert not compare(outputs(), outputs(stem=values)).agrees
    assert compare(outputs(), outputs(stem=values), limits=Limits(float64=0.01, float32=0.01)).agrees


def test_the_first_layer_that_differs_is_named_in_the_order_of_the_network():
    report = compare(outputs(), outputs(logits=np.ones((2, 7)), blocks_0=np.ones((2, 2, 2, 5))))
    assert report.first_difference == "blocks.0"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_never_agrees_even_with_itself(bad):
    values = outputs().float64["stem"].copy()
    values[0, 0, 0, 0] = bad
    report = compare(outputs(stem=values), outputs(stem=values))
    assert report.first_difference == "stem"
    assert report.layers[0].remarks == (Remark.NOT_FINITE,)


def test_nan_in_float32_alone_is_a_difference():
    a = outputs()
    values = a.float32["stem"].copy()
    values[0, 0, 0, 0] = np.nan
    report = compare(a, Outputs(float64=a.float64, float32={**a.float32, "stem": values}))
    assert report.first_difference == "stem"


@pytest.mark.parametrize("values", [np.zeros((2, 7)), np.full((2, 7), 3.0)])
def test_constant_layers_are_called_out(values):
    report = compare(outputs(logits=values), outputs(logits=values))
    assert report.agrees
    assert [item.remarks for item in report.layers] == [(), (), (Remark.CONSTANT,)]


def test_outputs_that_do_not_depend_on_the_image_are_called_out():
    row = RANDOM.normal(size=7)
    values = np.stack([row, row * (1 + 1e-9)])
    assert layer("logits", logits=values).remarks == (Remark.SAME_IMAGES,)


def test_the_largest_logits_are_counted():
    logits = outputs().float64["logits"].copy()
    logits[1] = -logits[1]
    assert compare(outputs(), outputs(logits=logits)).same_argmax == 1


@pytest.mark.parametrize("b", [{"extra": np.ones((2, 3))}, {"stem": np.ones((2, 4, 4, 2))}])
def test_results_of_other_networks_are_refused(b):
    with pytest.raises(ValueError, match="endpoints"):
        compare(outputs(), outputs(**b))


def test_a_single_number_that_is_exact_by_luck_is_no_measure():
    exact = Outputs(float64={"logits": np.array([[0.5 + 2e-16]])}, float32={"logits": np.array([[0.5]], np.float32)})
    usual = Outputs(
        float64={"logits": np.array([[0.5 - 4e-15]])}, float32={"logits": np.array([[0.5 + 4e-7]], np.float32)}
    )
    assert compare(exact, usual).agrees
    wrong = Outputs(float64={"logits": np.array([[0.5 - 4e-13]])}, float32=usual.float32)
    assert not compare(exact, wrong).agrees
