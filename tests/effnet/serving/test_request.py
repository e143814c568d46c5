import json
import tracemalloc

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
        ({"instances": [[[[1, 2, {"b64": "AA=="}]]]]}, "Found a file among the numbers"),
        ({"instances": [{"b64": "AA=="}]}, 'say which by "signature_name", such as "classify_bytes"'),
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


def test_named_rows_are_read_as_fast_as_others():
    image = np.full((3, 100, 3), 0.25).tolist()
    limits = Limits(queue=16)
    for form in ({"instances": [image]}, {"instances": [{"images": image}]}, {"inputs": {"images": [image]}}):
        call = parse(json.dumps(form).encode(), SIGNATURES, limits)
        np.testing.assert_array_equal(call.images, np.full((1, 3, 100, 3), 0.25, np.float32))
        form["text"] = "looked through"
        np.testing.assert_array_equal(parse(json.dumps(form).encode(), SIGNATURES, limits).images, call.images)


@pytest.mark.parametrize("pixel", [[1, 2, True], [1, 2, "3"], [1, 2], 7, [1, 2, [3]], [[1], [2], [3]]])
@pytest.mark.parametrize("name", [None, "images"])
def test_one_odd_pixel_far_inside_is_found(pixel, name):
    image = np.zeros((45, 101, 3)).tolist()  # more than is made into numbers at once

    def sent():
        return {"instances": [image if name is None else {name: image}] * 2}

    limits = Limits(queue=16)
    assert parse(json.dumps(sent()).encode(), SIGNATURES, limits).images.shape == (2, 45, 101, 3)
    image[43][100] = pixel
    with pytest.raises(Refused, match=r"do not form an array|text"):
        parse(json.dumps(sent()).encode(), SIGNATURES, limits)


def test_lists_are_counted_before_they_are_made():
    limits = Limits(queue=16, lists=100)
    assert len(parse(json.dumps({"inputs": [[PIXEL[0] * 96]]}).encode(), SIGNATURES, limits).images) == 1
    with pytest.raises(Refused, match="101 lists and objects"):
        parse(json.dumps({"inputs": [[PIXEL[0] * 97]]}).encode(), SIGNATURES, limits)
    tracemalloc.start()
    body = b'{"inputs": [' + b"[]," * 5_000_000 + b"[]]}"
    before = tracemalloc.get_traced_memory()[0]
    with pytest.raises(Refused, match="5,000,003 lists"):
        parse(body, SIGNATURES, Limits())
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert peak < 2 * len(body)
