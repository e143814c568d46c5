"""What a SavedModel answers about image files."""

import numpy as np
import pytest

from effnet import ExportOptions
from effnet.exports.options import Kind
from effnet.exports.verification import check_answers

OPTIONS = ExportOptions(kind=Kind.SAVEDMODEL)
TRUTH = np.random.default_rng(0).standard_normal((2, 9))
BEST = np.argsort(-TRUTH)[:, :3]


def answered(chosen, *, probabilities_of=None):
    shares = np.exp(TRUTH) / np.exp(TRUTH).sum(axis=-1, keepdims=True)
    given = np.take_along_axis(shares, chosen if probabilities_of is None else probabilities_of, axis=-1)
    logits = TRUTH, TRUTH.astype(np.float32)
    return check_answers("a runtime", chosen, given.astype(np.float32), logits, OPTIONS)


def test_the_best_classes_with_their_probabilities():
    check = answered(BEST)
    assert (check.agrees, check.same_top, check.images) == (True, 2, 2)


@pytest.mark.parametrize("chosen", [BEST[:, ::-1], np.argsort(TRUTH)[:, :3], BEST[:, [0, 1, 1]]])
def test_other_classes_with_their_own_probabilities_are_seen(chosen):
    assert not answered(chosen).agrees


def test_other_classes_with_the_largest_probabilities_are_seen():
    assert not answered(BEST[:, [1, 0, 2]], probabilities_of=BEST).agrees
