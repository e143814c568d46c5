"""The Keras network on the other backends of Keras: the definition holds beyond TensorFlow and PyTorch.

Keras computes with float32 there, also in a float64 model (keras/src/backend/common/dtypes.py, BIT64_TO_BIT32_DTYPE):
the measure is the official code's own float32 distance to its float64 result.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tests import oracle
from tests.parity_between.keras_backend import COMPARED, SIZE

ROOT = Path(__file__).parents[2]
JAX = {
    "JAX_DEFAULT_MATMUL_PRECISION": "highest",  # float32 products in full precision also where JAX finds a GPU
    "XLA_FLAGS": "--xla_backend_optimization_level=0",  # compiling takes longer than running
}
ROUNDING = 4
"""Times the official float32 error: what another order of sums explains."""


@pytest.mark.parametrize(
    ("backend", "folder"),
    [
        ("torch", "efficientnet-b0"),
        ("torch", "efficientnet-condconv-b0-4e"),
        ("jax", "efficientnetv2-b0"),
    ],
)
def test_another_backend_of_keras_gives_the_official_logits(backend: str, folder: str, tmp_path: Path) -> None:
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: the extra [jax] of this project")
    found = _run(backend, folder, tmp_path / "logits.npz")
    given = oracle.load(folder, ema=True)
    assert str(found["backend"]) == backend
    truth = given.logits64[SIZE]
    allowed = ROUNDING * oracle.relative_error(given.logits[SIZE], truth)
    assert oracle.relative_error(found["logits"], truth) < allowed
    # The control: two vectors of one normalisation changed places.
    assert oracle.relative_error(found["swapped"], truth) > 1000 * allowed
    if (backend, folder) == ("torch", COMPARED):
        assert found["compared"] > len(given.spec.blocks)
        assert str(found["parted"]) == "blocks.0.project"


def _run(backend: str, folder: str, out: Path) -> dict[str, np.ndarray]:
    command = [sys.executable, "-m", "tests.parity_between.keras_backend", folder, str(out)]
    environment = {**os.environ, **JAX, "KERAS_BACKEND": backend}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(out) as arrays:
        return dict(arrays)
