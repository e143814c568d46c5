"""Feature extractors that were cut off: after a block they are a network of their own, inside one they are none."""

import json
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from converters import EmaUnavailable, SourceOptions, UnknownArchitecture, open_checkpoint
from converters.formats.base import Array
from converters.memory import MemoryReader
from converters.opening import understand
from effnet_core import NetworkSpec, parameters, resolve
from tests.converters.memory import equal, in_dialect, opened
from tests.lively import lively_state

WHOLE = resolve("b0", num_classes=10)
STATE = lively_state(WHOLE)


def _first(count: int, dialect: str) -> dict[str, Array]:
    """The first tensors, in forward order, under the names of a dialect."""
    named = in_dialect(dialect, WHOLE, STATE)
    return dict(list(named.items())[:count])


def _before(spec: NetworkSpec, block: int) -> int:
    return next(index for index, parameter in enumerate(parameters(spec)) if parameter.block == block)


@pytest.mark.parametrize("dialect", ["keras-applications", "timm", "official"])
def test_a_network_that_ends_after_a_block_is_read(dialect: str) -> None:
    count = _before(WHOLE, 11)
    found = opened(_first(count, dialect))
    assert found.spec.blocks == WHOLE.blocks[:11]
    assert (found.spec.head, found.spec.classifier) == (None, None)
    assert any("the first 11 of the 16 blocks of efficientnet-b0" in note for note in found.notes)
    expected = {parameter.name: STATE[parameter.name] for parameter in parameters(WHOLE)[:count]}
    assert equal(found.state(), expected)


@pytest.mark.parametrize("more", [1, 5])
def test_one_that_ends_inside_a_block_is_refused_with_the_way_out(more: int) -> None:
    with pytest.raises(UnknownArchitecture, match=r"first \d+ of \d+ tensors of efficientnet-b0.*ends inside a block"):
        opened(_first(_before(WHOLE, 11) + more, "keras-applications"))


@pytest.mark.parametrize("more", [0, 5])
def test_averages_of_the_first_layers_alone_are_refused(more: int, tmp_path: Path) -> None:
    count = _before(WHOLE, 11) + more
    half = {f"{name}/ExponentialMovingAverage": array for name, array in _first(count, "official").items()}
    with pytest.raises(EmaUnavailable, match=rf"moving averages alone, of the first {count} of 304 tensors"):
        opened(half)
    file = tmp_path / "half.safetensors"
    save_file({f"state_dict_ema.{name}": array for name, array in _first(count, "timm").items()}, file)
    with pytest.raises(EmaUnavailable, match=rf"moving averages alone, of the first {count} of 304 tensors"):
        open_checkpoint(file)


def test_a_definition_says_that_averages_end_there() -> None:
    cut = opened(_first(_before(WHOLE, 11), "official"))
    averages = {
        f"{name}/ExponentialMovingAverage": array for name, array in _first(len(cut.sources), "official").items()
    }
    again = opened(averages, SourceOptions(spec=cut.spec))
    assert equal(again.state(), cut.state())


def test_a_gap_is_no_cut() -> None:
    arrays = _first(_before(WHOLE, 11), "timm")
    del arrays["blocks.1.0.conv_pw.weight"]
    with pytest.raises(Exception, match=r"blocks\.1\.0\.conv_pw\.weight|fit no EfficientNet"):
        opened(arrays)


@pytest.mark.parametrize(("architecture", "is_told"), [("resnet50", True), ("efficientnet_b0", False)])
def test_another_architecture_in_config_json_is_told(architecture: str, is_told: bool) -> None:
    reader = MemoryReader(in_dialect("torchvision", WHOLE, STATE), path=Path("memory"), format="memory")
    reader.metadata = {"config.json": json.dumps({"architecture": architecture})}
    notes = understand(reader, SourceOptions()).notes
    assert any("which is no EfficientNet" in note for note in notes) == is_told
