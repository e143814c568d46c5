"""The official checkpoints: what was published, where it lies, and how well it did.

Input normalisation, crop, resize and interpolation follow from a row's recipe, resolution and classes from its variant
and recipe: `official_spec` puts them together. Nothing here uses a network.

Sources: the READMEs that the rows name, in the releases of 2021 and later, whose accuracies replaced earlier ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from effnet_core.counting import total_count
from effnet_core.errors import EffnetError
from effnet_core.naming import canonical_name
from effnet_core.resolving import resolve
from effnet_core.spec import NetworkSpec

BASE_ADDRESS = "https://storage.googleapis.com/cloud-tpu-checkpoints/efficientnet/"
"""Where all of them lie."""
_V1 = "tensorflow/tpu models/official/efficientnet/README.md"
_V2 = "google/automl efficientnetv2/README.md"


class UnknownCheckpoint(EffnetError):
    """No official checkpoint of that name exists."""


@dataclass(frozen=True, kw_only=True)
class OfficialCheckpoint:
    """One published archive, a `.tar.gz` with a TensorFlow checkpoint."""

    name: str
    """What this project calls it: the variant, then how it was trained."""
    variant: str
    """A key of `VARIANTS`."""
    recipe: str
    """A key of `RECIPES`."""
    path: str
    """Below `BASE_ADDRESS`."""
    top1: float | None
    """Published top-1 accuracy on ImageNet's validation set in percent, None where none is published."""
    source: str
    """The repository and file that publish address and accuracy."""
    resolution: int | None = None
    """Side of the square input in pixels, None where it is that of variant and recipe."""

    @property
    def address(self) -> str:
        """Where the archive lies."""
        return BASE_ADDRESS + self.path

    @property
    def file_name(self) -> str:
        """A name for the archive that says which one it is; the published ones repeat."""
        return self.name + (".tgz" if self.path.endswith(".tgz") else ".tar.gz")


def _series(
    recipe: str, path: str, top1: Mapping[str, float | None], *, suffix: str = "", source: str = _V1
) -> Iterator[OfficialCheckpoint]:
    """Checkpoints of one training; `path` has a place for the variant's name, `top1` is by short name."""
    for short, accuracy in top1.items():
        variant = canonical_name(short)
        yield OfficialCheckpoint(
            name=f"{short}{suffix}",
            variant=variant,
            recipe=recipe,
            path=path.format(variant=variant),
            top1=accuracy,
            source=source,
        )


def _all() -> Iterator[OfficialCheckpoint]:
    yield from _series(
        "baseline",
        "ckpts/{variant}.tar.gz",
        {"b0": 76.7, "b1": 78.7, "b2": 79.8, "b3": 81.1, "b4": 82.5, "b5": 83.1},
        suffix="-baseline",
    )
    yield from _series(
        "autoaugment",
        "ckptsaug/{variant}.tar.gz",
        {"b0": 77.1, "b1": 79.1, "b2": 80.1, "b3": 81.6, "b4": 82.9, "b5": 83.6, "b6": 84.0, "b7": 84.3},
        suffix="-autoaugment",
    )
    yield from _series(
        "randaugment", "randaug/{variant}-randaug.tar.gz", {"b5": 83.7, "b7": 84.7}, suffix="-randaugment"
    )
    yield from _series(
        "randaugment",
        "randaug/{variant}-randaug.tar.gz",
        {"b8": None},
        suffix="-randaugment",
        # Listed for a time only, in a table whose accuracies were all replaced later; its own was not.
        source="tensorflow/tpu commit fd9509d, no longer in the README",
    )
    yield from _series(
        "advprop",
        "advprop/{variant}.tar.gz",
        {"b0": 77.6, "b1": 79.6, "b2": 80.5, "b3": 81.9, "b4": 83.3, "b5": 84.3, "b6": 84.8, "b7": 85.2, "b8": 85.5},
        suffix="-advprop",
    )
    yield from _series(
        "noisy-student",
        "noisystudent/noisy_student_{variant}.tar.gz",
        {"b0": 78.8, "b1": 81.5, "b2": 82.4, "b3": 84.1, "b4": 85.3, "b5": 86.1, "b6": 86.4, "b7": 86.9, "l2": 88.4},
        suffix="-noisy-student",
    )
    yield OfficialCheckpoint(
        name="l2-475-noisy-student",
        variant="efficientnet-l2",
        recipe="noisy-student",
        path="noisystudent/noisy_student_efficientnet-l2_475.tar.gz",
        top1=88.2,
        source=_V1,
        resolution=475,
    )
    yield from _mobile()
    yield from _v2()


