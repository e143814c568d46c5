import io

import pytest
from PIL import Image
from skimage import data

from converters import fold
from effnet import Network
from effnet.exports.card import contents_of
from effnet.exports.options import ExportOptions, Kind
from effnet.exports.run import export
from effnet_core import resolve
from tests.effnet.serving.running import running
from tests.lively import lively_state


@pytest.fixture(scope="session")
def photographs():
    """Files of three pictures, of other sizes and formats."""

    def file(image, kind, **options):
        found = io.BytesIO()
        image.save(found, kind, **options)
        return found.getvalue()

    cat, coffee, rocket = (Image.fromarray(getattr(data, name)()) for name in ("chelsea", "coffee", "rocket"))
    return {
        "cat": file(cat, "JPEG", quality=90),
        "coffee": file(coffee.resize((333, 222)), "PNG"),
        "rocket": file(rocket.convert("L"), "JPEG", quality=80),
    }


@pytest.fixture(scope="session")
def network():
    """One block of each stage, so that graphs are written quickly."""
    spec = resolve("lite0", width=0.3, depth=0.1, num_classes=9, resolution=64)
    return Network(spec=spec, state=lively_state(spec), name="narrow")


@pytest.fixture(scope="session")
def labels(tmp_path_factory):
    path = tmp_path_factory.mktemp("labels") / "labels.txt"
    path.write_text("".join(f"class {letter}, also {letter}{letter}\n" for letter in "abcdefghi"), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def onnx_models(network, labels, tmp_path_factory):
    """A folder with the model `narrow`, which ONNX Runtime runs."""
    folder = tmp_path_factory.mktemp("onnx")
    export(network, folder / "narrow", options=ExportOptions(kind=Kind.ONNX, fold=True, labels=labels))
    return folder


@pytest.fixture(scope="session")
def saved_models(network, labels, tmp_path_factory):
    """The same, which TensorFlow runs; written as `export` does, without its checks, which take most of its time."""
    from effnet_tf.export import Answers, write_saved_model  # noqa: PLC0415  # loads TensorFlow: for those who ask

    folder, texts = tmp_path_factory.mktemp("savedmodel"), tmp_path_factory.mktemp("texts")
    spec, state = fold(network.spec, network.state)
    contents = contents_of(network, spec, ExportOptions(kind=Kind.SAVEDMODEL, fold=True, labels=labels))
    (folder / "narrow").mkdir()
    answers = Answers(labels=contents.labels, top=5)
    write_saved_model(spec, state, folder / "narrow" / "1", answers=answers, assets=contents.write(texts))
    return folder


@pytest.fixture(scope="module")
def server(onnx_models, tmp_path_factory):
    """The server over the ONNX model, one for a module."""
    log = tmp_path_factory.mktemp("serve") / "log"
    limits = ("--max-body", "4", "--max-pixels", "10000000", "--max-input-pixels", "10000", "--read-timeout", "2")
    with running(onnx_models, log, *limits) as found:
        yield found
