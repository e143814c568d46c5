"""Exact arithmetic: correct networks agree in every bit, and every mistake is seen in its layer."""

import re
from dataclasses import replace

import numpy as np
import pytest

from converters import fold
from effnet import Network, exact_parity, training_parity
from effnet.errors import DeviceUnavailable, IncomparableNetworks, InexactNetwork, InputError
from effnet.parity_engine import trace
from effnet.parity_engine.compare import Remark
from effnet.parity_engine.exact_report import verdict
from effnet.parity_engine.grid import Grid
from effnet_core import CheckpointMismatch, InvalidOption, LayerKind, layers, parameters, resolve
from tests.devices import DEVICES, available
from tests.faults import FAULTS, SPEC, STATE
from tests.lively import images, lively_state

BASE = Network(spec=SPEC, state=STATE, name="base")
OTHER = {"tf": "torch", "torch": "tf"}

FAMILIES = {
    "b0": ((0, 1, 2), (64, 96)),
    "lite0": ((0, 1, 2), (67, 67)),
    "edgetpu-S": ((0, 1, 2, 7), (65, 49)),
    "condconv-b0-4e": ((1, 9, 11), (64, 64)),
    "v2-b0": ((0, 1, 2, 5), (66, 45)),
}
"""A network of each family: the blocks that are kept, and the input: even, odd, and not square."""


def member(name):
    """A network of the family so narrow that all its blocks take and give 8 channels; those of FAMILIES are kept."""
    spec = resolve(name, width=0.04, num_classes=10)
    kept = tuple(spec.blocks[index] for index in FAMILIES[name][0])
    spec = replace(spec, blocks=kept, head=replace(spec.head, in_channels=kept[-1].out_channels))
    return Network(spec=spec, state=lively_state(spec), name=name)


def in_torch(b, **options):
    """Both in PyTorch."""
    options = {"inputs": images(2, 32, 32)} | options
    return exact_parity(BASE, b, a_backend="torch", b_backend="torch", **options)


@pytest.fixture(params=DEVICES)
def device(request):
    return available(request.param)


@pytest.mark.parametrize("name", FAMILIES)
def test_without_a_mistake_not_one_bit_differs(name, device):
    network = member(name)
    report = exact_parity(network, network, inputs=images(2, *FAMILIES[name][1]), device=device)
    assert (report.a.backend, report.b.backend) == ("tf", "torch")
    assert report.agrees, report.differences[0]
    assert [item.name for item in report.training] == [layer.name for layer in layers(network.spec)]
    assert [item.name for item in report.tensors] == [parameter.name for parameter in parameters(network.spec)]
    assert len(report.statistics) == sum(not parameter.trainable for parameter in parameters(network.spec))
    lively = [item for item in (*report.inference, *report.training) if not item.remarks]
    assert len(lively) == len(report.inference) + len(report.training)
    assert 20 < max(report.bits.values()) < 53


def folded(network):
    spec, state = fold(network.spec, network.state)
    return replace(network, spec=spec, state=state)


@pytest.mark.parametrize("name", ["lite0", "condconv-b0-4e"])
def test_folded_networks_have_the_same_bits_in_both_frameworks(name, monkeypatch):
    network, options = folded(member(name)), {"inputs": images(2, *FAMILIES[name][1]), "training": False}
    report = exact_parity(network, network, **options)
    assert (report.a.backend, report.b.backend) == ("tf", "torch")
    assert report.agrees, report.differences[0]
    # The control: an end that one framework alone rounds.
    monkeypatch.setattr(trace, "_ends", lambda spec: frozenset())
    unrounded = exact_parity(network, network, **options)
    plain = [f"blocks.{index}" for index, block in enumerate(network.spec.blocks) if not block.has_residual]
    assert unrounded.first_difference == plain[0]


def test_a_mistake_in_a_folded_network_is_seen_in_its_layer():
    network = folded(BASE)
    kernel = network.state["blocks.1.project.conv.kernel"]
    other = replace(network, state={**network.state, "blocks.1.project.conv.kernel": kernel[..., ::-1]})
    sides = {"a_backend": "torch", "b_backend": "torch", "inputs": images(2, 32, 32), "training": False}
    found = exact_parity(network, other, **sides)
    assert next(item.name for item in found.inference if item.differing) == "blocks.1.project.conv"
    assert exact_parity(network, network, **sides).agrees


def test_a_folded_network_is_not_compared_with_one_that_is_not():
    with pytest.raises(IncomparableNetworks, match=r"In b alone .* folded .* exact arithmetic .* without --exact"):
        in_torch(folded(BASE))
    with pytest.raises(IncomparableNetworks, match=r"In a alone .* a comparison of training .* Fold both or neither"):
        training_parity(folded(BASE), BASE, steps=1, a_backend="torch", b_backend="torch")


