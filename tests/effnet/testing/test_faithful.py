"""Copies that compute something else than the model are refused, and not compared."""

import copy

import keras
import numpy as np
import pytest
import torch

from effnet.errors import UnusableModel
from effnet.testing import ParityError, assert_parity
from effnet.testing.faithful import check_faithful
from tests.effnet.testing.models import INPUT, keras_model, torch_model

OTHER = "computes something else than the model itself"


class Scaled(keras.layers.Layer):
    """Its configuration has the factor, or forgets it."""

    def __init__(self, factor=1.0, *, forgets=False, **options):
        super().__init__(**options)
        self.factor, self.forgets = factor, forgets

    def call(self, x):
        return x * self.factor

    def get_config(self):
        own = {} if self.forgets else {"factor": self.factor}
        return super().get_config() | own


def scaled(factor, *, forgets=False, dtype=None):
    image = keras.Input((4,))
    return keras.Model(image, Scaled(factor, forgets=forgets, dtype=dtype)(image))


@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16"])
@pytest.mark.parametrize("precision", [None, "float64"])
def test_a_configuration_that_forgets_something_is_found(dtype, precision):
    faithful = scaled(2.0, dtype=dtype)
    assert_parity(faithful, scaled(2.0, dtype=dtype), inputs=(3, 4), precision=precision)
    with pytest.raises(ParityError):
        assert_parity(faithful, scaled(3.0, dtype=dtype), inputs=(3, 4), precision=precision)
    with pytest.raises(UnusableModel, match=f"{OTHER}: output is .* apart.*get_config"):
        assert_parity(faithful, scaled(2.0, forgets=True, dtype=dtype), inputs=(3, 4), precision=precision)


def test_what_is_set_after_a_keras_layer_was_made_is_found():
    a = keras_model()
    norm = a.get_layer("inner").get_layer("norm")
    assert_parity(a, torch_model(), inputs=INPUT)
    norm.call = lambda x, **_: x
    with pytest.raises(UnusableModel, match=OTHER):
        assert_parity(a, torch_model(), inputs=INPUT)


def test_the_seeds_of_a_keras_model_stay_as_they_are():
    class Noisy(keras.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.seeds = keras.random.SeedGenerator(0)

        def call(self, x):
            return x + keras.random.normal(keras.ops.shape(x), seed=self.seeds)

    image = keras.Input((4,))
    model = keras.Model(image, Noisy()(image))
    before = np.asarray(model.variables[0]).copy()
    assert_parity(model, model, inputs=(3, 4), precision="float32")
    assert np.array_equal(np.asarray(model.variables[0]), before)
    model(np.ones((3, 4), np.float32))
    assert not np.array_equal(np.asarray(model.variables[0]), before)  # the control: a run changes it


def test_a_keras_model_without_weights_is_refused():
    model = keras.Sequential([keras.layers.Dense(2)])
    with pytest.raises(UnusableModel, match="Call it once"):
        assert_parity(model, model, inputs=(3, 4))


def test_a_forward_that_refers_to_the_first_model_runs_it_in_inference_mode():
    model = torch_model()
    original = model.forward
    model.forward = lambda x: 2 * original(x)
    before = model[1].running_mean.clone()
    with pytest.raises(ParityError):
        assert_parity(torch_model(), model, inputs=INPUT, precision="float32")
    doubled = torch.nn.Sequential(torch_model(), Twice())
    assert_parity(doubled, model, inputs=INPUT, precision="float32")
    assert torch.equal(model[1].running_mean, before)
    assert model.training


class Twice(torch.nn.Module):
    def forward(self, x):
        return 2 * x


class Forgetful(torch.nn.Linear):
    """Its copies have another bias."""

    def __deepcopy__(self, memory):
        made = torch.nn.Linear(4, 2, dtype=self.weight.dtype)
        made.weight.data.copy_(self.weight)
        made.bias.data.fill_(2)
        return made


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_module_whose_copy_is_another_one_is_found(dtype):
    module = Forgetful(4, 2).to(dtype)
    plain = torch.nn.Linear(4, 2).to(dtype)
    plain.load_state_dict(module.state_dict())
    assert_parity(plain, copy.deepcopy(plain), inputs=(3, 4))
    with pytest.raises(UnusableModel, match=f"{OTHER}.*__deepcopy__"):
        assert_parity(plain, module, inputs=(3, 4))


def test_hooks_that_count_are_found():
    """A hook's state outside of the model goes on from the copies to the model."""
    calls = []
    module = torch.nn.Linear(4, 2)
    module.register_forward_hook(lambda _module, _inputs, output: calls.append(1) or output * len(calls))
    with pytest.raises(UnusableModel, match=OTHER):
        assert_parity(module, torch.nn.Linear(4, 2), inputs=(3, 4))


def test_rounding_and_nan_in_the_same_places_are_no_difference():
    a = {"output": np.array([[1.0, np.nan, np.inf]], np.float32)}

    def check(values, types):
        check_faithful("M", a, {"output": np.array([values], np.float32)}, types=types, advice="")

    check([1 + 1e-6, np.nan, np.inf], {"float32"})
    check([1 + 1e-3, np.nan, np.inf], {"float32", "bfloat16"})  # the coarser one
    for values in ([1 + 1e-3, np.nan, np.inf], [1, np.nan, -np.inf], [1, 0, np.inf], [np.nan, np.nan, np.inf]):
        with pytest.raises(UnusableModel, match=OTHER):
            check(values, {"float32"})
