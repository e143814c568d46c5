"""A network gives the same numbers in a process of its own, and in one of another environment."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from effnet import Network, parity
from effnet.choices import Backend, Device, Isolation
from effnet.isolation import exchange
from effnet.parity_engine.compare import compare
from effnet.parity_engine.forward import run
from effnet.parity_engine.pair import Running, run_pair
from effnet_core import endpoints, resolve, without_head
from tests.foreign.judge import ENVIRONMENT
from tests.lively import images, lively_state

ROOT = Path(__file__).parents[3]
SPEC = resolve("b0", width=0.13, depth=0.35, num_classes=10)
STATE = lively_state(SPEC)
SMALL = replace(without_head(SPEC), blocks=SPEC.blocks[:1])
"""One block: building TensorFlow's layers takes most of the time."""
BLOCK = lively_state(SMALL)
FOREIGN = ENVIRONMENT / "bin" / "python"
needs_foreign = pytest.mark.skipif(
    not (ENVIRONMENT / "effnet-ready").is_file() or "tests.without_foreign" in sys.modules,
    reason=f"{ENVIRONMENT.name}, another environment with PyTorch, is not there: ./tools/test makes it",
)


@pytest.fixture(params=list(Device))
def device(request):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    tensorflow = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    if request.param is Device.CUDA and not (
        torch.cuda.is_available() and tensorflow.config.list_physical_devices("GPU")
    ):
        pytest.skip("not both frameworks see a CUDA device on this machine")
    return request.param


def outputs(isolation, device, state=BLOCK):
    """Of both frameworks and both precisions."""
    network = Network(spec=SMALL, state=state, name="net")
    sides = [Running(network=network, backend=backend, python=None) for backend in (Backend.TF, Backend.TORCH)]
    ran = run_pair(*sides, images(2, 48, 33), device=device, names=endpoints(SMALL), isolation=isolation)
    return {
        f"{side} {precision} {name}": array
        for side, found in (("a", ran.a), ("b", ran.b))
        for precision, arrays in (("float32", found.float32), ("float64", found.float64))
        for name, array in arrays.items()
    }


def different(one, other):
    assert list(one) == list(other)
    return [
        name for name in one if one[name].dtype != other[name].dtype or one[name].tobytes() != other[name].tobytes()
    ]


def test_the_outputs_are_the_same_bits(device):
    separate = outputs(Isolation.ALWAYS, device)
    assert len(separate) == 4 * len(endpoints(SMALL))
    assert different(outputs(Isolation.NEVER, device), separate) == []
    beta = BLOCK["blocks.0.project.norm.beta"] * np.float32(1 + 1e-6)
    changed = outputs(Isolation.NEVER, device, BLOCK | {"blocks.0.project.norm.beta": beta})
    assert {name.split()[-1] for name in different(changed, separate)} == {"blocks.0", "blocks.0.project"}


@needs_foreign
def test_the_frameworks_may_live_in_two_environments():
    network = Network(spec=SPEC, state=STATE, name="net")
    batch = images(2, 48, 33)
    report = parity(
        network, network, a_backend="torch", b_backend="torch", b_python=FOREIGN, inputs=batch, keep_outputs=True
    )
    assert report.agrees
    assert report.notes == ("Each network ran in a process of its own. Another Python was asked for.",)
    # The control, without the search for a cause, which starts a process for each suspicion.
    beta = STATE["blocks.1.project.norm.beta"] + np.float32(1e-3)
    changed = Network(spec=SPEC, state=STATE | {"blocks.1.project.norm.beta": beta}, name="changed")
    here = run(changed, batch, backend=Backend.TORCH)
    assert compare(here, report.outputs[1]).first_difference == "blocks.1.project"


@needs_foreign
@pytest.mark.slow  # it loads TensorFlow and a CUDA build of PyTorch
def test_what_the_decision_avoids_is_a_crash(tmp_path):
    """TensorFlow of this environment beside PyTorch and triton of the other one."""
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    packages = ENVIRONMENT / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    for name in ("torch", "torchgen", "functorch", "triton", "nvidia"):
        if (packages / name).exists():
            (tmp_path / name).symlink_to(packages / name)
    if not (tmp_path / "triton").exists():
        pytest.skip("PyTorch of the other environment is no CUDA build: it has no triton")
    code = (
        "import tensorflow\nfrom effnet.choices import Backend, Isolation\n"
        "from effnet.frameworks import import_frameworks\nfrom effnet.isolation.decision import decide, facts\n"
        "import_frameworks([Backend.TORCH])\n"  # does not load triton now
        "print(decide(Isolation.AUTO, [Backend.TORCH], facts()), flush=True)\nimport triton"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("Decision(separate=True, reason='TensorFlow was imported before"), done.stderr
    assert done.returncode == -signal.SIGSEGV


def test_every_name_and_every_type_of_weights_arrives(tmp_path):
    arrays = {
        "file": np.arange(3),
        "../names": np.float64([[1e-300]]),
        "blocks.0/kernel:0": np.asfortranarray(np.ones((2, 3), np.float16)),
        "empty": np.zeros((0, 4), np.float32),
        "": np.bool_([True, False]),
    }
    narrow = {"narrow": np.array([1.5, -0.375, 3e38], ml_dtypes.bfloat16)}
    exchange.write(tmp_path, "request", {"a": [1, None]}, {"one": arrays, "two": narrow, "none": {}})
    values, groups = exchange.read(tmp_path, "request")
    assert values == {"a": [1, None]}
    assert different(arrays, groups["one"]) == []
    assert groups["two"]["narrow"].astype(ml_dtypes.bfloat16).tobytes() == narrow["narrow"].tobytes()
    assert groups["two"]["narrow"].dtype == np.float32
    assert groups["none"] == {}
