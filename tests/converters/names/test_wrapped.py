"""Names of PyTorch with those of modules that wrap a part of the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from converters import SourceOptions, open_checkpoint
from effnet_core import EffnetError, resolve
from tests.converters.memory import equal, in_dialect
from tests.lively import lively_state

NARROW = resolve("b0", width=0.13, depth=0.1, num_classes=7)
STATE = lively_state(NARROW)
PARTS = {"torchvision": ("features.0.", "features.2.0."), "timm": ("blocks.1.", "classifier.")}


def saved(path: Path, dialect: str, wrapper: str, *, outer: str = "") -> Path:
    """A file in which the wrapper stands behind `outer` and behind some parts of the network."""
    arrays: dict[str, np.ndarray] = {}
    for name, array in in_dialect(dialect, NARROW, STATE).items():
        part = next((part for part in PARTS[dialect] if name.startswith(part)), "")
        arrays[f"{outer}{part}{wrapper if part else ''}{name.removeprefix(part)}"] = array
    assert sum(wrapper in name for name in arrays) >= 7
    torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, path)
    return path


@pytest.mark.parametrize("wrapper", ["_orig_mod.", "_checkpoint_wrapped_module.", "_fsdp_wrapped_module."])
@pytest.mark.parametrize("outer", ["", "module.", "_fsdp_wrapped_module."])
@pytest.mark.parametrize("dialect", PARTS)
def test_wrapped_parts_of_a_network_are_seen_through(dialect: str, outer: str, wrapper: str, tmp_path: Path) -> None:
    with open_checkpoint(saved(tmp_path / "x.pth", dialect, wrapper, outer=outer)) as checkpoint:
        assert checkpoint.dialect.name == dialect
        assert equal(checkpoint.state(), STATE)
        assert any("Wrapping modules have put their own names into" in note for note in checkpoint.notes)


@pytest.mark.parametrize("dialect", PARTS)
def test_other_words_are_no_wrappers(dialect: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pth", dialect, "my_orig_mod.")
    with pytest.raises(EffnetError):
        open_checkpoint(path, SourceOptions(spec=NARROW))


def test_a_network_beside_its_wrapped_one_stays_as_it_is(tmp_path: Path) -> None:
    arrays = in_dialect("timm", NARROW, STATE)
    both = arrays | {f"_orig_mod.{name}": array for name, array in arrays.items()}
    torch.save({name: torch.from_numpy(array) for name, array in both.items()}, tmp_path / "x.pth")
    with pytest.raises(EffnetError, match=r"'_orig_mod\.'.*--prefix"):
        open_checkpoint(tmp_path / "x.pth")
    with open_checkpoint(tmp_path / "x.pth", SourceOptions(prefix="_orig_mod.")) as checkpoint:
        assert equal(checkpoint.state(), STATE)
