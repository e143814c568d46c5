"""Heads whose layers do without a bias, a gamma or a beta are read as those with zeros and ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converters import Adaptation, Ema, EmaUnavailable, SourceOptions, adapt, diff, digest, open_checkpoint
from converters.averages.stored import choose_set
from converters.checkpoint import Checkpoint
from converters.convert import TargetOptions, convert_checkpoint
from converters.dialects import DIALECTS
from converters.formats.base import Array
from converters.memory import MemoryReader
from converters.names.naming import entry_of
from converters.opening import understand
from effnet_core import CheckpointMismatch, EffnetError, NetworkSpec, Role, parameters, resolve
from tests.converters.heads.small_head_cases import STATE, C, layers_in, summary, understood
from tests.converters.memory import equal, in_dialect, opened
from tests.heads import narrow
from tests.lively import lively_state

ADDED = "has no bias: zeros are taken for it"


def network(dialect: str) -> NetworkSpec:
    families = DIALECTS[dialect].families
    if families is None or resolve("b0").family in families:
        return narrow()
    return narrow("v2-b0")


def head_names(dialect: str, spec: NetworkSpec) -> tuple[str, str]:
    """The dialect's names of the kernel and of the bias of the classifier."""
    kernel, bias = parameters(spec)[-2:]
    assert (kernel.role, bias.role) == (Role.DENSE, Role.BIAS)
    return tuple(entry_of(DIALECTS[dialect], spec, item, scope=spec.name).name for item in (kernel, bias))


def zeroed(spec: NetworkSpec) -> dict[str, Array]:
    state = lively_state(spec)
    return state | {"classifier.bias": np.zeros_like(state["classifier.bias"])}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_dialects_own_classifier_without_bias_has_zeros(dialect: str, tmp_path: Path) -> None:
    spec, options = network(dialect), SourceOptions(dialect=dialect)
    state = zeroed(spec)
    whole = in_dialect(dialect, spec, state)
    _, bias = head_names(dialect, spec)
    found = opened({name: array for name, array in whole.items() if name != bias}, options)
    expected = opened(whole, options)
    assert equal(found.state(), state)
    assert found.spec == expected.spec
    assert digest(found) == digest(expected)
    [note] = [note for note in found.notes if note not in expected.notes]
    assert ADDED in note
    assert not any(ADDED in note for note in expected.notes)
    convert_checkpoint(found, tmp_path / "a.safetensors", TargetOptions(to="native", sync=False))
    with open_checkpoint(tmp_path / "a.safetensors") as back:
        assert equal(back.state(), state)
        assert diff(back, expected).equal
        assert not any(ADDED in note for note in back.notes)
    other = opened(whole | {bias: whole[bias] + 1}, options)
    assert digest(other) != digest(found)


@pytest.mark.parametrize(
    ("lost", "added"),
    [
        (["conv_stem.weight"], {}),
        (["classifier.weight"], {}),
        (["blocks.0.0.bn1.bias"], {}),
        ([], {"offset": (5,)}),  # what the code may add in the place of the bias
        ([], {"classifier.weight": (4, C)}),
        ([], {"classifier.weight": (5, C, 1, 1)}),
    ],
)
def test_where_more_is_missing_the_file_is_refused_as_before(
    lost: list[str], added: dict[str, tuple[int, ...]]
) -> None:
    arrays = in_dialect("timm", narrow(), lively_state(narrow()))
    arrays = {name: array for name, array in arrays.items() if name not in lost}
    arrays |= {name: np.ones(shape, np.float32) for name, shape in added.items()}
    arrays.pop("classifier.bias")
    options = SourceOptions(dialect="timm", arch="b0", width=0.13, depth=0.3, num_classes=5)
    with pytest.raises(CheckpointMismatch, match=r"classifier\.bias"):
        opened(arrays, options)


def test_it_is_adapted_as_any_other() -> None:
    arrays = in_dialect("timm", narrow(), zeroed(narrow())) | {"criterion.weight": np.ones(5, np.float32)}
    del arrays["classifier.bias"]
    found = opened(arrays)
    assert opened(arrays, SourceOptions(num_classes=5)).spec == found.spec
    with pytest.raises(CheckpointMismatch, match=r"classifier\.weight"):
        opened(arrays, SourceOptions(num_classes=4))
    assert adapt(found, Adaptation(drop_head=True)).spec.classifier is None
    fresh = adapt(opened(arrays), Adaptation(num_classes=3, seed=1))
    assert fresh.state()["classifier.bias"].shape == (3,)


def of_training(raw: dict[str, Array], averages: dict[str, Array], ema: Ema) -> Checkpoint:
    """A file of both sets, of which one is chosen as `open_checkpoint` does."""
    arrays = raw | {f"ema.{name}": array for name, array in averages.items()}
    reader = MemoryReader(arrays, path=Path("memory"), format="memory")
    chosen = choose_set(reader, SourceOptions(ema=ema))
    return understand(reader, chosen.options, hidden=chosen.hidden, only_averages=chosen.only_averages)