def _mobile() -> Iterator[OfficialCheckpoint]:
    yield from _series(
        "lite",
        "lite/{variant}.tar.gz",
        {"lite0": 75.1, "lite1": 76.7, "lite2": 77.6, "lite3": 79.8, "lite4": 81.5},
        source="tensorflow/tpu models/official/efficientnet/lite/README.md",
    )
    yield from _series(
        "edgetpu",
        "{variant}.tar.gz",
        {"edgetpu-s": 77.23, "edgetpu-m": 78.69, "edgetpu-l": 80.62},
        source="tensorflow/tpu models/official/efficientnet/edgetpu/README.md",
    )
    yield from _series(
        "condconv",
        "condconv/{variant}.tar.gz",
        {"condconv-b0-4e": 77.8, "condconv-b0-8e": 78.3, "condconv-b0-8e-depth": 79.5},
        source="tensorflow/tpu models/official/efficientnet/condconv/README.md",
    )


def _v2() -> Iterator[OfficialCheckpoint]:
    yield from _series("v2", "v2/{variant}.tgz", {"v2-s": 83.9, "v2-m": 85.2, "v2-l": 85.7}, source=_V2)
    yield from _series(
        "v2-small", "v2/{variant}.tgz", {"v2-b0": 78.7, "v2-b1": 79.8, "v2-b2": 80.5, "v2-b3": 82.1}, source=_V2
    )
    names = ("v2-s", "v2-m", "v2-l", "v2-xl", "v2-b0", "v2-b1", "v2-b2", "v2-b3")
    yield from _series("v2-21k", "v2/{variant}-21k.tgz", dict.fromkeys(names), suffix="-21k", source=_V2)
    yield from _series(
        "v2-21k-ft1k",
        "v2/{variant}-21k-ft1k.tgz",
        dict.fromkeys(names) | {"v2-s": 84.9, "v2-m": 86.2, "v2-l": 86.9, "v2-xl": 87.2},
        suffix="-21k-ft1k",
        source=_V2,
    )


CHECKPOINTS: Mapping[str, OfficialCheckpoint] = MappingProxyType({row.name: row for row in _all()})
"""By name, in the order of the READMEs."""


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower()).removeprefix("efficientnet")


_NAMES = {_key(name): name for name in CHECKPOINTS}


def find_checkpoint(name: str) -> OfficialCheckpoint:
    """The checkpoint `b0-noisy-student`, however dashes and capitals are written; `b0` is `b0-baseline`.

    Raises `UnknownCheckpoint`, naming what is near.
    """
    key = _key(name)
    found = _NAMES.get(key) or _NAMES.get(key + "baseline")
    if found is not None:
        return CHECKPOINTS[found]
    near = [known for other, known in _NAMES.items() if key and other.startswith(key)]
    near = near or [_NAMES[other] for other in get_close_matches(key, _NAMES, n=5, cutoff=0.2)]
    hint = f"Near: {', '.join(near[:8])}. " if near else ""
    raise UnknownCheckpoint(
        f"There is no official checkpoint named {name!r}. {hint}`effnet list --checkpoints` shows all {len(_NAMES)}."
    )


def official_spec(checkpoint: OfficialCheckpoint) -> NetworkSpec:
    """The network of a checkpoint with the preprocessing that it was evaluated with."""
    return resolve(checkpoint.variant, recipe=checkpoint.recipe, resolution=checkpoint.resolution)


def size_limit(checkpoint: OfficialCheckpoint) -> int:
    """Bytes that the archive cannot reach.

    A training checkpoint holds each number four times in 4 bytes (variable, moving average, two optimiser slots); the
    rest, graph and TFLite files among them, is far below 64 MiB and twice the network.
    """
    return 6 * 4 * total_count(official_spec(checkpoint)) + (64 << 20)
