"""Both directions between a judge's files and ours: what the library computes is what our backends compute.

There: the library's own file, read by its dialect, gives the library's logits in both backends. Back: the weights in
the library's names, in a file that we wrote, are loaded strictly by its own loader and give the same logits again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import effnet
from converters import DIALECTS, DifferentSemantics, SourceOptions, convert, open_checkpoint, save_state
from converters.names.naming import Unnamed, table
from effnet.backends import Network, runner
from effnet.choices import Backend, Device, Precision
from effnet_core import VARIANTS, Padding, resolve
from effnet_core.naming import canonical_name
from tests.foreign.judge import Judge, Made

BOUNDS = {Precision.FLOAT32: 1e-5, Precision.FLOAT64: 1e-11}
"""Of the largest difference between logits, relative to the largest logit."""
OTHER_PADDING = {Padding.SAME: Padding.SYMMETRIC, Padding.SYMMETRIC: Padding.SAME}

Logits = Mapping[str, NDArray[Any]]
Prepare = Callable[[NDArray[Any]], NDArray[Any]]


def unchanged(images: NDArray[Any]) -> NDArray[Any]:
    return images


def our_logits(
    network: Network, made: Made, keys: Iterable[str], *, backend: Backend, prepare: Prepare = unchanged
) -> dict[str, NDArray[Any]]:
    """The logits of one of our backends for the images of `made`, by those keys of `made.logits`.

    `prepare` is what the library's model does to its input by itself. A network without classifier gives the average of
    its features.
    """
    found = {}
    output = "pooled" if network.spec.classifier is None else "logits"
    for precision, group in groupby(sorted(keys, key=_precision), key=_precision):
        with runner(network, endpoints=[output], backend=backend, precision=precision, device=Device.CPU) as run:
            for key in group:
                images = made.images[key.split("/")[0]].astype(np.float64)
                found[key] = run(prepare(images))[output]
    return found


def _precision(key: str) -> Precision:
    return Precision(key.split("/")[1])


def too_far(found: Logits, expected: Logits, *, factor: float = 1) -> dict[str, float]:
    """The comparisons beyond `factor` times their bound."""
    apart = {key: distance(found[key], expected[key]) for key in found}
    return {key: value for key, value in apart.items() if not value <= factor * BOUNDS[_precision(key)]}


def distance(found: NDArray[Any], expected: NDArray[Any]) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def check_names(theirs: Mapping[str, tuple[int, ...]], variant: str, *, dialect: str) -> None:
    """The tensors of a published network of the library are those that the dialect's table has for the variant.

    The control: the table has others for the other variants.
    """
    counters = {name: shape for name, shape in theirs.items() if name.endswith("num_batches_tracked")}
    assert set(counters.values()) <= {()}
    assert names_and_shapes(dialect, variant) | counters == theirs
    other = next(name for name in named_variants(dialect) if name != canonical_name(variant))
    assert names_and_shapes(dialect, other) | counters != theirs


def check_every_variant(compared: Iterable[str], *, dialect: str, without: Iterable[str] = ()) -> None:
    """Every variant that the dialect's table names is compared with the library, but those that it has not."""
    assert {canonical_name(name) for name in compared} == named_variants(dialect) - set(without)


def names_and_shapes(dialect: str, variant: str) -> dict[str, tuple[int, ...]]:
    entries = table(DIALECTS[dialect], resolve(variant, num_classes=1000), scope="")
    return {entry.name: entry.shape for entry in entries}


@cache
def named_variants(dialect: str) -> frozenset[str]:
    """The published variants that the dialect has a name for every tensor of."""
    found: set[str] = set()
    for variant in VARIANTS:
        with suppress(Unnamed):
            names_and_shapes(dialect, variant)
            found.add(variant)
    return frozenset(found)


