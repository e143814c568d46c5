"""What the rows of a run depend on, as plain values that can be kept beside them and compared later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from converters.comparing.digests import state_digest
from effnet import __version__
from effnet.batch.listing import Survey
from effnet.batch.options import BatchOptions, Plan
from effnet.batch.rows import Value
from effnet.choices import Backend
from effnet.environment import installed
from effnet_core import to_json

_RUNTIMES = {
    Backend.TF: ("tensorflow", "tensorflow-cpu", "keras"),
    Backend.TORCH: ("torch",),
    Backend.ONNX: ("onnxruntime",),
}
_DECODERS = ("numpy", "pillow", "simplejpeg")


def identity_of(plan: Plan, how: BatchOptions, surveyed: Survey, numbers: Mapping[str, int] | None) -> dict[str, Value]:
    """What the rows depend on; the engine is not of it. `numbers` says the class of every group of images."""
    words = None if numbers is None else sha256(json.dumps(sorted(numbers.items())).encode()).hexdigest()
    runtimes = [name for one in (plan.backend, plan.parity) if one is not None for name in _RUNTIMES[one]]
    return {
        "effnet": __version__,
        "libraries": ", ".join(f"{one.name} {one.version}" for one in installed([*runtimes, *_DECODERS])),
        "weights": state_digest(plan.network.state).value,
        "definition": sha256(to_json(plan.network.spec).encode()).hexdigest(),
        "backend": plan.backend.value,
        "parity": None if plan.parity is None else plan.parity.value,
        "dtype": plan.precision.value,
        "device": plan.device.value,
        "top": plan.top,
        "batch": plan.batch,
        "limit": how.limit,
        "images": surveyed.digest,
        "classes": words,
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What is another in two identities, a list in words; empty where nothing is."""
    names = sorted({*before, *now})
    return "; ".join(
        f"{name} was {before.get(name)!r} and is {now.get(name)!r}"
        for name in names
        if before.get(name) != now.get(name)
    )
