"""Layers that somebody put between a network's own: refused, since its logits would differ without them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import SourceOptions, convert
from converters.checkpoint import Checkpoint
from converters.formats.base import Array
from effnet_core import CheckpointMismatch, NetworkSpec, resolve, without_classifier
from tests.converters.memory import equal, in_dialect, opened
from tests.lively import lively_state

SPEC = resolve("b0", width=0.13, depth=0.5, num_classes=10)
STATE = lively_state(SPEC)
BODY = without_classifier(SPEC)
DLFIP = "deep-learning-for-image-processing"
KERNEL = np.ones((4, 4, 1, 1), np.float32)
NUMBER = np.ones(1, np.float32)
ACCEPTED = SourceOptions(accept_different_logits=True)


def with_tensors(
    dialect: str, added: Mapping[str, Array], *, prefix: str = "", spec: NetworkSpec = SPEC
) -> dict[str, Array]:
    """The network in these names, then the tensors; all behind the prefix."""
    arrays = {**in_dialect(dialect, spec, lively_state(spec)), **added}
    return {prefix + name: array for name, array in arrays.items()}


def changed(arrays: Mapping[str, Array], options: SourceOptions | None = None) -> tuple[str, ...]:
    """The tensors for which the file is refused."""
    with pytest.raises(CheckpointMismatch, match="between its own layers") as caught:
        opened(arrays, options or SourceOptions())
    assert "--accept-different-logits" in str(caught.value)
    assert str(caught.value).count("\n") < 12
    assert not caught.value.missing
    return caught.value.unexpected


def is_whole(found: Checkpoint) -> bool:
    return equal(found.state(), STATE)


WITHIN = [
    ("torchvision", "features.3.cbam.conv"),
    ("torchvision", "features.3.0.cbam.conv"),
    ("torchvision", "features.3.0.block.cbam.conv"),
    ("torchvision", "features.0.0.gate"),
    ("torchvision", "features.9"),
    ("timm", "blocks.2.cbam.fc1"),
    ("timm", "blocks.2.0.cbam.fc1"),
    ("timm", "bn1.act"),
    ("timm", "conv_head.gate"),
    ("efficientnet-pytorch", "_blocks.3.cbam.fc1"),
    ("efficientnet-pytorch", "_blocks.gate"),
    (DLFIP, "features.2a.cbam"),
    (DLFIP, "features.cbam"),
    ("huggingface", "efficientnet.encoder.cbam"),
    ("effnet-torch", "blocks.gate"),
    ("effnet-torch", "stem.gate"),
]


@pytest.mark.parametrize("prefix", ["", "model.backbone."])
@pytest.mark.parametrize(("dialect", "layer"), WITHIN)
def test_inside_the_body_nothing_is_left_out(dialect: str, layer: str, prefix: str) -> None:
    name = f"{layer}.weight"
    arrays = with_tensors(dialect, {name: KERNEL}, prefix=prefix)
    assert changed(arrays) == (prefix + name,)
    beside = {prefix + name: arrays[prefix + name] for name in in_dialect(dialect, SPEC, STATE)}
    assert is_whole(opened(beside | {f"decoder.{name}": KERNEL}))  # the control: the same beside the network


def test_names_without_the_network_s_own_module_are_told_too() -> None:
    arrays = {name.removeprefix("efficientnet."): array for name, array in with_tensors("huggingface", {}).items()}
    assert changed(arrays | {"encoder.cbam.weight": KERNEL}) == ("encoder.cbam.weight",)
    assert is_whole(opened(arrays | {"decoder.cbam.weight": KERNEL}))


def test_a_message_names_some_of_many() -> None:
    arrays = with_tensors(
        "torchvision", {f"features.{stage}.cbam.{n}.weight": KERNEL for stage in (2, 3) for n in "abcdef"}
    )
    assert len(changed(arrays)) == 12


@pytest.mark.parametrize("dialect", ["timm", "torchvision", "efficientnet-pytorch"])
@pytest.mark.parametrize(
    "name", ["attn.conv.weight", "ca.fc1.weight", "spatial_attention.conv.weight", "se.fc.weight", "gem.p", "avgpool.p"]
)
def test_attention_or_pooling_before_the_network_s_own_classifier(dialect: str, name: str) -> None:
    added = {name: np.ones(1, np.float32) if name.endswith(".p") else KERNEL}
    assert changed(with_tensors(dialect, added, prefix="net.")) == (f"net.{name}",)
    # The controls: outside the module of the network, and where no classifier follows.
    assert is_whole(opened(with_tensors(dialect, {}, prefix="net.") | added))
    assert (
        opened(with_tensors(dialect, added, prefix="net.", spec=BODY)).spec
        == opened(with_tensors(dialect, {}, prefix="net.", spec=BODY)).spec
    )


def test_dense_layers_of_an_attention_are_no_hidden_layers() -> None:
    features = SPEC.head.out_channels if SPEC.head is not None else 0
    added = {
        "attn.fc1.weight": np.ones((4, features), np.float32),
        "attn.fc2.weight": np.ones((features, 4), np.float32),
    }
    assert set(changed(with_tensors("timm", added))) == {*added}
    renamed = {"fc.weight": np.ones((3, features), np.float32), "fc.bias": np.ones(3, np.float32)}
    assert set(changed(with_tensors("timm", added | renamed, spec=BODY))) == {*added}


def test_a_module_that_the_file_lists_between_stem_and_head() -> None:
    def around(name: str, shape: tuple[int, ...]) -> dict[str, Array]:
        arrays = list(with_tensors("timm", {}).items())
        return dict([*arrays[:40], (name, np.ones(shape, np.float32)), *arrays[40:]])

    assert changed(around("extra.weight", (4, 4, 1, 1))) == ("extra.weight",)
    # The controls: a second head, the same at the end, and a file that is sorted by names.
    assert is_whole(opened(around("auxiliary.weight", (4, 4))))
    assert is_whole(opened(with_tensors("timm", {"extra.weight": KERNEL})))
    assert is_whole(opened(dict(sorted(around("extra.weight", (4, 4, 1, 1)).items()))))


@pytest.mark.parametrize("name", ["decoder.0.weight", "head2.conv.weight", "temperature", "loss.weight", "bn9.weight"])
def test_what_stands_beside_the_network_is_listed(name: str) -> None:
    found = opened(with_tensors("timm", {name: KERNEL}, prefix="net."))
    assert is_whole(found)
    assert found.ignored[f"net.{name}"] == "no part of the network"


@pytest.mark.parametrize(
    "dialect", ["timm", "torchvision", "efficientnet-pytorch", "huggingface", DLFIP, "effnet-torch"]
)
def test_counts_that_a_profiler_leaves_in_every_module(dialect: str) -> None:
    modules = {name.rpartition(".")[0] for name in in_dialect(dialect, SPEC, STATE)}
    parents = {module.rpartition(".")[0] for module in modules} - {""}
    counts = {f"{module}.total_{what}": np.ones(1) for module in modules | parents for what in ("ops", "params")}
    found = opened(with_tensors(dialect, counts | {"total_ops": np.ones(1)}))
    assert is_whole(found)
    assert {found.ignored[name] for name in counts} == {"a count of operations or parameters (thop)"}


@pytest.mark.parametrize(
    "name", ["attention_head.weight", "pool_head.conv.weight", "unpool.0.weight", "seg_pool.weight"]
)
def test_heads_and_decoders_may_be_called_after_what_they_do(name: str) -> None:
    found = opened(with_tensors("timm", {name: KERNEL}))
    assert is_whole(found)
    assert found.ignored[name] == "no part of the network"


def test_what_observers_have_seen_changes_nothing() -> None:
    places = ("features.0.0.", "features.3.0.block.1.0.", "")
    seen = {f"{place}activation_post_process{end}": NUMBER for place in places for end in (".min_val", "_3.histogram")}
    found = opened(with_tensors("torchvision", seen, prefix="net."))
    assert is_whole(found)
    assert {found.ignored[f"net.{name}"] for name in seen} == {"what an observer for quantisation has seen"}
    # The control: where values are rounded, results are others.
    rounding = {"features.0.0.activation_post_process.fake_quant_enabled": NUMBER}
    assert changed(with_tensors("torchvision", rounding)) == tuple(rounding)


def test_who_accepts_other_logits_gets_the_network_without_them() -> None:
    added = dict.fromkeys(("features.3.cbam.weight", "features.3.0.cbam.weight", "attn.conv.weight"), KERNEL)
    arrays = with_tensors("torchvision", added | {"temperature": np.ones(())})
    assert set(changed(arrays)) == {*added}
    found = opened(arrays, ACCEPTED)
    assert is_whole(found)
    assert {name for name, reason in found.ignored.items() if reason.startswith("inserted into the network")} == {
        *added
    }
    [note] = [note for note in found.notes if "as you accepted" in note]
    assert note.startswith("Left out 3 tensors inside the network")
    plain = opened(with_tensors("torchvision", {}), ACCEPTED)
    assert not any("as you accepted" in note for note in plain.notes)


def test_a_conversion_takes_the_word_for_both(tmp_path: Path) -> None:
    arrays: dict[str, Any] = with_tensors("timm", {"blocks.2.cbam.weight": KERNEL})
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(CheckpointMismatch, match="between its own layers"):
        convert(tmp_path / "x.npz", tmp_path / "y.npz", sync=False)
    assert not (tmp_path / "y.npz").exists()
    report = convert(tmp_path / "x.npz", tmp_path / "y.npz", sync=False, accept_different_logits=True)
    assert any("as you accepted" in note for note in report.notes)


def test_a_network_that_differs_more_is_told_in_full() -> None:
    arrays = with_tensors("timm", {"blocks.2.0.cbam.weight": KERNEL})
    del arrays["blocks.2.0.bn2.running_var"]
    with pytest.raises(CheckpointMismatch) as caught:
        opened(arrays)
    assert caught.value.missing
    assert caught.value.unexpected == ("blocks.2.0.cbam.weight",)
    assert "between its own layers" not in str(caught.value)