@pytest.mark.parametrize("backend", ["tf", "torch"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_mistake_in_either_backend_is_seen_in_its_layer(name, backend, monkeypatch):
    fault = FAULTS[name]
    fault.plant(monkeypatch, backend)
    if fault.is_structural:
        with pytest.raises(CheckpointMismatch, match=fault.layer.replace(".", r"\.")):
            exact_parity(BASE, BASE, a_backend="torch", b_backend=backend)
        return
    report = exact_parity(BASE, BASE, a_backend=OTHER[backend], b_backend=backend, inputs=images(2, 32, 40))
    assert report.first_difference == fault.layer
    assert not any(item.is_doubtful for item in report.differences if item.name == fault.layer)


def _dropping(keep):
    """A layer that drops otherwise: `keep` says what stays, for a shape (N, C, H, W) and a generator."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    class Drop(torch.nn.Module):
        def forward(self, branch):
            return branch / 0.8 * keep(branch) if self.training else branch

    return Drop()


def _each(branch, share, shape):
    return branch.new_empty(shape).bernoulli_(share)


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        (lambda x: _each(x, 0.8, x.shape), "drops single values"),
        (lambda x: _each(x, 0.8, (*x.shape[:2], 1, 1)), "drops single values"),
        (lambda x: _each(x, 0.8, (1, 1, 1, 1)), "drops the whole batch"),
        (lambda x: _each(x, 0.3, (len(x), 1, 1, 1)), "keeps 0."),
        (lambda x: 0.8, "never drops"),
        (lambda x: _each(x, 0.8, (len(x), 1, 1, 1)), None),
    ],
)
def test_a_layer_that_drops_otherwise_is_seen(keep, words, monkeypatch):
    package = pytest.importorskip("effnet_torch", reason="PyTorch is not installed")
    rate = replace(SPEC, blocks=(*SPEC.blocks[:2], replace(SPEC.blocks[2], drop_connect_rate=0.2)))
    network = replace(BASE, spec=rate)
    real = package.create_model

    def create_model(*args, **options):
        model = real(*args, **options)
        if len(models) % 2:
            model.blocks[2].drop_connect = _dropping(keep)
        models.append(model)
        return model

    models = []
    monkeypatch.setattr(package, "create_model", create_model)
    report = exact_parity(network, network, a_backend="torch", b_backend="torch", inputs=images(2, 32, 32))
    if words is None:  # the control: this one drops as it should
        assert report.agrees
        return
    assert report.first_difference == "blocks.2.drop_connect"
    assert any(f"In B, blocks.2.drop_connect {words}" in note for note in report.notes)


def test_weights_that_differ_in_the_last_bit_are_listed_although_no_result_differs(monkeypatch):
    report = in_torch(replace(BASE, state=FAULTS["one float"].state(STATE)))
    assert [(item.name, item.differing) for item in report.differences] == [("blocks.2.project.conv.kernel", 1)]
    assert not report.agrees
    lines = verdict(report)
    assert (
        "The first layer whose weights differ is blocks.2.project.conv; the results of all layers are the same"
        in (lines[-1])
    )
    assert not any("first layer that differs" in line for line in lines)
    seen = verdict(in_torch(replace(BASE, state=FAULTS["swapped norms"].state(STATE))))  # the control
    assert any("The first layer that differs is" in line for line in seen)
    assert not any("the same" in line for line in seen)


def test_another_width_inside_squeeze_and_excite_is_named():
    spec = FAULTS["squeeze width"].spec(SPEC)
    report = in_torch(Network(spec=spec, state=lively_state(spec), name="wider"))
    item = next(item for item in report.inference if item.name == "blocks.2.squeeze_excite.reduce")
    assert (item.shape, item.shape_b, item.differing) == ((2, 1, 1, 4), (2, 1, 1, 5), 10)


def test_a_network_that_ends_earlier_is_compared_up_to_its_end():
    spec = replace(SPEC, classifier=None)
    state = {name: array for name, array in STATE.items() if not name.startswith("classifier")}
    report = in_torch(Network(spec=spec, state=state, name="headless"))
    assert report.agrees
    assert report.inference[-1].name == "pooled"


def test_training_can_be_left_out():
    report = in_torch(BASE, training=False, inputs=images(1, 32, 32))
    assert report.agrees
    assert (report.training, report.statistics) == ((), ())


def test_dead_networks_are_called_out():
    network = replace(BASE, state={name: np.zeros_like(array) for name, array in STATE.items()})
    report = exact_parity(network, network, a_backend="torch", b_backend="torch", training=False)
    assert report.agrees
    assert {item.remarks for item in report.inference} == {(Remark.CONSTANT,)}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"grid": Grid(activations=30, weights=24)}, InexactNetwork, r"stem\.conv needs 5.* bits.*--grid-bits"),
        ({"inputs": images(1, 32, 32)}, InputError, "at least 2 images"),
        ({"device": "gpu"}, InvalidOption, "cpu, cuda"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_exact_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        in_torch(BASE, **options)


def test_weights_that_are_not_finite_are_refused_by_name():
    broken = replace(BASE, state=STATE | {"stem.norm.beta": np.full(16, np.nan, np.float32)})
    with pytest.raises(InexactNetwork, match=r"1 tensors, first stem\.norm\.beta"):
        in_torch(broken)


def test_variances_without_a_root_are_refused_by_name():
    """The grid, which has variances of its own, would hide them."""
    name, epsilon = "blocks.1.depthwise.norm.variance", SPEC.norm.epsilon
    variance = STATE[name].copy()
    variance[3] = -1
    broken = replace(BASE, state={**STATE, name: variance})
    with pytest.raises(
        InexactNetwork, match=rf"1 tensors, first {re.escape(name)} with -1; expected more than -0\.001"
    ):
        in_torch(broken)
    variance[3] = -epsilon / 2  # the control: a root is left
    just = replace(BASE, state={**STATE, name: variance})
    sides = {"a_backend": "torch", "b_backend": "torch", "inputs": images(2, 32, 32), "training": False}
    assert exact_parity(just, just, **sides).agrees


def test_the_verdict_counts_the_layers_that_were_compared():
    (alone,) = verdict(in_torch(BASE, training=False, inputs=images(2, 32, 32)))
    (both,) = verdict(in_torch(BASE))
    drops = sum(layer.kind is LayerKind.DROP for layer in layers(SPEC))
    count = len(layers(SPEC))
    assert drops > 0
    assert f"{count - drops} layers in evaluation." in alone
    assert f"{count - drops} layers in evaluation and {count} in training." in both


def test_cuda_is_refused_where_there_is_none():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(DeviceUnavailable, match="--device cpu"):
        in_torch(BASE, device="cuda")
