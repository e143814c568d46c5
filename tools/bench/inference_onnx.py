"""The contenders that ONNX Runtime runs: our files, and tf2onnx's of our SavedModel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import onnxruntime
from inference_task import Contender, Images, Run, Skipped, Task


def start(task: Task) -> None:
    """Of the process: a session has its own threads."""


def _session(file: str, task: Task) -> Contender:
    path = task.folder / file
    if not path.exists():
        raise Skipped((path.with_suffix(".reason")).read_text())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task.threads
    # Threads that wait actively for the next batch would take the cores from the other contenders.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (name,) = (item.name for item in session.get_inputs())
    output = "logits"

    def prepare(images: Images) -> Run:
        return lambda: session.run([output], {name: images})[0]

    return prepare


CONTENDERS: dict[str, Callable[[Task], Contender]] = {
    "plain": partial(_session, "plain.onnx"),
    "folded": partial(_session, "folded.onnx"),
    "tf2onnx of the SavedModel": partial(_session, "tf2onnx.onnx"),
}
