"""`assert_parity` on networks that are not this project's, in both frameworks."""

import random
from collections import OrderedDict
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

from effnet.errors import DeviceUnavailable, IncomparableNetworks, InputError, SeparateProcessFailed, UnusableModel
from effnet.testing import Elsewhere, Limits, ParityError, assert_parity
from effnet_core import InvalidOption, resolve
from effnet_tf import create_model as create_keras_model
from effnet_torch import create_model as create_torch_model
from tests.effnet.testing.models import INPUT, NAMES, keras_model, torch_model, weights
from tests.lively import lively_state


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    if request.param == "cuda" and not (torch.cuda.is_available() and tf.config.list_physical_devices("GPU")):
        pytest.skip("not both frameworks see a CUDA device on this machine")
    return request.param


def changed(**arrays):
    return weights() | arrays


def first(caught):
    return caught.value.result.comparison.first_difference


def test_equal_networks_agree_result_by_result(device):
    result = assert_parity(keras_model(), torch_model(), inputs=INPUT, names=NAMES, device=device)
    assert [layer.name for layer in result.comparison.layers] == [*NAMES, "output"]
    assert all(layer.float64.relative < 1e-14 for layer in result.comparison.layers)
    assert max(layer.own_a.relative for layer in result.comparison.layers) > 1e-9  # float32 was really computed


@pytest.mark.parametrize(
    ("b", "name"),
    [
        ({"given": changed(conv=weights()["conv"].swapaxes(0, 1))}, "inner/conv"),
        ({"epsilon": 1e-5}, "inner/norm"),
        ({"given": changed(depth=weights()["depth"] * np.float32(1.0001))}, "depth"),
        ({"given": changed(bias=weights()["bias"][::-1])}, "dense"),
    ],
    ids=["kernel", "epsilon", "depthwise", "bias"],
)
def test_a_mistake_is_found_where_it_is(b, name):
    with pytest.raises(ParityError) as caught:
        assert_parity(keras_model(), torch_model(**b), inputs=INPUT, names=dict(reversed(NAMES.items())))
    assert first(caught) == name
    assert f"the first is {name} (B: {NAMES[name]})." in str(caught.value)
    assert "\n>  " in str(caught.value)


def test_without_names_the_outputs_are_compared():
    assert len(assert_parity(keras_model(), torch_model(), inputs=INPUT).comparison.layers) == 1
    with pytest.raises(ParityError, match=r"Only outputs were compared\. names="):
        assert_parity(keras_model(), torch_model(epsilon=1e-5), inputs=INPUT)


