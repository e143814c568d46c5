"""The calls of TensorFlow Serving's documentation, to the real server over an ONNX model."""

import contextlib
import http.client
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from effnet.images import load_bytes
from effnet.serving.onnx_model import OnnxModel, softmax
from tests.effnet.serving.running import ROOT, b64, read


@pytest.fixture(scope="module")
def model(onnx_models):
    return OnnxModel(onnx_models / "narrow" / "1" / "model.onnx", threads=1, pixels=10**8)


def direct(model, signature, images):
    """What the model gives without a server."""
    prepared = [model.prepare(signature, image) for image in images]
    return model.run(prepared[0].group, [one.value for one in prepared])


def test_status(server):
    version = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("/v1/models/narrow", "/v1/models/narrow/versions/1"):
        reply = server.ask("GET", path)
        assert (reply.status, reply.document) == (200, {"model_version_status": [version]})


def test_metadata(server):
    for path in ("/v1/models/narrow/metadata", "/v1/models/narrow/versions/1/metadata"):
        document = server.ask("GET", path).document
        assert document["model_spec"] == {"name": "narrow", "signature_name": "", "version": "1"}
        signatures = document["metadata"]["signature_def"]["signature_def"]
        assert list(signatures) == ["classify_bytes", "features", "serving_default"]
        images = signatures["serving_default"]["inputs"]["images"]
        sizes = [{"size": size, "name": ""} for size in ("-1", "-1", "-1", "3")]
        assert images == {
            "dtype": "DT_FLOAT",
            "tensor_shape": {"dim": sizes, "unknown_rank": False},
            "name": "images:0",
        }
        assert set(signatures["classify_bytes"]["outputs"]) == {"classes", "probabilities", "indices"}
        assert signatures["classify_bytes"]["method_name"] == "tensorflow/serving/predict"


def test_photographs_in_both_forms_are_classified_as_without_a_server(server, model, photographs):
    files = list(photographs.values())
    rows = server.predict({"signature_name": "classify_bytes", "instances": [b64(file) for file in files]})
    named = server.predict(
        {"signature_name": "classify_bytes", "instances": [{"image_bytes": b64(file)} for file in files]}
    )
    columns = server.predict({"signature_name": "classify_bytes", "inputs": {"image_bytes": [*map(b64, files)]}})
    assert [reply.status for reply in (rows, named, columns)] == [200, 200, 200]
    assert rows.document == named.document
    assert list(rows.document) == ["predictions"]
    assert list(columns.document) == ["outputs"]
    expected = direct(model, "classify_bytes", files)
    for index, (row, right) in enumerate(zip(rows.document["predictions"], expected, strict=True)):
        assert row == {name: column[index] for name, column in columns.document["outputs"].items()}
        assert row["classes"] == list(right["classes"])
        assert row["indices"] == right["indices"].tolist()
        np.testing.assert_allclose(row["probabilities"], right["probabilities"], rtol=1e-5)
    first = [row["indices"] for row in rows.document["predictions"]]
    assert first[0] != first[1] != first[2]  # the control: the network tells these pictures apart


def test_numbers_in_both_forms_and_float32_to_the_last_digit(server, model, photographs):
    image = load_bytes(photographs["cat"], model.about.spec.preprocessing)[:40, :33]
    rows = server.predict({"instances": [image.tolist(), image[::-1].tolist()]}).document["predictions"]
    columns = server.predict({"inputs": [image.tolist(), image[::-1].tolist()]}).document["outputs"]
    expected = direct(model, "serving_default", np.stack([image, image[::-1]]))
    for index, right in enumerate(expected):
        assert set(rows[index]) == {"logits", "probabilities"}
        assert np.array_equal(np.float32(rows[index]["logits"]), np.float32(columns["logits"][index]))
        np.testing.assert_allclose(rows[index]["logits"], right["logits"], rtol=1e-4, atol=1e-5)
        assert np.float32(rows[index]["probabilities"]).sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(
            softmax(np.float32([rows[index]["logits"]]))[0], rows[index]["probabilities"], rtol=1e-5
        )
    assert not np.allclose(rows[0]["logits"], rows[1]["logits"], rtol=1e-4)  # the control: turned over is another image


