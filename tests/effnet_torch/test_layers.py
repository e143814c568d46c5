import numpy as np
import pytest
import torch
from torch.nn import functional

from effnet_core import Activation, Norm, Padding, padding_amounts
from effnet_torch.layers import ConvNorm, DropConnect, PaddedConv2d, SqueezeExcite, batch_norm
from tests.effnet_torch.helpers import apart

SIZES = [(64, 64), (65, 49), (7, 8), (5, 5), (3, 2), (1, 1)]
NORM = Norm(epsilon=1e-3, decay=0.99)


def conv(kernel_size: int, stride: int, padding: Padding = Padding.SAME) -> PaddedConv2d:
    return PaddedConv2d(3, 4, kernel_size=kernel_size, stride=stride, padding=padding).double()


def padded_by(amounts_of: object, layer: PaddedConv2d, x: torch.Tensor) -> torch.Tensor:
    """The same convolution without padding of its own, after explicit amounts (before, after) for each side."""
    (top, bottom), (left, right) = (amounts_of(size) for size in x.shape[2:])
    return functional.conv2d(functional.pad(x, (left, right, top, bottom)), layer.weight, stride=layer.stride)


@pytest.mark.parametrize("padding", Padding)
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5, 7])
def test_a_convolution_pads_by_the_amounts_of_the_definition(kernel_size: int, stride: int, padding: Padding) -> None:
    layer = conv(kernel_size, stride, padding)
    for height, width in SIZES:
        if padding is Padding.SYMMETRIC and min(height, width) < kernel_size:
            continue  # without SAME, an image smaller than the kernel has no output
        x = torch.randn(2, 3, height, width, dtype=torch.float64)
        expected = padded_by(
            lambda size: padding_amounts(size, kernel_size=kernel_size, stride=stride, padding=padding), layer, x
        )
        assert layer(x).shape == expected.shape
        assert apart(layer(x).detach(), expected.detach()) < 1e-14


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_symmetric_amounts_differ_from_same_at_an_even_size_only(kernel_size: int) -> None:
    same, symmetric = conv(kernel_size, 2), conv(kernel_size, 2, Padding.SYMMETRIC)
    symmetric.load_state_dict(same.state_dict())
    even, odd = torch.randn(1, 3, 8, 8, dtype=torch.float64), torch.randn(1, 3, 9, 9, dtype=torch.float64)
    assert apart(symmetric(even).detach(), same(even).detach()) > 0.1
    assert torch.equal(symmetric(odd), same(odd))


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_the_odd_pixel_goes_after_not_before(kernel_size: int) -> None:
    layer, x = conv(kernel_size, 2), torch.randn(1, 3, 8, 8, dtype=torch.float64)
    amounts = padding_amounts(8, kernel_size=kernel_size, stride=2, padding=Padding.SAME)
    assert amounts[1] == amounts[0] + 1
    assert apart(padded_by(lambda _: amounts[::-1], layer, x).detach(), layer(x).detach()) > 0.1


def test_only_amounts_that_depend_on_the_input_are_padded_first() -> None:
    assert not conv(3, 1).pads_first
    assert conv(3, 1).padding == (1, 1)
    assert not conv(5, 2, Padding.SYMMETRIC).pads_first
    assert conv(3, 2).pads_first
    assert conv(2, 1).pads_first


def test_padding_first_keeps_channels_last() -> None:
    x = torch.randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    layer = PaddedConv2d(3, 4, kernel_size=3, stride=2).to(memory_format=torch.channels_last)
    assert layer(x).is_contiguous(memory_format=torch.channels_last)


