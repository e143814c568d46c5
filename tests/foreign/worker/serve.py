"""Another project's implementation as a process: `python serve.py LIBRARY`, run by a Python that has the library.

Each line of the standard input is a request, a JSON object that names what to `do` (a function below) and its
arguments; each is answered by one line, `{"done": ...}` or `{"failed": traceback}`. Networks and arrays go through
files. This folder uses nothing of this project, which that Python does not have.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

LIBRARIES = {
    "timm": "from_timm",
    "torchvision": "from_torchvision",
    "transformers": "from_transformers",
    "keras.applications": "from_keras_applications",
    "keras_hub": "from_keras_hub",
    "tutorial": "from_tutorial",
    "efficientnet_pytorch": "from_efficientnet_pytorch",
}
"""What a library is asked through. Each module has `Model`, as `torch_model.py` describes it."""


def make(library: Any, request: dict[str, Any]) -> dict[str, Any]:
    """A network with lively weights in the library's own files, and its logits for random images."""
    model = library.Model(request["network"])
    model.liven(request["seed"])
    folder = Path(request["folder"])
    random = np.random.default_rng(request["seed"])
    images = {f"{h}x{w}": model.images(random, (2, h, w, 3)).astype(np.float32) for h, w in request["sizes"]}
    np.savez(folder / "images.npz", **images)
    _answer(model, images, request["dtypes"], folder / "logits.npz")
    return {
        "files": {kind: str(path) for kind, path in model.save(folder).items()},
        "images": str(folder / "images.npz"),
        "logits": str(folder / "logits.npz"),
    }


def judge(library: Any, request: dict[str, Any]) -> dict[str, Any]:
    """The logits that the library gives with the weights of a file, loaded strictly."""
    model = library.Model(request["network"])
    model.load(Path(request["file"]))
    with np.load(request["images"]) as images:
        _answer(model, images, request["dtypes"], Path(request["logits"]))
    return {"logits": request["logits"]}


def shapes(library: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Names and shapes of all tensors, without memory for them."""
    return {"shapes": library.Model.shapes(request["network"])}


def _answer(model: Any, images: Any, dtypes: list[str], path: Path) -> None:
    logits = {f"{size}/{dtype}": model.logits(images[size], dtype) for dtype in dtypes for size in images}
    np.savez(path, **logits)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print is not an answer
    library = import_module(LIBRARIES[sys.argv[1]])
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"done": {"make": make, "judge": judge, "shapes": shapes}[request["do"]](library, request)}
        except Exception:
            answer = {"failed": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