def check_first_blocks(judge: Judge, made: Made, kind: str, target: Path, *, to: str) -> None:
    """Both directions for a library that adds no residual in the first block of a stage, and a network so narrow that
    such a block is as wide at both ends. The control: the definition of the official code, which does, is another.
    """
    ours = check_there(made, kind, SourceOptions())
    official = resolve(ours.spec.name, width=ours.spec.width, depth=ours.spec.depth)
    assert official.blocks[0].has_residual
    other = replace(ours.spec, blocks=(replace(ours.spec.blocks[0], has_residual=True), *ours.spec.blocks[1:]))
    found = our_logits(replace(ours, spec=other), made, made.logits, backend=Backend.TORCH)
    assert too_far(found, made.logits, factor=100).keys() == made.logits.keys()
    check_back(judge, made, ours, target, to=to)
    written = save_state(target.with_name("official.npz"), other, ours.state, sync=False).target[0]
    with pytest.raises(DifferentSemantics, match="has a residual around block 0, the first of a stage, unlike its own"):
        convert(written, target.with_name("other.npz"), to=to, sync=False)
    report = convert(written, target.with_name("other.npz"), to=to, sync=False, accept_different_logits=True)
    assert any("residual around block 0" in note and "as you accepted" in note for note in report.notes)
    with open_checkpoint(report.target[0]) as checkpoint:
        assert checkpoint.spec.blocks == ours.spec.blocks


def check_there(made: Made, kind: str, options: SourceOptions, *, prepare: Prepare = unchanged) -> Network:
    """Reads the library's file and compares the logits; the network as it was read.

    PyTorch at every size and precision, TensorFlow, which takes seconds a size, at the first in the best precision.
    """
    network = effnet.load_network(made.files[kind], options=options)
    found = our_logits(network, made, made.logits, backend=Backend.TORCH, prepare=prepare)
    assert too_far(found, made.logits) == {}, "torch"
    best = [key for key in made.logits if key.startswith(next(iter(made.images)))][-1:]
    found = our_logits(network, made, best, backend=Backend.TF, prepare=prepare)
    assert too_far(found, made.logits) == {}, "tf"
    return network


def check_controls(network: Network, made: Made, *, prepare: Prepare = unchanged) -> None:
    """Two norms swapped, and the other padding: each is far away at every size."""
    keys = [key for key in made.logits if _precision(key) is Precision.FLOAT32]
    for control in (with_norms_swapped(network), with_other_padding(network)):
        found = our_logits(control, made, keys, backend=Backend.TORCH, prepare=prepare)
        assert list(too_far(found, made.logits, factor=100)) == keys


def with_norms_swapped(network: Network) -> Network:
    """The first two norms of equal shape."""
    gammas = [name for name in network.state if name.endswith(".gamma")]
    one, other = next(
        (one, other)
        for index, one in enumerate(gammas)
        for other in gammas[index + 1 :]
        if network.state[one].shape == network.state[other].shape
    )
    swapped = {one: other, other: one}
    return replace(network, state={name: network.state[swapped.get(name, name)] for name in network.state})


def with_other_padding(network: Network) -> Network:
    return replace(network, spec=replace(network.spec, padding=OTHER_PADDING[network.spec.padding]))


def check_back(judge: Judge, made: Made, network: Network, target: Path, *, to: str) -> None:
    """Writes the weights in the library's names; the library loads them strictly and gives the same logits.

    The same to rounding: where weights lie in memory decides in which order a processor adds. What the file holds is
    the same in every bit. A `target` without suffix becomes a folder as on the Hugging Face hub.
    """
    to_format, file = (None, target) if target.suffix else ("hf-folder", target / "model.safetensors")
    save_state(target, network.spec, network.state, to=to, to_format=to_format, sync=False)
    assert too_far(judge.logits(file, like=made), made.logits) == {}
    written = effnet.load_network(target, options=SourceOptions(dialect=to)).state
    assert {name for name, array in network.state.items() if not np.array_equal(written[name], array)} == set()