class Of(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def test_results_that_are_true_or_false_are_compared_and_complex_ones_refused():
    positive, other = Of(lambda x: x > 0), Of(lambda x: x > 0.5)
    assert_parity(positive, positive, inputs=(3, 8))
    with pytest.raises(ParityError):
        assert_parity(positive, other, inputs=(3, 8))
    with pytest.raises(UnusableModel, match=r"complex numbers \(complex64\); expected real"):
        assert_parity(Of(torch.fft.fft), Of(torch.fft.fft), inputs=(3, 8))


def test_a_constant_in_float32_is_told_from_a_mistake():
    words = "as close as rounding to float32 leaves them"
    rounded = Of(lambda x: x + torch.tensor(0.1, dtype=torch.float32).to(x.dtype))
    with pytest.raises(ParityError, match=words):
        assert_parity(Of(lambda x: x + 0.1), rounded, inputs=(3, 8))
    assert_parity(Of(lambda x: x + 0.1), rounded, inputs=(3, 8), precision="float32")
    with pytest.raises(ParityError) as caught:  # the control
        assert_parity(Of(lambda x: x + 0.1), Of(lambda x: x + 0.101), inputs=(3, 8))
    assert words not in str(caught.value)


@pytest.mark.parametrize("make", [keras_model, torch_model])
def test_two_models_of_one_framework(make):
    names = {name: name for name in (NAMES if make is keras_model else NAMES.values())}
    assert_parity(make(), make(), inputs=INPUT, names=names)
    with pytest.raises(ParityError) as caught:
        assert_parity(make(), make(changed(bias=weights()["bias"] + 1)), inputs=INPUT, names=names)
    assert first(caught) == ("dense" if make is keras_model else "7")


def test_an_explicit_tolerance_and_precision():
    other = torch_model(changed(dense=weights()["dense"] * np.float32(1.0001)))
    with pytest.raises(ParityError):
        assert_parity(keras_model(), other, inputs=INPUT)
    assert_parity(keras_model(), other, inputs=INPUT, tolerance=1e-3)
    assert_parity(keras_model(), other, inputs=INPUT, tolerance=Limits(float64=1e-3, float32=1e-3))
    with pytest.raises(ParityError, match="compared in float32\n"):
        assert_parity(keras_model(), other, inputs=INPUT, precision="float32")
    assert_parity(keras_model(), other, inputs=INPUT, precision="float32", tolerance=1e-3)


class Nested(torch.nn.Module):
    """Gives its features inside a list, as many models do."""

    def __init__(self, factor, *, kind=list):
        super().__init__()
        self.factor, self.kind = factor, kind

    def forward(self, x):
        pooled = x.mean((2, 3))
        return {"logits": pooled, "hidden": self.kind([pooled * 2, pooled * self.factor])}


def test_outputs_inside_each_other_are_compared_too():
    result = assert_parity(Nested(3), Nested(3, kind=tuple), inputs=INPUT)
    assert [layer.name for layer in result.comparison.layers] == [
        "output.logits",
        "output.hidden.0",
        "output.hidden.1",
    ]
    with pytest.raises(ParityError) as caught:
        assert_parity(Nested(3), Nested(4), inputs=INPUT)
    assert first(caught) == "output.hidden.1"


@pytest.mark.parametrize("value", [[], {"a": 3}, None])
def test_outputs_that_are_no_tensors_are_refused(value):
    class Odd(torch.nn.Module):
        def forward(self, x):
            return value

    with pytest.raises(UnusableModel, match="expected"):
        assert_parity(Odd(), Odd(), inputs=INPUT)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_one_precision_alone(precision):
    assert_parity(keras_model(), torch_model(), inputs=INPUT, precision=precision)
    with pytest.raises(ParityError, match=f"compared in {precision}\n"):
        assert_parity(keras_model(), torch_model(epsilon=1e-5), inputs=INPUT, precision=precision)


def test_rounding_alone_is_told_from_a_difference():
    with pytest.raises(ParityError, match=r"In float64 it agrees.*Limits\(float32"):
        assert_parity(keras_model(), torch_model(), inputs=INPUT, tolerance=Limits(float64=1e-11, float32=0))
    with pytest.raises(ParityError, match=r"In float64 it agrees.*Limits\(float32"):
        assert_parity(keras_model(), torch_model(), inputs=INPUT, tolerance=Limits(float32=0))


def test_an_array_and_other_layouts():
    images = np.random.default_rng(3).standard_normal(INPUT)
    assert_parity(keras_model(), torch_model(), inputs=images, names=NAMES)

    class Last(torch.nn.Module):
        """Takes and gives images channels last."""

        def __init__(self):
            super().__init__()
            self.conv = torch_model()[0]

        def forward(self, x):
            return self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    inner = keras_model().get_layer("inner")
    part = keras.Model(inner.input, inner.get_layer("conv").output)
    assert_parity(part, Last(), inputs=images, b_layout="channels_last")
    with pytest.raises(UnusableModel, match="cannot be run in float32 with input of shape"):
        assert_parity(part, Last(), inputs=images)


def test_the_caller_s_models_stay_as_they_are():
    a, b = keras_model(), torch_model()
    a.compile("sgd", "mse")
    calls = []
    hook = b[7].register_forward_hook(lambda *_: calls.append(1))
    b[0].requires_grad_(False)
    before = state_of(a, b)
    torch_state = torch.get_rng_state()
    random_before, numpy_before = random.getstate(), np.random.get_state()[1].tolist()
    assert_parity(a, b, inputs=INPUT, names=NAMES)
    assert state_of(a, b) == before
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == (random_before, numpy_before)
    assert [len(module._forward_hooks) for module in b] == [0] * 7 + [1]
    assert keras.config.floatx() == "float32"
    assert keras.config.dtype_policy().name == "float32"
    hook.remove()


def state_of(a, b):
    torch_state = {name: (tensor.dtype, tensor.numpy().tobytes()) for name, tensor in b.state_dict().items()}
    modes = [module.training for module in b.modules()], [tensor.requires_grad for tensor in b.parameters()]
    keras_state = [(weight.dtype, weight.numpy().tobytes()) for weight in a.weights]
    return (
        torch_state,
        modes,
        keras_state,
        [layer.name for layer in a.layers],
        [vars(layer).get("call") for layer in a.layers],
    )


def test_our_own_networks_have_names_by_themselves():
    spec = resolve("b0", width=0.13, depth=0.35, num_classes=10)
    state = lively_state(spec)
    a, b = create_keras_model(spec, state), create_torch_model(spec, state)
    result = assert_parity(a, b, inputs=(2, 48, 33, 3))
    names = [layer.name for layer in result.comparison.layers]
    assert names[0] == "stem"
    assert [name for name in names if "." not in name] == ["stem", "head", "logits", "output"]
    assert {"blocks.1", "blocks.1.squeeze_excite", "blocks.9.project"} <= set(names)
    beta = state["blocks.3.depthwise.norm.beta"] + np.float32(0.01)
    other = create_torch_model(spec, state | {"blocks.3.depthwise.norm.beta": beta})
    with pytest.raises(ParityError) as caught:
        assert_parity(b, other, inputs=(2, 48, 33, 3))
    assert first(caught) == "blocks.3.depthwise"


def test_agreement_that_proves_nothing_is_warned_about():
    zeros = {name: np.zeros_like(array) for name, array in weights().items()}
    with pytest.warns(UserWarning, match="output is constant: proves nothing"):
        assert_parity(keras_model(zeros), torch_model(zeros), inputs=INPUT)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_never_agrees(bad):
    own = changed(bias=np.full(5, bad, np.float32))
    with pytest.raises(ParityError, match="NaN or Inf: look at the weights"):
        assert_parity(keras_model(own), torch_model(own), inputs=INPUT)


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ({"no_such": "0"}, UnusableModel, "small in Keras .* has no layer named no_such. Its layers: .*inner/conv"),
        ({"relu": "99"}, UnusableModel, "Small in PyTorch has no module named 99. Its modules: 0, 1"),
        ({"relu": ""}, IncomparableNetworks, r"relu has the shape \(2, 12, 9, 8\) in A and \(2, 5\) in B"),
    ],
)
def test_names_that_do_not_fit_are_explained(names, error, message):
    with pytest.raises(error, match=message):
        assert_parity(keras_model(), torch_model(), inputs=INPUT, names=names)


