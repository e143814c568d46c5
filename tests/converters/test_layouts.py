from itertools import permutations

import ml_dtypes
import numpy as np
import pytest

from converters.formats.base import Scratch
from converters.layouts import cast, compose, inverse, is_finite, permuted, permuted_parts

SHAPES = [(1, 1, 700, 300), (3, 3, 40, 520), (5, 5, 600, 1), (1, 1, 1, 1), (300, 700), (7,), (0, 3)]


@pytest.mark.parametrize("shape", SHAPES)
def test_permuting_is_numpy_s_transpose(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).random(shape, dtype=np.float32)
    for axes in permutations(range(len(shape))):
        found = permuted(array, axes, scratch=Scratch())
        assert found.flags.c_contiguous
        assert np.array_equal(found, array.transpose(axes))
        parts = [part.tobytes() for part in permuted_parts(array, axes, scratch=Scratch())]
        assert b"".join(parts) == found.tobytes()


def test_a_large_array_is_permuted_in_parts() -> None:
    array = np.zeros((1500, 1400), np.float32)
    assert [part.nbytes for part in permuted_parts(array, (1, 0), scratch=Scratch())] == [4_194_000, 4_194_000, 12_000]
    assert [part.nbytes for part in permuted_parts(array, (0, 1), scratch=Scratch())] == [4_188_800, 4_188_800, 22_400]


@pytest.mark.parametrize("axes", [(0, 2, 1), (1, 0, 2), (0, 1, 2)])
def test_few_long_rows_are_parts_of_their_own(axes: tuple[int, ...]) -> None:
    """As kernels of several experts."""
    array = np.arange(6 * 3 * 500_000, dtype=np.float32).reshape(6, 3, 500_000)
    parts = [part.copy() for part in permuted_parts(array, axes, scratch=Scratch())]
    assert max(part.nbytes for part in parts) == max(array.nbytes // array.shape[axes[0]], 1)
    assert b"".join(part.tobytes() for part in parts) == array.transpose(axes).tobytes()


def test_permutations_undo_each_other() -> None:
    array = np.arange(120).reshape(2, 3, 4, 5)
    for first in permutations(range(4)):
        assert np.array_equal(array.transpose(first).transpose(inverse(first)), array)
        for second in permutations(range(4)):
            assert np.array_equal(array.transpose(compose(first, second)), array.transpose(first).transpose(second))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_no_number_is_seen(dtype: type, value: float) -> None:
    array = np.ones(10_001, dtype=dtype)
    assert is_finite(array)
    array[7_777] = value
    assert not is_finite(array)


def test_large_numbers_are_finite_though_their_sum_is_not() -> None:
    assert is_finite(np.full(1000, 3e38, np.float32))
    assert is_finite(np.full(1000, 6e4, np.float16))
    assert not is_finite(cast(np.full(3, 1e6, np.float32), np.dtype(np.float16)))
