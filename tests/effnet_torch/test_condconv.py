"""Conditional convolutions against ordinary ones: image by image, with the kernel that the experts give for it."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from effnet_core import Padding, padding_amounts, resolve
from effnet_torch import create_model
from effnet_torch.condconv import CondDepthwiseConv2d, CondPointwiseConv2d
from tests.effnet_torch.helpers import apart

EXPERTS = 3
SIZES = [(9, 6), (8, 8), (5, 7), (1, 1)]


def filled(layer: torch.nn.Module) -> torch.nn.Module:
    torch.nn.init.normal_(layer.weight)
    return layer.double()


def pointwise() -> CondPointwiseConv2d:
    return filled(CondPointwiseConv2d(4, 5, num_experts=EXPERTS))


def depthwise(kernel_size: int, stride: int, padding: Padding = Padding.SAME) -> CondDepthwiseConv2d:
    layer = CondDepthwiseConv2d(4, kernel_size=kernel_size, stride=stride, padding=padding, num_experts=EXPERTS)
    return filled(layer)


def inputs(count: int, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of 4 channels, and a mixture for each."""
    return torch.randn(count, 4, *size, dtype=torch.float64), torch.rand(count, EXPERTS, dtype=torch.float64)


def one_kernel(layer: torch.nn.Module, mixture: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """The kernel for one image: each expert's, in torch's layout, times its share."""
    return sum(share * row.reshape(shape) for share, row in zip(mixture, layer.weight, strict=True))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [1, 3])
@torch.no_grad()
def test_pointwise(count: int, size: tuple[int, int]) -> None:
    layer, (x, mixtures) = pointwise(), inputs(count, size)
    expected = [
        functional.conv2d(image[None], one_kernel(layer, mixture, (5, 4, 1, 1)))
        for image, mixture in zip(x, mixtures, strict=True)
    ]
    assert apart(layer(x, mixtures), torch.cat(expected)) < 1e-14


@pytest.mark.parametrize("padding", Padding)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel_size", [3, 5])
@torch.no_grad()
def test_depthwise(kernel_size: int, stride: int, padding: Padding) -> None:
    layer = depthwise(kernel_size, stride, padding)
    for count in (1, 3):
        for size in SIZES[:-1]:
            x, mixtures = inputs(count, size)
            top, left = (
                padding_amounts(side, kernel_size=kernel_size, stride=stride, padding=padding) for side in size
            )
            expected = [
                functional.conv2d(
                    functional.pad(image[None], (*left, *top)),
                    one_kernel(layer, mixture, (4, 1, kernel_size, kernel_size)),
                    stride=stride,
                    groups=4,
                )
                for image, mixture in zip(x, mixtures, strict=True)
            ]
            assert apart(layer(x, mixtures), torch.cat(expected)) < 1e-14


@torch.no_grad()
def test_depthwise_as_it_is_compiled_is_the_same() -> None:
    layer, (x, mixtures) = depthwise(5, 2), inputs(3, (9, 6))
    assert apart(layer._by_experts(x, mixtures), layer._by_images(x, mixtures)) < 1e-14


@torch.no_grad()
def test_an_empty_batch_gives_empty_logits() -> None:
    model = create_model(resolve("condconv-b0-4e", width=0.13, depth=0.5, num_classes=7)).eval()
    assert model(torch.empty(0, 3, 33, 32)).shape == (0, 7)
    assert model(torch.empty(1, 3, 33, 32)).shape == (1, 7)


@torch.no_grad()
def test_an_image_does_not_see_the_others() -> None:
    for layer in (pointwise(), depthwise(3, 1)):
        x, mixtures = inputs(4, (6, 5))
        together = layer(x, mixtures)
        alone = torch.cat([layer(image[None], mixture[None]) for image, mixture in zip(x, mixtures, strict=True)])
        assert apart(together, alone) < 1e-14
        assert apart(layer(x, mixtures.flip(0)), together) > 0.1


def test_the_mixture_gets_the_gradient_of_every_expert() -> None:
    for layer in (pointwise(), depthwise(3, 2)):
        x, mixtures = inputs(2, (5, 4))
        mixtures.requires_grad_()
        assert torch.autograd.gradcheck(lambda *given, layer=layer: layer(*given).sum((2, 3)), (x, mixtures))


def test_printing_names_what_the_layers_are() -> None:
    assert "4, 5, num_experts=3" in repr(pointwise())
    assert "kernel_size=5, stride=2, num_experts=3" in repr(depthwise(5, 2))


def test_rows_of_the_weight_are_experts() -> None:
    layer, (x, _) = pointwise(), inputs(1, (2, 2))
    with torch.no_grad():
        chosen = layer(x, torch.eye(EXPERTS, dtype=torch.float64)[1:2]).numpy()
    kernel = layer.weight[1].detach().numpy().reshape(5, 4)
    assert apart(chosen, np.einsum("oc,nchw->nohw", kernel, x.numpy())) < 1e-14
