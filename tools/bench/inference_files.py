"""Write one network as every file that the contenders of `tools/bench_inference.py` read.

    python tools/bench/inference_files.py NETWORK FOLDER

The weights are random and lively: fresh ones give almost the same output for every image, and comparing outputs would
prove nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import torch._dynamo  # noqa: F401, I001  # before TensorFlow: docs/differences.md
from converters import fold, save_state
from effnet_core import UnknownVariant, resolve, to_json
from effnet_onnx import create_model
from effnet_tf.export import write_saved_model
from tests.lively import settled_state


def write(network: str, folder: Path) -> None:
    """`plain` and `folded` as .json, .npz, .onnx and SavedModel, and plain ones with timm's names."""
    spec = resolve(network)
    state = settled_state(spec)
    for name, (definition, tensors) in {"plain": (spec, state), "folded": fold(spec, state)}.items():
        (folder / f"{name}.json").write_text(to_json(definition))
        np.savez(folder / f"{name}.npz", **tensors)
        (folder / f"{name}.onnx").write_bytes(create_model(definition, tensors).SerializeToString())
        write_saved_model(definition, tensors, folder / f"{name}-savedmodel", answers=None)
    save_state(folder / "timm.safetensors", spec, state, to="timm", sync=False)


if __name__ == "__main__":
    try:
        write(sys.argv[1], Path(sys.argv[2]))
    except UnknownVariant as error:
        sys.exit(str(error))
