import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from effnet.choices import Backend, Isolation
from effnet.isolation.decision import Facts, decide
from effnet_core import InvalidOption

ROOT = Path(__file__).parents[3]
TF, TORCH = Backend.TF, Backend.TORCH
SAFE = Facts(
    holds_tensorflow=False, has_triton=False, holds_triton=False, tensorflow_has_cuda=False, torch_has_cuda=False
)
TOO_LATE = replace(SAFE, holds_tensorflow=True, has_triton=True)
BOTH_CUDA = replace(SAFE, tensorflow_has_cuda=True, torch_has_cuda=True, has_triton=True)


@pytest.mark.parametrize(
    ("backends", "facts", "separate", "reason"),
    [
        ([TF, TORCH], SAFE, False, "Nothing"),
        ([TF, TORCH], replace(SAFE, holds_tensorflow=True), False, "Nothing"),  # a CPU build has no triton
        ([TF, TORCH], replace(SAFE, has_triton=True, torch_has_cuda=True), False, "Nothing"),  # PyTorch comes first
        ([TF, TORCH], TOO_LATE, True, "imported before PyTorch"),
        ([TORCH, TORCH], TOO_LATE, True, "imported before PyTorch"),
        ([TF, TF], TOO_LATE, False, "Nothing"),
        ([TF, TORCH], replace(TOO_LATE, holds_triton=True), False, "Nothing"),
        ([TF, TORCH], BOTH_CUDA, True, "both CUDA builds"),
        ([TORCH, TORCH], BOTH_CUDA, False, "Nothing"),
        ([TF, TORCH], replace(BOTH_CUDA, tensorflow_has_cuda=False), False, "Nothing"),
    ],
)
def test_what_is_known_to_crash_is_separated(backends, facts, separate, reason):
    found = decide(Isolation.AUTO, backends, facts)
    assert found.separate is separate
    assert reason in found.reason


def test_the_user_prevails():
    assert decide(Isolation.ALWAYS, [TORCH, TORCH], SAFE).separate
    assert not decide(Isolation.NEVER, [TF, TORCH], TOO_LATE).separate


def test_another_python_is_another_process():
    assert decide(Isolation.AUTO, [TF, TORCH], SAFE, has_other_python=True).separate
    with pytest.raises(InvalidOption, match="a process has one Python"):
        decide(Isolation.NEVER, [TF, TORCH], SAFE, has_other_python=True)


@pytest.mark.parametrize("cuda", ["'13.0'", "None"])
def test_the_facts_are_found_without_importing_a_framework(tmp_path, cuda):
    files = {
        "torch/version.py": f"cuda = {cuda}",
        "tensorflow/python/platform/build_info.py": f"build_info = {{'is_cuda_build': {cuda} is not None}}",
        "triton/__init__.py": "",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
        (tmp_path / name.split("/")[0] / "__init__.py").write_text("")
    code = (
        "import json, sys\nfrom dataclasses import asdict\nfrom effnet.isolation.decision import facts\n"
        "before = asdict(facts())\nassert not {'torch', 'tensorflow', 'triton'} & set(sys.modules)\n"
        "import tensorflow, triton\nprint(json.dumps([before, asdict(facts())]))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    before, after = json.loads(done.stdout)
    has_cuda = cuda != "None"
    builds = {"has_triton": True, "tensorflow_has_cuda": has_cuda, "torch_has_cuda": has_cuda}
    assert before == builds | {"holds_tensorflow": False, "holds_triton": False}
    assert after == builds | {"holds_tensorflow": True, "holds_triton": True}
