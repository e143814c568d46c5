"""The logits of `efficientnet_pytorch` 0.7.1 and `efficientnet_lite_pytorch` 0.1.0, both ways.

They are built with image_size=None, so that they pad for the actual input size.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
foreign = pytest.importorskip("efficientnet_pytorch", reason="the package efficientnet_pytorch is not installed")

pytest.importorskip("efficientnet_lite_pytorch", reason="the package efficientnet_lite_pytorch is missing")

from efficientnet_pytorch.utils import efficientnet

import effnet
from converters import SourceOptions, convert
from effnet_core import NetworkSpec, resolve
from effnet_torch import create_model
from tests.compared import EFFICIENTNET_PYTORCH
from tests.effnet_torch.helpers import apart, calibrated_state, run, skeleton
from tests.foreign.comparison import (
    check_back,
    check_controls,
    check_every_variant,
    check_first_blocks,
    check_names,
    check_there,
)
from tests.foreign.judge import Judge, Network, judging, narrow
from tests.lively import images

DIALECT = "efficientnet-pytorch"
NAMES = [f"b{number}" for number in range(9)]
SIZES = [(224, 224), (225, 225), (193, 160)]
LAYERS = {
    "stem.conv": "_conv_stem",
    "stem.norm": "_bn0",
    "expand.conv": "_expand_conv",
    "expand.norm": "_bn0",
    "depthwise.conv": "_depthwise_conv",
    "depthwise.norm": "_bn1",
    "squeeze_excite.reduce": "_se_reduce",
    "squeeze_excite.expand": "_se_expand",
    "project.conv": "_project_conv",
    "project.norm": "_bn2",
    "head.conv": "_conv_head",
    "head.norm": "_bn1",
    "classifier": "_fc",
}
"""Our layer, inside its block where it is in one, and theirs; the leaves are torch's in both."""


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # narrow networks lose more by waiting for threads than they gain
    yield
    torch.set_num_threads(threads)


def theirs(spec: NetworkSpec, *, image_size: int | None = None) -> Any:
    classes = spec.classifier.num_classes
    blocks, options = efficientnet(spec.width, spec.depth, image_size, num_classes=classes)
    return foreign.EfficientNet(blocks, options)


def renamed(name: str) -> str:
    layer, leaf = name.rsplit(".", 1)
    if not layer.startswith("blocks."):
        return f"{LAYERS[layer]}.{leaf}"
    _, index, part = layer.split(".", 2)
    return f"_blocks.{index}.{LAYERS[part]}.{leaf}"


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    with judging("efficientnet_pytorch", tmp_path_factory.mktemp("efficientnet_pytorch")) as judge:
        yield judge


@pytest.mark.parametrize("name", EFFICIENTNET_PYTORCH)
def test_names_and_shapes(name: str, judge: Judge) -> None:
    theirs = judge.shapes(Network(name=f"efficientnet-{name}", classes=1000))
    check_names(theirs, name, dialect=DIALECT)
    if name in NAMES:
        ours = {renamed(key): tuple(tensor.shape) for key, tensor in skeleton(resolve(name)).state_dict().items()}
        assert ours == theirs


def test_every_variant_is_compared() -> None:
    check_every_variant(EFFICIENTNET_PYTORCH, dialect=DIALECT)


@pytest.mark.parametrize("name", ["b0", "lite0"])
def test_narrow(name: str, judge: Judge, tmp_path: Path) -> None:
    made = judge.make(narrow(f"efficientnet-{name}"))
    network = check_there(made, "pth", SourceOptions())
    check_controls(network, made)
    check_back(judge, made, network, tmp_path / "ours.pth", to=DIALECT)


def test_the_first_block_of_a_stage_adds_no_residual(judge: Judge, tmp_path: Path) -> None:
    made = judge.make(narrow("efficientnet-b0", width=0.2), dtypes=["float64"])
    check_first_blocks(judge, made, "pth", tmp_path / "ours.pth", to=DIALECT)


def test_the_size_that_a_model_was_made_for_is_in_no_file_and_is_pointed_out(judge: Judge, tmp_path: Path) -> None:
    made = judge.make(narrow("efficientnet-b0"), sizes=[(65, 49)], dtypes=["float64"])
    found = effnet.load_network(made.files["pth"])
    assert sum("made with image_size=None" in note for note in found.notes) == 1
    report = convert(made.files["pth"], tmp_path / "back.pth", to=DIALECT, sync=False)
    assert sum("made with image_size=None" in note for note in report.notes) == 2  # where it comes from and goes to
    # The control: a file that has its definition with it leaves nothing open.
    assert not any("image_size" in note for note in effnet.load_network(tmp_path / "back.pth").notes)


@pytest.mark.parametrize("name", ["b0", "lite0"])
def test_native_size(name: str, judge: Judge, tmp_path: Path) -> None:
    network = Network(name=f"efficientnet-{name}", classes=1000)
    made = judge.make(network, sizes=[(224, 224), (227, 190)], dtypes=["float32"])
    ours = check_there(made, "pth", SourceOptions())
    check_controls(ours, made)
    check_back(judge, made, ours, tmp_path / "ours.pth", to=DIALECT)


# Those from b6 on have only more of the same blocks; their names and shapes are compared above.
@pytest.mark.parametrize("name", NAMES[:6])
def test_logits(name: str) -> None:
    spec = resolve(name, num_classes=10)
    model = create_model(spec, calibrated_state(spec, count=4, side=128)).eval()
    other = theirs(spec)
    other.load_state_dict({renamed(key): tensor for key, tensor in model.state_dict().items()}, strict=True)
    other.eval()
    for height, columns in SIZES:
        x = images(1, height, columns)
        assert apart(run(model, x), run(other, x)) < 3e-6, (height, columns)
    x = images(2, 65, 96)
    logits = run(model.double(), x)
    assert apart(logits, run(other.double(), x)) < 1e-12
    assert apart(logits[0], logits[1]) > 1e-3  # the weights let the image through


def test_a_model_for_one_size_differs_at_another() -> None:
    """The control: built for 224, as their `from_name` does, it pads wrongly at 225."""
    spec = resolve("b0", width=0.375, num_classes=10)
    model = create_model(spec, calibrated_state(spec, count=4, side=128)).eval()
    other = theirs(spec, image_size=224)
    other.load_state_dict({renamed(key): tensor for key, tensor in model.state_dict().items()}, strict=True)
    other.eval()
    assert apart(run(model, images(1, 224, 224)), run(other, images(1, 224, 224))) < 3e-6
    assert apart(run(model, images(1, 225, 225)), run(other, images(1, 225, 225))) > 1e-3