def test_one_output_stands_without_its_name(server, model, photographs):
    image = load_bytes(photographs["cat"], model.about.spec.preprocessing)[:40, :33]
    document = server.predict({"signature_name": "features", "inputs": {"images": [image.tolist()]}}).document
    (right,) = direct(model, "features", image[None])
    np.testing.assert_allclose(document["outputs"][0], right["features"], rtol=1e-4, atol=1e-5)


def test_the_newest_version_by_default_and_others_when_asked(server, photographs):
    body = json.dumps({"signature_name": "classify_bytes", "instances": [b64(photographs["cat"])]})
    newest = server.ask("POST", "/v1/models/narrow:predict", body)
    assert server.ask("POST", "/v1/models/narrow/versions/1:predict", body).document == newest.document
    gone = server.ask("POST", "/v1/models/narrow/versions/2:predict", body)
    assert gone.status == 404
    assert gone.error.startswith("Servable not found for request: Specific(narrow, 2).")


def test_numbers_that_overflow_inside_of_the_network(server):
    for size, status in ((3e38, 400), (3.0, 200)):
        reply = server.predict({"instances": [[[[size] * 3] * 8] * 8]})
        assert reply.status == status
        assert status == 200 or "NaN or infinite" in reply.error


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("POST", "/v1/models/half:predict", 404, "Servable not found for request: Latest(half). Served: narrow (1)."),
        ("GET", "/v1/models/half", 404, "Could not find any versions of model half"),
        ("GET", "/v1/models/narrow/versions/7", 404, "Could not find version 7 of model narrow"),
        ("GET", "/v1/models/half/metadata", 404, "Servable not found"),
        ("GET", "/v1/models/narrow/versions/x", 400, "Failed to convert version"),
        ("GET", "/v1/models/narrow/versions/" + "9" * 30, 400, "Failed to convert version"),
        ("POST", "/v1/models/narrow:classify", 400, "Expected classify signature method_name"),
        ("POST", "/v1/models/narrow:regress", 400, "Post {"),
        ("POST", "/v1/models/narrow/labels/stable:predict", 400, "Unrecognized servable version label: stable"),
        ("GET", "/v1/models", 400, "Malformed request: GET /v1/models"),
        ("POST", "/v1/models/narrow:explain", 400, "Malformed request"),
        ("DELETE", "/v1/models/narrow", 400, "Malformed request: DELETE"),
        ("GET", "/gone", 404, "there is no such address"),
        ("POST", "/healthz", 405, "Expected another method"),
    ],
)
def test_what_is_asked_wrongly(server, method, path, status, says):
    reply = server.ask(method, path, b"{}")
    assert reply.status == status
    assert says in reply.error


def test_compressed_requests_are_told_so(server):
    reply = server.ask("POST", "/v1/models/narrow:predict", b"{}", {"Content-Encoding": "gzip"})
    assert reply.status == 400
    assert "expected plain JSON" in reply.error
    plain = server.ask("POST", "/v1/models/narrow:predict", b"{}", {"Content-Encoding": "identity"})
    assert "Missing 'inputs' or 'instances'" in plain.error  # the control


def test_images_of_several_clients_travel_together_and_each_gets_its_own(server, model, photographs):
    files = list(photographs.values())
    right = [row["indices"].tolist() for row in direct(model, "classify_bytes", files)]
    with ThreadPoolExecutor(12) as clients:
        replies = list(clients.map(lambda index: server.classify(files[index % 3]), range(60)))
    assert {reply.status for reply in replies} == {200}
    found = [reply.document["predictions"][0]["indices"] for reply in replies]
    assert found == [right[index % 3] for index in range(60)]
    sizes = metrics(server)
    batches = sizes['effnet_batch_images_count{model="narrow",version="1"}']
    assert batches < sizes['effnet_batch_images_sum{model="narrow",version="1"}']  # some had more than one image


