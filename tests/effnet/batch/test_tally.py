import pytest

from effnet.batch.tally import Tally, share
from effnet.choices import Backend


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    # Newcombe, Two-sided confidence intervals for the single proportion (1998), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_the_published_one(count, of, low, high):
    found = share(count, of)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert found.share == count / of


def test_no_image_has_no_share():
    assert share(0, 0) is None


def row(**values):
    return {"path": "x", "error": None, **values}


def test_broken_images_are_counted_apart():
    tally = Tally()
    for rank in (1, 5, 6):
        tally.add(row(rank=rank))
    tally.add(row(rank=None, error="x is broken"))
    assert (tally.images, tally.broken, tally.examples[0].error) == (4, 1, "x is broken")
    assert (tally.accuracy(1).count, tally.accuracy(5).count, tally.accuracy(5).of) == (1, 2, 3)


def compared(*rows, same_function=True):
    tally = Tally()
    for relative, other, agrees in rows:
        tally.add(row(class_1=3, other_class=other, relative_difference=relative, agrees=agrees))
    return tally.agreement(Backend.TF, Backend.TORCH, same_function=same_function)


def test_agreement_over_all_images():
    found = compared((1e-7, 3, True), (3e-7, 4, True))
    assert (found.images, found.largest, found.mean, found.other_top1) == (2, 3e-7, pytest.approx(2e-7), 1)
    assert found.agrees


@pytest.mark.parametrize(
    "found",
    [compared((1e-7, 3, True), (1e-3, 3, False)), compared((1e-7, 3, True), same_function=False), compared()],
)
def test_one_image_that_rounding_does_not_explain_is_a_difference(found):
    assert not found.agrees