@pytest.mark.parametrize("ema", [Ema.AUTO, Ema.ALWAYS, Ema.NEVER])
@pytest.mark.parametrize("path", ["classifier", "fc"])
def test_averages_of_a_classifier_without_bias_are_taken_alike(ema: Ema, path: str) -> None:
    spec = narrow()
    sets: list[dict[str, Array]] = []
    for seed in (1, 2):
        arrays = in_dialect("timm", spec, lively_state(spec, seed=seed))
        bias, kernel = arrays.pop("classifier.bias"), arrays.pop("classifier.weight")
        sets.append(arrays | {f"{path}.weight": kernel, f"{path}.bias": bias})
    raw, averages = ({name: array for name, array in one.items() if name != f"{path}.bias"} for one in sets)
    state = of_training(raw, averages, ema).state()
    assert not state["classifier.bias"].any()
    assert np.array_equal(state["classifier.kernel"].T, (raw if ema is Ema.NEVER else averages)[f"{path}.weight"])
    if ema is Ema.NEVER:  # the variables have no bias, their averages have one
        with pytest.raises(CheckpointMismatch if path == "classifier" else EmaUnavailable, match=rf"{path}\.bias"):
            of_training(raw, sets[1], ema)


def test_the_official_averages_of_a_classifier_without_bias_are_taken_alike() -> None:
    spec, end = narrow(), "/ExponentialMovingAverage"
    raw, averages = (in_dialect("official", spec, lively_state(spec, seed=seed)) for seed in (1, 2))
    _, bias = head_names("official", spec)
    both = raw | {name + end: array for name, array in averages.items()}
    without = {name: array for name, array in both.items() if not name.startswith(bias)}
    found = opened(without)
    assert found.uses_ema
    assert equal(found.state(), lively_state(spec, seed=2) | {"classifier.bias": np.zeros(5, np.float32)})
    assert opened(without, SourceOptions(ema=Ema.NEVER)).state()["classifier.kernel"].tobytes() == (
        raw[head_names("official", spec)[0]].tobytes()
    )
    with pytest.raises(EffnetError, match=r"dense/bias"):  # a bias, and no average of it
        opened(without | {bias: raw[bias]}, SourceOptions(ema=Ema.ALWAYS))
    with pytest.raises(EffnetError):  # averages alone are a part of a checkpoint
        opened({name: array for name, array in without.items() if name.endswith(end)})


TORCH = {"fc": (C, 3)}
DEEP = {"head.0": (C, 7), "head.2": (7, 3)}
NORMED = {"d": (C, 7), "n": 7, "out": (7, 3)}
HEADS = [
    ("timm", TORCH, {"fc.bias": 0}, "3 classes"),
    ("timm", DEEP, {"head.2.bias": 0}, "d7+relu 3 classes"),
    ("efficientnet-pytorch", {"_fc.1": (C, 3)}, {"_fc.1.bias": 0}, "3 classes"),
    ("keras-applications", NORMED, {"out/bias": 0}, "d7+relu n7 3 classes"),
    ("keras-applications", NORMED, {"n/gamma": 1}, "d7+relu n7 3 classes"),
    ("keras-applications", NORMED, {"n/beta": 0}, "d7+relu n7 3 classes"),
    ("keras-applications", NORMED, {"n/gamma": 1, "n/beta": 0, "out/bias": 0}, "d7+relu n7 3 classes"),
]
"""Dialect, layers, the tensors that they do without and what these are, and what the head is taken for."""


@pytest.mark.parametrize(("dialect", "rows", "left", "expected"), HEADS)
def test_a_small_head_that_does_without_is_taken(
    dialect: str, rows: dict[str, tuple[int, int] | int], left: dict[str, int], expected: str
) -> None:
    head = layers_in("/" if dialect == "keras-applications" else ".", rows)
    options = SourceOptions(dialect=dialect)
    whole = head | {name: np.full_like(head[name], value) for name, value in left.items()}
    other = understood(whole, dialect=dialect, options=options)
    found = understood({n: array for n, array in head.items() if n not in left}, dialect=dialect, options=options)
    assert summary(found.spec.classifier) == expected
    assert digest(found) == digest(other) != digest(understood(head, dialect=dialect, options=options))
    assert len([note for note in found.notes if "are taken for it" in note]) == len(left)
    given = SourceOptions(dialect=dialect, spec=other.spec)
    again = understood({n: array for n, array in head.items() if n not in left}, dialect=dialect, options=given)
    assert equal(again.state(), other.state())
    assert equal({name: found.state()[name] for name in STATE}, STATE)


def test_of_torchs_norms_both_tensors_are_asked_for() -> None:
    head = layers_in(".", {"d": (C, 7), "n": 7, "out": (7, 3)})
    del head["n.weight"]
    found = understood(head)
    assert found.spec.classifier is None
    assert any("belong to no dense layer or norm" in note for note in found.notes)
