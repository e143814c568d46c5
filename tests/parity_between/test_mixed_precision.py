"""bfloat16 and float16: as near to float64 as their bits let them be, in both backends.

The bound follows from float32's own rounding in the same network: `tools/parity_table.py` measures both and states it.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from effnet.backends import Network, runner
from effnet.choices import Backend, Device, Precision
from effnet.frameworks import import_frameworks
from effnet_core import resolve
from tests.lively import images, settled_state

ROOT = Path(__file__).parents[2]


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("parity_table", ROOT / "tools" / "parity_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


TABLE = _tool()


@pytest.fixture(scope="module")
def network() -> Network:
    import_frameworks(TABLE.BACKENDS)
    spec = resolve("b0", width=0.25, depth=0.5, num_classes=10)
    return Network(spec=spec, state=settled_state(spec, seed=1), name="narrow")


def _logits(network: Network, batch: np.ndarray, backend: Backend, precision: Precision) -> np.ndarray:
    with runner(network, endpoints=["logits"], backend=backend, precision=precision, device=Device.CPU) as run:
        return run(batch)["logits"]


@pytest.mark.parametrize("name", TABLE.NARROW_BITS)
def test_a_narrow_type_is_as_near_as_its_bits_let_it(name: str, network: Network, device: str) -> None:
    batch = images(2, 64, 96, seed=2)
    truth = _logits(network, batch, Backend.TF, Precision.FLOAT64)
    found = {
        Backend.TF: TABLE.mixed_tf(network, batch, name, truth),
        Backend.TORCH: TABLE.mixed_torch(network, batch, name, truth, device=device),
    }
    for backend, error in found.items():
        own = TABLE.apart(_logits(network, batch, backend, Precision.FLOAT32), truth)
        bound = TABLE.narrow_bound(name, own)
        assert bound / 500 < error <= bound, (backend, own)
        # The control: nothing that rounds to fewer bits would pass.
        assert TABLE.apart(truth * (1 + 2 * bound), truth) > bound


def test_a_row_that_disagrees_says_so() -> None:
    right = TABLE.Row(
        variant="b0",
        sizes=((64, 64),),
        float64=(1e-15,),
        float32=(1e-6,),
        tf_rounding=1e-6,
        torch_rounding=1e-6,
        narrow={"bfloat16": (1e-2, 1e-2)},
        exact_bits=0,
        exact_values=10,
        seconds=1.0,
    )
    assert right.agrees
    for changed in ({"float64": (1e-11,)}, {"exact_bits": 1}, {"narrow": {"bfloat16": (1e-2, 1.0)}}):
        assert not TABLE.Row(**{**vars(right), **changed}).agrees
