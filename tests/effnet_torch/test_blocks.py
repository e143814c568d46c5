from dataclasses import replace

import pytest
import torch
from torch import nn

from effnet_core import Block, CondMBConv, FusedMBConv, MBConv, NetworkSpec, endpoints, resolve
from effnet_torch import CondMBConvBlock, FusedMBConvBlock, MBConvBlock
from effnet_torch.blocks import build_block
from effnet_torch.layers import ConvNorm
from effnet_torch.recording import Recorder


def built(spec: NetworkSpec, block: Block) -> MBConvBlock | FusedMBConvBlock | CondMBConvBlock:
    return build_block(block, path="blocks.7", norm=spec.norm, padding=spec.padding)


MODULES = {MBConv: MBConvBlock, FusedMBConv: FusedMBConvBlock, CondMBConv: CondMBConvBlock}


def test_parts_of_every_kind() -> None:
    cases = {
        ("v2-b0", 0): ["project"],
        ("v2-b0", 1): ["expand", "project"],
        ("v2-b0", 5): ["expand", "depthwise", "squeeze_excite", "project"],
        ("lite0", 0): ["depthwise", "project"],
        ("condconv-b0-4e", 11): [
            *("routing_average", "routing", "routing_sigmoid"),
            *("expand", "depthwise", "squeeze_excite", "project"),
        ],
    }
    for (name, index), parts in cases.items():
        spec = resolve(name, width=0.13)
        assert [part for part, _ in built(spec, spec.blocks[index]).named_children()] == parts, (name, index)


@pytest.mark.parametrize("name", ["b0", "b3", "lite0", "lite4", "edgetpu-S", "condconv-b0-4e", "v2-b0", "v2-s"])
def test_a_block_has_the_parts_of_its_definition(name: str) -> None:
    spec = resolve(name, width=0.13)
    for block in spec.blocks:
        module = built(spec, block)
        assert type(module) is MODULES[type(block)]
        assert (module.expand is not None) == block.has_expansion
        squeezed = not isinstance(block, FusedMBConv) and block.squeeze_channels is not None
        assert (getattr(module, "squeeze_excite", None) is not None) == squeezed
        assert (module.drop_connect is not None) == (block.has_residual and block.drop_connect_rate > 0)
        assert module.drop_connect is None or module.drop_connect.rate == block.drop_connect_rate


@pytest.mark.parametrize("index", range(16))
def test_a_block_is_the_chain_of_its_parts_and_the_residual(spec: NetworkSpec, index: int) -> None:
    block = spec.blocks[index]
    module = built(spec, block).double().eval()
    x = torch.randn(2, block.in_channels, 9, 6, dtype=torch.float64)
    parts = [module.expand, module.depthwise, module.squeeze_excite, module.project]
    chain = nn.Sequential(*(part for part in parts if part is not None))
    expected = chain(x) + x if block.has_residual else chain(x)
    assert torch.equal(module(x), expected)


@pytest.mark.parametrize("index", range(10))
def test_a_fused_block_is_the_chain_of_its_parts_and_the_residual(index: int) -> None:
    spec = resolve("v2-s", width=0.13)
    block = spec.blocks[index]
    module = built(spec, block).double().eval()
    x = torch.randn(2, block.in_channels, 9, 6, dtype=torch.float64)
    chain = nn.Sequential(*(part for part in (module.expand, module.project) if part is not None))
    expected = chain(x) + x if block.has_residual else chain(x)
    assert torch.equal(module(x), expected)


def test_the_first_convolution_of_a_fused_block_has_kernel_stride_and_activation() -> None:
    spec = resolve("v2-s", width=0.13)
    for block in (spec.blocks[0], spec.blocks[2]):
        module = built(spec, block)
        parts = [part for part in (module.expand, module.project) if part is not None]
        kernels = [(part.conv.kernel_size[0], part.conv.stride[0], part.activation is not None) for part in parts]
        assert kernels == [(3, block.stride, True), (1, 1, False)][: len(parts)]
    assert (spec.blocks[0].stride, spec.blocks[2].stride) == (1, 2)


@pytest.mark.parametrize("index", range(8, 16))
def test_a_conditional_block_mixes_by_its_input_and_adds_the_residual(index: int) -> None:
    spec = resolve("condconv-b0-4e", width=0.13)
    block = spec.blocks[index]
    module = built(spec, block).double().eval()
    for conv in (module.expand.conv, module.depthwise.conv, module.project.conv):
        nn.init.normal_(conv.weight)
    x = torch.randn(3, block.in_channels, 9, 6, dtype=torch.float64)
    mixture = torch.sigmoid(x.mean((2, 3)) @ module.routing.weight.T + module.routing.bias)
    torch.testing.assert_close(module.mixture(x), mixture, rtol=0, atol=1e-14)
    branch = module.squeeze_excite(module.depthwise(module.expand(x, mixture), mixture))
    branch = module.project(branch, mixture)
    torch.testing.assert_close(module(x), branch + x if block.has_residual else branch, rtol=1e-12, atol=1e-12)


def test_the_projection_has_no_activation(spec: NetworkSpec) -> None:
    module = built(spec, spec.blocks[1])
    without = [name for name, part in module.named_children() if isinstance(part, ConvNorm) and part.activation is None]
    assert without == ["project"]


def test_parts_are_recorded_under_the_path(spec: NetworkSpec) -> None:
    block = spec.blocks[1]
    parts = ["expand", "depthwise", "squeeze_excite", "project"]
    record = Recorder(["blocks.7", *(f"blocks.7.{part}" for part in parts)])
    assert not record.complete
    output = built(spec, block)(torch.randn(1, block.in_channels, 8, 8), record)
    assert record.complete
    assert record.values["blocks.7"] is output
    assert [record.values[f"blocks.7.{part}"].shape[1] for part in parts] == [*[block.expanded_channels] * 3, 8]


@pytest.mark.parametrize(("name", "index"), [("v2-b0", 0), ("v2-b0", 1), ("condconv-b0-4e", 9)])
def test_parts_of_new_kinds_are_recorded_under_the_path(name: str, index: int) -> None:
    spec = resolve(name, width=0.13)
    module = built(spec, spec.blocks[index])
    prefix = f"blocks.{index}"
    names = [found for found in endpoints(spec) if found == prefix or found.startswith(f"{prefix}.")]
    record = Recorder(found.replace(prefix, "blocks.7") for found in names)
    module(torch.randn(2, spec.blocks[index].in_channels, 8, 8), record)
    assert record.complete
    assert [found.replace("blocks.7", prefix) for found in record.values] == names


def test_a_dropped_branch_leaves_the_residual(spec: NetworkSpec) -> None:
    index = next(index for index, block in enumerate(spec.blocks) if block.has_residual and index)
    block = replace(spec.blocks[index], drop_connect_rate=0.5)
    module = built(spec, block).double().train()
    for norm in (part for part in module.modules() if isinstance(part, nn.BatchNorm2d)):
        norm.eval()  # so that samples do not depend on each other
    x = torch.randn(64, block.in_channels, 4, 4, dtype=torch.float64)
    torch.manual_seed(3)
    trained = module(x) - x
    branch = module.eval()(x) - x
    dropped = trained.flatten(1).abs().amax(1) == 0
    assert 16 < dropped.sum() < 48
    torch.testing.assert_close(trained[~dropped], 2 * branch[~dropped], rtol=0, atol=1e-14)  # of values up to 5
    assert not torch.allclose(trained[~dropped], branch[~dropped], rtol=0, atol=1e-2)  # the control