def test_a_part_that_runs_twice_is_refused():
    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = torch.nn.ReLU()

        def forward(self, x):
            return self.relu(self.relu(x) - 1)

    with pytest.raises(UnusableModel, match=r"run once.*found relu \(2 times\)"):
        assert_parity(Twice(), Twice(), inputs=INPUT, names={"relu": "relu"})


def test_a_keras_model_that_cannot_be_made_again_is_explained():
    class Own(keras.layers.Layer):
        def __init__(self, factor):
            super().__init__()
            self.factor = factor

        def call(self, x):
            return x * self.factor

        def get_config(self):
            return super().get_config()  # without the factor

    image = keras.Input((4,))
    model = keras.Model(image, Own(2.0)(image))
    with pytest.raises(UnusableModel, match=r"cannot be made again in float32.*need a get_config"):
        assert_parity(model, model, inputs=(2, 4))


@pytest.mark.parametrize("inputs", [(0, 3), (2,), "images", np.full((2, 3), np.nan), np.array(["a", "b"])])
def test_input_that_is_none_is_refused(inputs):
    with pytest.raises(InputError):
        assert_parity(keras_model(), torch_model(), inputs=inputs)


def test_what_is_no_model_is_refused():
    with pytest.raises(UnusableModel, match="found function"):
        assert_parity(keras_model(), lambda x: x, inputs=INPUT)


def test_a_device_that_is_not_there_is_refused():
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(DeviceUnavailable):
        assert_parity(torch_model(), torch_model(), inputs=INPUT, device="cuda")


FACTORY = """
import ctypes, numpy as np, torch

class Crashes(torch.nn.Module):
    def __init__(self, above):
        super().__init__()
        self.above = above

    def forward(self, x):
        return torch.tensor(ctypes.string_at(0)) if x.max() > self.above else 2 * x

def create(above):
    return Crashes(above)
"""


def test_a_model_elsewhere_runs_and_may_crash(tmp_path: Path) -> None:
    file = tmp_path / "factory.py"
    file.write_text(FACTORY)
    images = np.random.default_rng(0).uniform(0, 1, INPUT)

    class Doubled(torch.nn.Module):
        def forward(self, x):
            return 2 * x

    assert_parity(Elsewhere(factory=f"{file}:create", arguments={"above": 1}), Doubled(), inputs=images)
    with pytest.raises(SeparateProcessFailed, match=r"(?s)SIGSEGV.*factory.py.*in forward"):
        assert_parity(Elsewhere(factory=f"{file}:create", arguments={"above": 0.5}), Doubled(), inputs=images)


