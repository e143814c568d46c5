from dataclasses import replace

import numpy as np
import pytest

from converters import save_state
from effnet import Network, RandomInput, parity
from effnet.errors import DeviceUnavailable, IncomparableNetworks, InputError
from effnet.parity_engine.compare import Remark
from effnet_core import InvalidOption, Norm, Padding, resolve
from tests import oracle
from tests.devices import DEVICES, available
from tests.lively import images, lively_state

SPEC = resolve("b0", width=0.13, depth=0.35, num_classes=10)  # ten blocks
STATE = lively_state(SPEC)
BASE = Network(spec=SPEC, state=STATE, name="base")


def compared(b, a=BASE, **options):
    """Both in PyTorch: the mistakes below are the same for every pair of backends."""
    return parity(a, b, a_backend="torch", b_backend="torch", **options)


def changed(**tensors):
    return replace(BASE, state=STATE | {name.replace("__", "."): value for name, value in tensors.items()})


def swapped(first, second):
    """The tensors of two layers exchanged."""
    leaves = [name.rsplit(".", 1)[1] for name in STATE if name.startswith(f"{first}.")]
    pairs = {f"{first}.{leaf}": f"{second}.{leaf}" for leaf in leaves}
    state = STATE | {a: STATE[b] for a, b in pairs.items()} | {b: STATE[a] for a, b in pairs.items()}
    return replace(BASE, state=state)


def transposed(name):
    return replace(BASE, state=STATE | {name: np.swapaxes(STATE[name], 0, 1)})


def with_spec(**fields):
    return replace(BASE, spec=replace(SPEC, **fields))


@pytest.mark.parametrize(
    ("network", "first"),
    [
        pytest.param(swapped("blocks.5.expand.norm", "blocks.5.depthwise.norm"), "blocks.5.expand", id="norms"),
        pytest.param(transposed("blocks.3.depthwise.conv.kernel"), "blocks.3.depthwise", id="kernel"),
        pytest.param(swapped("blocks.5.project.conv", "blocks.6.project.conv"), "blocks.5.project", id="blocks"),
        pytest.param(changed(classifier__bias=STATE["classifier.bias"][::-1]), "logits", id="bias"),
        pytest.param(with_spec(norm=Norm(epsilon=1e-5, decay=0.99)), "stem", id="epsilon"),
        pytest.param(with_spec(padding=Padding.SYMMETRIC), "stem", id="padding"),
    ],
)
def test_a_mistake_is_found_in_the_layer_where_it_is(network, first):
    report = compared(network)
    assert not report.agrees
    assert report.comparison.first_difference == first


def test_a_network_agrees_with_itself_and_says_so_about_lively_layers():
    report = compared(BASE)
    assert report.agrees
    assert all(not layer.remarks and layer.float64.max_abs == 0 for layer in report.comparison.layers)
    assert report.comparison.layers[-1].own_a.relative > 1e-9  # both precisions were really computed


def test_a_difference_of_rounding_alone_in_float64_is_found():
    kernel = STATE["head.conv.kernel"].astype(np.float64)
    assert compared(changed(head__conv__kernel=kernel)).agrees
    report = compared(changed(head__conv__kernel=kernel * (1 + 1e-8)))
    head = next(layer for layer in report.comparison.layers if layer.name == "head")
    assert report.comparison.first_difference == "head"
    assert head.float32.relative < 1e-5


def test_odd_sides_hide_symmetric_padding():
    hidden = compared(with_spec(padding=Padding.SYMMETRIC), inputs=RandomInput(size=65))
    assert hidden.agrees
    assert hidden.notes == ("The definitions differ in padding: same against symmetric.",)


def test_nan_in_the_weights_is_a_difference_although_both_sides_have_it():
    network = changed(stem__norm__beta=np.full(8, np.nan, np.float32))
    report = compared(network, a=network)
    assert report.comparison.first_difference == "stem"
    assert report.comparison.layers[0].remarks == (Remark.NOT_FINITE,)


def test_dead_networks_are_called_out():
    network = replace(BASE, state={name: np.zeros_like(array) for name, array in STATE.items()})
    report = compared(network, a=network)
    assert report.agrees
    assert {layer.remarks for layer in report.comparison.layers} == {(Remark.CONSTANT,)}


def test_networks_of_other_blocks_are_refused_before_anything_runs():
    other = resolve("b1", width=0.13, num_classes=10)
    with pytest.raises(IncomparableNetworks, match="10 against 23"):
        parity(BASE, Network(spec=other, state=lively_state(other), name="b1"))


@pytest.mark.parametrize("inputs", [np.ones((2, 64, 64, 4), np.float32), RandomInput(size=0), []])
def test_input_that_does_not_fit_is_refused(inputs):
    with pytest.raises(InputError):
        compared(BASE, inputs=inputs)


def test_cuda_is_refused_where_there_is_none():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(DeviceUnavailable, match="--device cpu"):
        compared(BASE, device="cuda")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("folder", "size"), [("efficientnet-b0", "64x64"), ("efficientnet-lite0", "65x49")])
def test_the_official_checkpoints_agree_between_the_frameworks(folder, size, device):
    path = oracle.FOLDER / folder
    report = parity(path, path, b_backend="torch", inputs=[path / f"input_{size}.npy"], device=available(device))
    assert (report.a.backend, report.b.backend) == ("tf", "torch")
    assert report.agrees
    assert not any(layer.remarks for layer in report.comparison.layers)
    assert report.comparison.same_argmax == 2
    assert 0 < max(layer.float64.relative for layer in report.comparison.layers) < 1e-12


@pytest.mark.parametrize(
    "options",
    [{"device": "gpu"}, {"a_backend": "keras"}, {"b_backend": "jax"}],
    ids=str,
)
def test_options_are_checked_before_the_checkpoints_are_read(options):
    with pytest.raises(InvalidOption, match="expected one of"):
        parity("absent.pth", "absent.pth", **options)


def test_a_single_input_needs_no_list(tmp_path):
    np.save(tmp_path / "input.npy", images(9, 16, 16))
    report = compared(BASE, inputs=str(tmp_path / "input.npy"))
    assert report.agrees
    assert (report.input, report.comparison.images) == (f"{tmp_path / 'input.npy'}, 16 x 16 pixels", 9)


def test_input_of_another_layout_is_refused_with_the_layout(tmp_path):
    with pytest.raises(InputError, match=r"expected NHWC.*looks like NCHW"):
        compared(BASE, inputs=images(2, 32, 32).transpose(0, 3, 1, 2))


def test_outputs_are_kept_where_they_are_asked_for():
    assert compared(BASE).outputs is None
    kept = compared(BASE, keep_outputs=True).outputs
    assert kept is not None
    assert kept[0].float64["logits"].shape == (2, 10)
    assert list(kept[1].float32) == [layer.name for layer in compared(BASE).comparison.layers]


def test_two_files_of_one_framework_are_said_to_run_in_it(tmp_path):
    save_state(tmp_path / "x.pth", SPEC, STATE)
    given = {"inputs": images(2, 32, 32)}
    report = parity(tmp_path / "x.pth", tmp_path / "x.pth", **given)
    words = "Both run in PyTorch, to which the files belong. To compare frameworks, name another one for one side"
    assert any(note.startswith(words) and "--b-backend tf" in note for note in report.notes)
    named = parity(tmp_path / "x.pth", tmp_path / "x.pth", a_backend="torch", b_backend="torch", **given)  # the control
    assert not any("Both run" in note for note in named.notes)
