import json

import numpy as np
import pytest

from effnet.serving.errors import Refused
from effnet.serving.limits import Limits
from effnet.serving.request import Form, parse
from effnet.serving.signatures import DataType, Signature, Tensor

LIMITS = Limits(queue=16, input_pixels=64)
FLOATS = Tensor(name="images:0", dtype=DataType.FLOAT, shape=(-1, -1, -1, 3))
STRINGS = Tensor(name="image_bytes:0", dtype=DataType.STRING, shape=(-1,))
SIGNATURES = {
    "serving_default": Signature(input_name="images", input=FLOATS, outputs={"logits": FLOATS}),
    "classify_bytes": Signature(input_name="image_bytes", input=STRINGS, outputs={"classes": STRINGS}),
}
PIXEL = [[[0.5, -1, 2e-1]]]
"""An image of one pixel, (1, 1, 3)."""
NAN = float("nan")


def read(document):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse(body, SIGNATURES, LIMITS)


@pytest.mark.parametrize(
    ("document", "form"),
    [
        ({"instances": [PIXEL, PIXEL]}, Form.ROWS),
        ({"instances": [{"images": PIXEL}, {"images": PIXEL}]}, Form.ROWS),
        ({"signature_name": "", "inputs": [PIXEL, PIXEL]}, Form.COLUMNS),
        ({"signature_name": "serving_default", "inputs": {"images": [PIXEL, PIXEL]}}, Form.COLUMNS),
        ({"inputs": [PIXEL, PIXEL], "what else": "is not looked at", "also": True}, Form.COLUMNS),
    ],
)
def test_numbers_in_every_form(document, form):
    call = read(document)
    assert (call.signature, call.form) == ("serving_default", form)
    assert call.images.dtype == np.float32
    np.testing.assert_array_equal(call.images, np.array([PIXEL, PIXEL], np.float32))


@pytest.mark.parametrize(
    ("document", "form"),
    [
        ({"instances": [{"b64": "/+8="}, "text"]}, Form.ROWS),
        ({"instances": [{"image_bytes": {"b64": "/+8"}}, {"image_bytes": "text"}]}, Form.ROWS),
        ({"inputs": [{"b64": "/+8="}, "text"]}, Form.COLUMNS),
        ({"inputs": {"image_bytes": [{"b64": "/+8="}, {"b64": "dGV4dA=="}]}}, Form.COLUMNS),
    ],
)
def test_files_in_every_form(document, form):
    call = read({"signature_name": "classify_bytes", **document})
    assert call.form is form
    assert list(call.images) == [b"\xff\xef", b"text"]


def deep(levels):
    return b'{"instances": ' + b"[" * levels + b"]" * levels + b"}"


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (b"", "document is empty"),
        (b'{"instances": [1', "JSON Parse error"),
        (b"\xff\xfe{}", "JSON Parse error"),
        (deep(100_000), "JSON Parse error"),
        (b'{"instances": [[[[1, 2, ' + b"9" * 5000 + b"]]]]}", ""),
        ([1, 2], "a list"),
        ({}, "Missing 'inputs' or 'instances'"),
        ({"instances": [PIXEL], "inputs": [PIXEL]}, "only one of"),
        ({"signature_name": 3, "instances": [PIXEL]}, "to be a string"),
        (
            {"signature_name": "gone", "instances": [PIXEL]},
            '"gone" not found in signature def. Expected one of classify',
        ),
        ({"instances": {"images": PIXEL}}, "found an object"),
        ({"instances": []}, "No values in 'instances'"),
        ({"instances": [{"images": PIXEL}, PIXEL]}, "element 1 is a list"),
        ({"instances": [{"image": PIXEL}]}, "to be: images; found image"),
        ({"instances": [{"images": PIXEL, "more": 1}]}, "found images, more"),
        ({"inputs": {"image_bytes": PIXEL}}, "to be: images"),
        ({"inputs": []}, "shape (0,)"),
        ({"inputs": 3}, "shape ()"),
        ({"inputs": PIXEL}, "shape (1, 1, 3)"),
        ({"instances": [[[[1, 2, 3, 4]]]]}, "shape (1, 1, 1, 4)"),
        ({"instances": [[[]]]}, "shape (1, 1, 0)"),
        ({"instances": [PIXEL] * 17}, "17 images"),
        ({"instances": [[PIXEL[0] * 9] * 9]}, "9 x 9 pixels"),
        ({"instances": [[[[1, 2, 3], [1, 2]]]]}, "do not form an array"),
        ({"instances": [PIXEL, [PIXEL]]}, "do not form an array"),
        ({"instances": [[[[1, 2, None]]]]}, "something else than numbers"),
        ({"instances": [[[[1, 2, True]]]]}, "Found true, false, text"),
        ({"instances": [[[["1", "2", "3"]]]]}, "Found true, false, text"),
        ({"inputs": [[[["1", "2", "3"]]]]}, "Found true, false, text"),
        ({"instances": [[[[1, 2, {"b64": "AA=="}]]]]}, "Found true, false, text"),
        ({"instances": [[[[1, 2, NAN]]]]}, "NaN"),
        (b'{"instances": [[[[1, 2, -Infinity]]]]}', "NaN"),
        ({"instances": [[[[1, 2, 1e39]]]]}, "beyond float32"),
        ({"instances": [[[[1, 2, 2**24]]]]}, "cannot hold exactly"),
        ({"instances": [[[[1, 2, 2**64]]]]}, "something else than numbers"),
    ],
)
def test_numbers_that_are_refused(document, says):
    with pytest.raises(Refused) as refused:
        read(document)
    assert says in str(refused.value)
    assert "xpected" in str(refused.value) or "--max-input-pixels" in str(refused.value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"instances": [3]}, "Image 0 is a number"),
        ({"instances": ["text", [1]]}, "Image 1 is a list"),
        ({"instances": [{"b64": 3}]}, "to be: image_bytes; found b64"),
        ({"inputs": {"b64": "AA=="}}, "found an object"),
        ({"inputs": "text"}, "found a string"),
        ({"inputs": []}, "0 images"),
        ({"inputs": ["text"] * 17}, "17 images"),
        ({"instances": [{"b64": "A"}]}, "unable to base64 decode"),
        ({"instances": [{"b64": "-_8="}]}, "unable to base64 decode"),
        ({"instances": [{"b64": "AA AA"}]}, "unable to base64 decode"),
        ({"instances": [{"b64": "\u20ac"}]}, "unable to base64 decode"),
    ],
)
def test_files_that_are_refused(value, says):
    with pytest.raises(Refused) as refused:
        read({"signature_name": "classify_bytes", **value})
    assert says in str(refused.value)


def test_one_long_text_among_many_takes_no_room():
    # NumPy would give each of the 3000 the room of the longest: 12 GB.
    with pytest.raises(Refused, match="text"):
        read({"inputs": [[["x" * 1_000_000, *"abc" * 1000]]]})