@pytest.mark.parametrize("factory", ["{}/absent.py:create", "json:create"])
def test_a_factory_that_is_not_there_is_refused(tmp_path, factory):
    with pytest.raises(UnusableModel, match=r"There is no file|has no function 'create'"):
        assert_parity(Elsewhere(factory=factory.format(tmp_path)), torch_model(), inputs=INPUT)


@pytest.mark.parametrize(
    ("names", "message"),
    [([("relu", "2"), ("relu", "0")], "relu more than once"), (["relu"], "names has 'relu'"), ([("relu",)], "pairs")],
)
def test_pairs_that_cannot_be_are_refused(names, message):
    with pytest.raises(InvalidOption, match=message):
        assert_parity(keras_model(), torch_model(), inputs=INPUT, names=names)
    assert_parity(keras_model(), torch_model(), inputs=INPUT, names=[("relu", "2"), ("inner/conv", "0")])  # the control


@pytest.mark.parametrize("limit", [np.nan, -1, np.inf, True, "1e-3"])
def test_limits_that_nothing_exceeds_are_refused(limit):
    with pytest.raises(InvalidOption, match="expected a finite number from 0 on"):
        assert_parity(keras_model(), torch_model(), inputs=INPUT, tolerance=limit)
    with pytest.raises(InvalidOption, match="expected a finite number from 0 on"):
        Limits(float32=limit)


class Giving(torch.nn.Module):
    """Gives what a function makes of its input."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def test_outputs_in_a_dictionary_have_no_order():
    a = Giving(lambda x: {"first": x.mean(1), "second": x.amax(1)})
    b = Giving(lambda x: {"second": x.amax(1), "first": x.mean(1)})
    assert len(assert_parity(a, b, inputs=INPUT).comparison.layers) == 2
    with pytest.raises(ParityError) as caught:
        assert_parity(a, Giving(lambda x: {"second": x.mean(1), "first": x.mean(1)}), inputs=INPUT)
    assert first(caught) == "output.second"


def test_a_layer_called_output_is_compared_beside_the_output():
    def model(factor):
        parts = {"output": Giving(lambda x: factor * x), "last": Giving(lambda x: x / factor)}
        return torch.nn.Sequential(OrderedDict(parts))

    names = {"output": "output"}
    found = assert_parity(model(2), model(2), inputs=INPUT, names=names)
    assert [layer.name for layer in found.comparison.layers] == ["output", "output of the model"]
    with pytest.raises(ParityError) as caught:
        assert_parity(model(2), model(4), inputs=INPUT, names=names)
    assert first(caught) == "output"


def test_results_that_are_no_images_are_compared_as_they_are():
    class Attention(keras.layers.Layer):
        def call(self, x):  # (N, H, W, C) -> (N, C, H, H)
            return keras.ops.einsum("nhwc,ntwc->ncht", x, x)

    image = keras.Input(INPUT[1:])
    a, b = keras.Model(image, Attention()(image)), Giving(lambda x: torch.einsum("nchw,nctw->ncht", x, x))
    with pytest.raises(IncomparableNetworks, match=r"not_images=\['output'\]"):
        assert_parity(a, b, inputs=INPUT)
    assert assert_parity(a, b, inputs=INPUT, not_images=["output"]).comparison.layers[0].shape == (2, 3, 12, 12)
    with pytest.raises(ParityError):
        assert_parity(a, Giving(lambda x: 2 * b(x)), inputs=INPUT, not_images=["output"])
    with pytest.raises(InvalidOption, match="not_images names other"):
        assert_parity(a, b, inputs=INPUT, not_images=["other"])


def test_height_and_width_are_not_mixed_up():
    a, b = Giving(lambda x: x), Giving(lambda x: x.mT)
    with pytest.raises(IncomparableNetworks, match=r"\(2, 5, 1, 3\) in A and \(2, 1, 5, 3\) in B"):
        assert_parity(a, b, inputs=(2, 5, 1, 3))
    assert_parity(a, Giving(lambda x: x.flatten(1)), inputs=(2, 1, 1, 3))  # the control: the axes are left out


def test_whole_numbers_for_a_convolution_are_explained():
    images = np.ones(INPUT, np.int64)
    with pytest.raises(UnusableModel, match=r"whole numbers \(int64\).*astype\('float32'\)"):
        assert_parity(torch_model(), torch_model(), inputs=images)