def test_a_broken_file_among_many_clients_spoils_nobody_s_answer(server, photographs):
    broken = photographs["cat"][:2000]
    with ThreadPoolExecutor(8) as clients:
        files = [broken if index % 4 == 0 else photographs["cat"] for index in range(32)]
        replies = list(clients.map(server.classify, files))
    assert [reply.status for reply in replies] == [400 if index % 4 == 0 else 200 for index in range(32)]
    assert "cannot be" in replies[0].error


def metrics(server):
    text = server.ask("GET", "/metrics").body.decode()
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def test_what_machines_watch(server, photographs):
    before = metrics(server)
    server.classify(photographs["cat"], photographs["coffee"])
    server.classify(b"no image")
    after = metrics(server)

    def grown(name):
        return after.get(name, 0) - before.get(name, 0)

    assert grown('effnet_images_total{model="narrow",signature="classify_bytes",version="1"}') == 2
    assert grown('effnet_requests_total{route="/v1/models/{name}:predict",status="200"}') == 1
    assert grown('effnet_refused_total{reason="bad_request"}') == 1
    assert after['effnet_images_in_progress{model="narrow",version="1"}'] == 0
    assert after["process_resident_memory_bytes"] > 10e6
    assert server.ask("GET", "/healthz").document == {"status": "ok"}
    assert server.ask("GET", "/readyz").document == {"status": "ready"}


def own_lines(server, before):
    return [event for event in server.events()[before:] if (event.get("status"), event.get("images")) == (200, 1)]


def test_a_line_of_the_log_for_each_request_and_time_spent(server, photographs):
    before = len(server.events())
    reply = server.classify(photographs["cat"])
    assert [part.split(";")[0] for part in reply.headers["server-timing"].split(", ")] == [
        *("read", "parse", "prepare", "wait", "run"),
    ]
    # The line follows the answer; those of requests before it may do so too.
    deadline = time.monotonic() + 5
    while not (lines := own_lines(server, before)) and time.monotonic() < deadline:
        time.sleep(0.01)
    [event] = lines
    assert {name: event[name] for name in ("method", "path", "status", "model", "signature", "images")} == {
        "method": "POST",
        "path": "/v1/models/narrow:predict",
        "status": 200,
        "model": "narrow",
        "signature": "classify_bytes",
        "images": 1,
    }
    assert event["ms"] > 0


def test_answers_do_not_wait_for_acknowledgements(server):
    # Head and body of an answer are sent one after the other: without TCP_NODELAY the second waits 40 ms for a client
    # that acknowledges the first only then.
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    with contextlib.closing(connection):
        times = []
        for _ in range(20):
            started = time.perf_counter()
            connection.request("GET", "/healthz")
            assert read(connection).status == 200
            times.append(time.perf_counter() - started)
    assert sorted(times[5:])[3] < 0.03


def test_the_card(server):
    (card,) = server.ask("GET", "/models").document["models"]
    assert (card["name"], card["version"], card["backend"]) == ("narrow", 1, "onnx")
    assert card["takes_photographs"] is True


def test_an_onnx_model_needs_no_framework(onnx_models, photographs):
    code = (
        "import sys, pathlib\n"
        "from effnet.serving.models import load_models\n"
        "from effnet.serving.limits import Limits\n"
        "import effnet.serving.server\n"
        f"(model,) = load_models(pathlib.Path({str(onnx_models)!r}), limits=Limits(), threads=1)\n"
        "prepared = model.backend.prepare('classify_bytes', sys.stdin.buffer.read())\n"
        "print(len(model.backend.run(prepared.group, [prepared.value])[0]['classes']))\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, input=photographs["cat"], capture_output=True, check=True)
    count, loaded = done.stdout.decode().splitlines()
    assert count == "5"
    assert {"onnxruntime", "fastapi", "effnet"} <= set(loaded.split())  # the control: what is loaded is seen
    assert {"tensorflow", "keras", "torch"} & set(loaded.split()) == set()
