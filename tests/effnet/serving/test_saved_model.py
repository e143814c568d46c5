"""The real server over a SavedModel, which TensorFlow runs."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from effnet.images import load_bytes
from effnet.serving.onnx_model import OnnxModel
from effnet.serving.saved_model import File, in_parts, readable
from tests.effnet.serving.bad_requests import flat_png
from tests.effnet.serving.running import b64, running


@pytest.fixture(scope="module")
def server(saved_models, tmp_path_factory):
    with running(saved_models, tmp_path_factory.mktemp("serve") / "log", "--max-pixels", "1000000") as found:
        yield found


def test_photographs_in_one_batch_are_classified_as_by_onnx_runtime(server, onnx_models, photographs):
    model = OnnxModel(onnx_models / "narrow" / "1" / "model.onnx", threads=1, pixels=10**8)
    reply = server.classify(*photographs.values())
    assert reply.status == 200, reply
    for row, file in zip(reply.document["predictions"], photographs.values(), strict=True):
        prepared = model.prepare("classify_bytes", file)
        (right,) = model.run(prepared.group, [prepared.value])
        assert row["classes"] == list(right["classes"])
        assert row["indices"] == right["indices"].tolist()
        np.testing.assert_allclose(row["probabilities"], right["probabilities"], rtol=1e-3)
    first = [row["probabilities"] for row in reply.document["predictions"]]
    assert not np.allclose(first[0], first[1], rtol=1e-2)  # the control: they are not all the same anyway
    image = load_bytes(photographs["cat"], model.about.spec.preprocessing)[:40, :33]
    logits = server.predict({"inputs": [image.tolist()]}).document["outputs"]["logits"][0]
    (right,) = model.run(model.prepare("serving_default", image).group, [image])
    np.testing.assert_allclose(logits, right["logits"], rtol=1e-3, atol=1e-4)


def test_metadata_are_those_of_the_file(server):
    document = server.ask("GET", "/v1/models/narrow/metadata").document
    signatures = document["metadata"]["signature_def"]["signature_def"]
    assert sorted(signatures) == ["classify_bytes", "features", "serving_default"]
    image_bytes = signatures["classify_bytes"]["inputs"]["image_bytes"]
    assert image_bytes["dtype"] == "DT_STRING"
    assert image_bytes["name"].startswith("classify_bytes_image_bytes")
    assert signatures["classify_bytes"]["outputs"]["indices"]["dtype"] == "DT_INT32"


def test_a_bad_image_spoils_no_neighbour_s_answer(server, photographs):
    cat = photographs["cat"]
    right = server.classify(cat).document
    # Their heads are in order: only the decoder in the graph sees what is missing.
    files = [cat[:20_000] if index % 4 == 1 else cat for index in range(24)]
    with ThreadPoolExecutor(8) as clients:
        replies = list(clients.map(server.classify, files))
    assert [reply.status for reply in replies] == [400 if index % 4 == 1 else 200 for index in range(24)]
    assert replies[1].error.startswith("The image cannot be used: ")
    for reply in replies:
        if reply.status == 200:
            assert reply.document["predictions"][0]["indices"] == right["predictions"][0]["indices"]
    together = server.classify(cat, cat[:20_000], cat)
    assert together.error.startswith("Image 1 of 3, the first being 0: ")


@pytest.mark.parametrize(
    ("signature", "value", "says"),
    [
        ("classify_bytes", b64(b"no image"), "no image that is read here. Expected one of JPEG, PNG, WEBP, BMP."),
        (
            "classify_bytes",
            b64(b"P6 1 1 255\n123"),
            "no image that is read here. Expected one of JPEG, PNG, WEBP, BMP.",
        ),
        ("serving_default", [[[1, 2]]], "shape (1, 1, 1, 2)"),
        ("serving_default", [[[1, 2, float("nan")]]], "NaN"),
        ("gone", [[[1, 2, 3]]], "not found in signature def"),
    ],
)
def test_what_is_refused(server, signature, value, says):
    reply = server.predict({"signature_name": signature, "instances": [value]})
    assert reply.status == 400
    assert says in reply.error


def test_enormous_images_are_refused_before_the_graph_sees_them(server, photographs):
    reply = server.classify(flat_png(1200, 1000))
    assert reply.status == 400
    assert "1200 x 1000 pixels; at most 1,000,000" in reply.error
    assert server.classify(photographs["cat"]).status == 200


def test_what_tensorflow_says_without_the_names_of_its_graph():
    message = (
        "Graph execution error:\n\nDetected at node map/while/DecodeImage defined at (most recent call last):\n"
        "<stack traces unavailable>\njpeg::Uncompress failed. Invalid JPEG data or crop window.\n"
        "\t [[{{node map/while/DecodeImage}}]] [Op:__inference_signature_wrapper_1582]"
    )
    assert readable(message) == "jpeg::Uncompress failed. Invalid JPEG data or crop window"
    refusal = "assertion failed: [A BMP with a palette is not read here. Bits:] [8] [[{{node map/while/Assert}}]]"
    assert readable(refusal) == "A BMP with a palette is not read here. Bits: [8]"
    assert readable("assertion failed: [An animated WebP.]") == "An animated WebP"


def test_files_are_decoded_together_only_up_to_so_many_pixels():
    files = [File(data=bytes([index]), pixels=pixels) for index, pixels in enumerate([4, 6, 1, 20, 9, 1, 1])]

    def shown(limit):
        return [list(b"".join(part)) for part in in_parts(files, limit)]

    assert shown(10) == [[0, 1], [2], [3], [4, 5], [6]]
    assert shown(1000) == [[0, 1, 2, 3, 4, 5, 6]]  # the control: without the limit they stay together


def test_a_batch_of_large_files_is_answered_in_order(server, photographs):
    # Each has more than half of the --max-pixels of this server.
    large = flat_png(800, 700)
    files = [photographs["cat"], large, large, photographs["rocket"]]
    found = server.classify(*files).document["predictions"]
    alone = [server.classify(file).document["predictions"][0] for file in files]
    assert [row["indices"] for row in found] == [row["indices"] for row in alone]
    assert alone[0]["probabilities"] != alone[1]["probabilities"]  # the control: they differ