def one_training_step(norm: torch.nn.BatchNorm2d, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    norm.double().train()(torch.from_numpy(x))
    return norm.running_mean.numpy(), norm.running_var.numpy()


def expected_statistics(x: np.ndarray, decay: float) -> tuple[np.ndarray, np.ndarray]:
    """New = decay * old + (1 - decay) * batch, from mean 0 and variance 1; torch's batch variance is unbiased."""
    return (1 - decay) * x.mean((0, 2, 3)), decay + (1 - decay) * x.var((0, 2, 3), ddof=1)


def test_one_training_step_weighs_the_old_statistics_with_the_decay() -> None:
    x = np.random.default_rng(0).normal(2, 3, (4, 5, 6, 7))
    mean, variance = one_training_step(batch_norm(5, NORM), x)
    expected_mean, expected_variance = expected_statistics(x, 0.99)
    assert apart(mean, expected_mean) < 1e-12
    assert apart(variance, expected_variance) < 1e-12


def test_the_decay_given_raw_as_momentum_is_seen() -> None:
    x = np.random.default_rng(0).normal(2, 3, (4, 5, 6, 7))
    raw = torch.nn.BatchNorm2d(5, eps=NORM.epsilon, momentum=NORM.decay)
    mean, variance = one_training_step(raw, x)
    expected_mean, expected_variance = expected_statistics(x, 0.99)
    assert apart(mean, expected_mean) > 10
    assert apart(variance, expected_variance) > 1


def test_the_running_variance_is_unbiased_where_that_of_keras_is_biased() -> None:
    x = np.random.default_rng(0).normal(2, 3, (2, 1, 2, 2))
    _, variance = one_training_step(batch_norm(1, NORM), x)
    biased = 0.99 + 0.01 * x.var((0, 2, 3))
    assert variance[0] - 0.99 == pytest.approx((biased[0] - 0.99) * 8 / 7, rel=1e-9)


def test_normalisation_in_evaluation_is_the_formula_of_the_paper() -> None:
    layer = ConvNorm(PaddedConv2d(2, 2, kernel_size=1), norm=NORM, activation=None).double().eval()
    with torch.no_grad():
        layer.norm.running_mean.copy_(torch.tensor([0.3, -1.0]))
        layer.norm.running_var.copy_(torch.tensor([1e-3, 2.0]))
        layer.norm.weight.copy_(torch.tensor([-0.7, 1.5]))
        layer.norm.bias.copy_(torch.tensor([0.1, 0.2]))
        x = torch.randn(1, 2, 3, 3, dtype=torch.float64)
        convolved = layer.conv(x).numpy()
        found = layer(x).numpy()
    mean, variance, gamma, beta = (
        tensor.detach().numpy()[None, :, None, None]
        for tensor in (layer.norm.running_mean, layer.norm.running_var, layer.norm.weight, layer.norm.bias)
    )
    assert apart(found, (convolved - mean) / np.sqrt(variance + 1e-3) * gamma + beta) < 1e-12
    assert apart(found, (convolved - mean) / np.sqrt(variance + 1e-5) * gamma + beta) > 0.1


@pytest.mark.parametrize("activation", Activation)
def test_squeeze_excite_rescales_by_a_gate_from_the_means(activation: Activation) -> None:
    layer = SqueezeExcite(6, squeeze_channels=2, activation=activation).double()
    x = torch.randn(3, 6, 4, 5, dtype=torch.float64)
    weights = {name: tensor.detach().numpy().squeeze() for name, tensor in layer.named_parameters()}
    hidden = x.numpy().mean((2, 3)) @ weights["reduce.weight"].T + weights["reduce.bias"]
    hidden = {
        Activation.SWISH: hidden / (1 + np.exp(-hidden)),
        Activation.RELU6: np.clip(hidden, 0, 6),
        Activation.RELU: np.maximum(hidden, 0),
        Activation.TANH: np.tanh(hidden),
        Activation.SIGMOID: 1 / (1 + np.exp(-hidden)),
    }[activation]
    gate = 1 / (1 + np.exp(-(hidden @ weights["expand.weight"].T + weights["expand.bias"])))
    assert apart(layer(x).detach(), x.numpy() * gate[:, :, None, None]) < 1e-12


def test_drop_connect_drops_whole_samples_and_scales_the_rest() -> None:
    layer = DropConnect(0.3).train()
    x = torch.ones(20_000, 2, 2, 2)
    kept = layer(x)
    samples = kept.flatten(1)
    assert torch.equal(samples.min(1).values, samples.max(1).values)  # one fate for a whole sample
    assert samples.unique().tolist() == [0.0, pytest.approx(1 / 0.7)]
    # The standard deviation of the share is sqrt(0.3 * 0.7 / 20000) = 0.0032: four of them.
    assert (samples[:, 0] == 0).double().mean().item() == pytest.approx(0.3, abs=0.013)
    assert kept.mean().item() == pytest.approx(1.0, abs=0.02)
    assert torch.equal(layer.eval()(x), x)
