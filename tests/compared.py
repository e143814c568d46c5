"""The networks whose names are compared with another project's own code or files, by dialect.

The tests go through these lists, and tools/matrix.py shows them in docs/matrix.md: a network in none of them has its
names by the rules of the others alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from effnet_core import VARIANTS, Family
from effnet_core.naming import canonical_name
from tests import oracle

_LITE = tuple(f"lite{number}" for number in range(5))
EFFICIENTNET_PYTORCH = (*(f"b{number}" for number in range(9)), "l2", *_LITE)
HUGGINGFACE = (*(f"b{number}" for number in range(9)), "l2")

_SERIES = {
    **{f"efficientnet_b{number}": f"b{number}" for number in range(9)},
    "efficientnet_l2": "l2",
    **{f"efficientnet_{name}": name for name in _LITE},
    **{f"efficientnet_e{size.lower()}": f"edgetpu-{size}" for size in "SML"},
    "efficientnet_cc_b0_4e": "condconv-b0-4e",
    "efficientnet_cc_b0_8e": "condconv-b0-8e",
    "efficientnet_cc_b1_8e": "condconv-b0-8e-depth",
    **{f"efficientnetv2_{size}": f"v2-{size}" for size in ("s", "m", "l", "xl")},
}
TIMM = {
    **{f"tf_{name}": variant for name, variant in _SERIES.items()},
    **{f"tf_efficientnetv2_b{number}": f"v2-b{number}" for number in range(4)},
}
"""timm's name to ours. The last four it has with tf_ alone."""
TIMM_SYMMETRIC = _SERIES

TORCHVISION: Mapping[str, tuple[str, float | None, float | None]] = {
    **{f"b{number}": (f"efficientnet_b{number}", None, None) for number in range(8)},
    # Which it does not publish, by the coefficients that its settings take.
    "b8": ("efficientnet_b7", 2.2, 3.6),
    "l2": ("efficientnet_b7", 4.3, 5.3),
    **{f"v2-{size}": (f"efficientnet_v2_{size}", None, None) for size in "sml"},
}
"""Our name to torchvision's, with width and depth where it is made by these."""

KERAS = (
    *(("applications", "keras-applications", f"efficientnet-b{number}") for number in range(8)),
    *(
        ("applications", "keras-applications-v2", name)
        for name, row in VARIANTS.items()
        if row.family is Family.V2 and not name.endswith("-xl")
    ),
    *(("hub", "keras-hub", f"efficientnet-{name}") for name in (*(f"b{number}" for number in range(6)), "lite0")),
)
"""File in tests/data/keras_shapes, dialect and network."""
KERAS_ORDER = ("EfficientNetB0", "EfficientNetV2B0")
"""keras.applications' functions; the networks are narrow."""


def _of_keras(dialect: str) -> list[str]:
    return [variant for _, known, variant in KERAS if known == dialect]


def _official(folders: Iterable[str]) -> list[str]:
    """The networks of the official checkpoints in these folders, which are narrow."""
    return [json.loads((oracle.FOLDER / folder / "config.json").read_text())["model"] for folder in folders]


COMPARED: Mapping[str, frozenset[str]] = {
    dialect: frozenset(map(canonical_name, names))
    for dialect, names in {
        "official": _official(oracle.FOLDERS),
        "official-object": _official([oracle.OBJECT_BASED]),
        "efficientnet-pytorch": EFFICIENTNET_PYTORCH,
        "timm": TIMM.values(),
        "timm-symmetric": TIMM_SYMMETRIC.values(),
        "torchvision": TORCHVISION,
        "huggingface": HUGGINGFACE,
        "deep-learning-for-image-processing": (),  # no package of it: the tests compare with a model of their own
        "keras-applications": _of_keras("keras-applications"),
        "keras-applications-v2": _of_keras("keras-applications-v2"),
        "qubvel": (),  # no test has its package
        "keras-hub": _of_keras("keras-hub"),
        "keras-order": KERAS_ORDER,
    }.items()
}
"""Dialects of other projects to the canonical names of these networks."""
