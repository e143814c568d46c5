"""What `tools/bench_inference.py` concludes from times and logits, and a process that it asks."""

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from effnet_core import resolve
from effnet_onnx import create_model
from tests.lively import lively_state

onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
inference: Any = import_module("bench.inference")
report: Any = import_module("bench.inference_report")
Timing: Any = import_module("bench.inference_rounds").Timing

SIDE = 67


def timing(*milliseconds: float, distance: float = 1e-6, has_other_weights: bool = False) -> Any:
    contender = inference.Contender(runtime=inference.ONNX, name="plain", has_other_weights=has_other_weights)
    seconds = tuple(1e-3 * one for one in milliseconds)
    return Timing(contender=contender, batch=1, seconds=seconds, distance=distance, floor=1e-3)


@pytest.mark.parametrize(
    ("ours", "peer", "behind"),
    [
        ((20, 21, 22, 23), (10, 11, 12, 13), True),
        ((10, 11, 12, 13), (20, 21, 22, 23), False),
        ((10, 12, 14, 16), (9, 11, 13, 15), False),  # slower, but within the spread
        ((20,) * 8, (*(10,) * 7, 90), True),  # one disturbed batch of the peer does not hide it
    ],
)
def test_behind_is_slower_by_more_than_the_spread(ours: Sequence[float], peer: Sequence[float], behind: bool) -> None:
    assert timing(*ours).is_behind(timing(*peer)) is behind


def test_the_time_of_something_else_is_wrong() -> None:
    assert not timing(1, 2).is_wrong
    assert timing(1, 2, distance=1e-3).is_wrong
    assert timing(1, 2, distance=float("nan")).is_wrong
    assert not timing(1, 2, distance=1.0, has_other_weights=True).is_wrong


def test_a_peer_stands_beside_ours_of_the_same_runtime() -> None:
    names = {(contender.runtime, contender.name) for contender in inference.CONTENDERS if not contender.is_peer}
    beside = [
        (contender.runtime, contender.beside) for contender in inference.CONTENDERS if contender.beside is not None
    ]
    assert beside
    assert set(beside) <= names


def test_tables_go_between_the_marks_of_a_document(tmp_path: Path) -> None:
    document = tmp_path / "speed.md"
    document.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write(document, [timing(10, 20, 30)], title="a network")
    text = document.read_text()
    assert text.startswith(f"before\n{report.BEGIN}\n")
    assert text.endswith(f"{report.END}\nafter\n")
    assert "old" not in text
    assert "| onnxruntime | plain | 20.0 | 15.0-25.0 | 50.0 | 20.00 | 1e-06 |" in text
    document.write_text("no marks")
    with pytest.raises(ValueError, match="has no lines"):
        report.write(document, [timing(10, 20, 30)], title="a network")
    assert document.read_text() == "no marks"


def test_a_process_answers_with_logits_and_times(tmp_path: Path) -> None:
    spec = resolve("efficientnet-b0", width=0.4, depth=0.3, num_classes=10)
    model = create_model(spec, lively_state(spec)).SerializeToString()
    (tmp_path / "plain.onnx").write_bytes(model)
    (tmp_path / "tf2onnx.reason").write_text("not here")
    questions: list[dict[str, Any]] = [
        {"name": "plain", "batch": 2},
        {"name": "plain", "batch": 2, "count": 3},
        {"name": "tf2onnx of the SavedModel", "batch": 2},
    ]
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "tools/bench/inference_worker.py",
            "inference_onnx",
            spec.name,
            tmp_path,
            "1",
            f"{SIDE}",
        ],
        input="".join(json.dumps(question) + "\n" for question in questions),
        capture_output=True,
        text=True,
        check=True,
    )
    ready, warmed, timed, skipped = map(json.loads, done.stdout.splitlines())
    assert ready == {"ready": True}
    images = np.random.default_rng(0).standard_normal((2, SIDE, SIDE, 3), dtype=np.float32)
    expected = logits(model, images)[0]
    np.testing.assert_allclose(warmed["logits"], expected, atol=1e-5 * np.abs(expected).max())
    assert np.abs(warmed["logits"] - logits(model, images + 0.1)[0]).max() > 1e-3 * np.abs(expected).max()
    assert len(timed["seconds"]) == 3
    assert min(timed["seconds"]) > 0
    assert skipped == {"skipped": "not here"}


def logits(model: bytes, images: np.ndarray) -> Any:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"image": images})[0]
