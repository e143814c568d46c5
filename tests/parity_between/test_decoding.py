"""Both decoders give the same 8 bits for every kind of file, and one clear error for a broken or enormous one."""

from __future__ import annotations

import io
import tracemalloc
from importlib import import_module

import numpy as np
import pytest
from PIL import Image

from effnet.choices import Backend
from effnet.decoding import decode
from effnet.errors import InputError
from effnet.frameworks import import_frameworks
from effnet_core import JpegDecoding
from tests.image_files import BROKEN, FLIPPED, JPEGS, NOT_IN_THE_GRAPH, OTHERS, RGB, enormous
from tests.preparing import PIXEL_LIMIT, decoded_by_graph

FAST, ACCURATE = JpegDecoding


def refused_by_graph(data: bytes) -> str:
    import_frameworks(Backend)
    tf = import_module("tensorflow")
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        decoded_by_graph(data, FAST)
    return str(caught.value)


@pytest.mark.parametrize("jpeg", JpegDecoding)
@pytest.mark.parametrize("kind", JPEGS)
def test_jpeg(kind: str, jpeg: JpegDecoding) -> None:
    found = decode(JPEGS[kind], jpeg=jpeg)
    assert found.shape == (61, 83, 3)  # also where EXIF says that it lies on its side
    np.testing.assert_array_equal(decoded_by_graph(JPEGS[kind], jpeg), found)


def test_the_two_transforms_differ_and_the_accurate_one_is_pillow_s() -> None:
    for kind in ("4:2:0", "4:4:4", "progressive", "grey"):
        with Image.open(io.BytesIO(JPEGS[kind])) as image:
            expected = np.asarray(image.convert("RGB"))
        np.testing.assert_array_equal(decode(JPEGS[kind], jpeg=ACCURATE), expected)
        assert (decode(JPEGS[kind], jpeg=FAST) != expected).any()


def test_printing_inks_are_within_one_of_pillow_s() -> None:
    for kind in ("CMYK of Adobe", "YCCK"):
        with Image.open(io.BytesIO(JPEGS[kind])) as image:
            expected = np.asarray(image.convert("RGB")).astype(int)
        assert np.abs(decode(JPEGS[kind], jpeg=ACCURATE) - expected).max() <= 1
    # Pillow takes every one for Adobe's; TensorFlow, and so this project, the ones that say so.
    assert np.abs(decode(JPEGS["CMYK"], jpeg=ACCURATE) - expected).max() > 100


@pytest.mark.parametrize("kind", OTHERS)
def test_other_formats(kind: str) -> None:
    found = decode(OTHERS[kind], jpeg=FAST)
    np.testing.assert_array_equal(decoded_by_graph(OTHERS[kind], FAST), found)
    with Image.open(io.BytesIO(OTHERS[kind])) as image:
        assert found.shape == (image.height, image.width, 3)


def test_the_pixels_are_those_that_were_saved() -> None:
    for kind in ("PNG", "WebP lossless", "BMP", "BMP transparent", "PNG transparent"):
        pixels = decode(OTHERS[kind], jpeg=FAST)
        assert (pixels.astype(int).std() > 20, pixels.shape) == (True, (61, 83, 3))
    np.testing.assert_array_equal(decode(OTHERS["PNG"], jpeg=FAST), np.asarray(RGB))
    np.testing.assert_array_equal(decode(OTHERS["WebP lossless"], jpeg=FAST), np.asarray(RGB))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("BMP palette", "palette"),
        ("BMP grey", "palette"),
        ("GIF", "no image that is read here"),
        ("WebP animated", "animated"),
    ],
)
def test_what_the_graph_does_not_read(kind: str, message: str) -> None:
    assert decode(NOT_IN_THE_GRAPH[kind], jpeg=FAST).shape == (61, 83, 3)
    assert message in refused_by_graph(NOT_IN_THE_GRAPH[kind])


def test_of_an_animation_the_first_frame_is_taken() -> None:
    found = decode(NOT_IN_THE_GRAPH["WebP animated"], jpeg=FAST).astype(int)
    assert np.abs(found - np.asarray(RGB)).mean() < np.abs(found - np.asarray(FLIPPED)).mean() / 4


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_files(kind: str) -> None:
    with pytest.raises(InputError, match=r"photo\.jpg"):
        decode(BROKEN[kind], jpeg=FAST, name="photo.jpg")
    assert refused_by_graph(BROKEN[kind])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WebP"])
def test_enormous_files_are_refused_before_their_pixels_take_memory(kind: str) -> None:
    data = enormous(16_000)[kind]
    tracemalloc.start()
    with pytest.raises(InputError, match="Make it smaller"):
        decode(data, jpeg=FAST)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    assert "Make the image smaller" in refused_by_graph(data)


def test_the_limit_is_the_caller_s() -> None:
    pixels = 61 * 83
    assert pixels < PIXEL_LIMIT
    assert decode(JPEGS["4:2:0"], jpeg=FAST, pixel_limit=pixels).shape == (61, 83, 3)
    with pytest.raises(InputError, match=f"at most {pixels - 1:,} are decoded"):
        decode(JPEGS["4:2:0"], jpeg=FAST, pixel_limit=pixels - 1)
    with pytest.raises(InputError, match="65,535 a side"):
        decode(saved_long(), jpeg=FAST)


def saved_long() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (65_536, 1)).save(buffer, "PNG")
    return buffer.getvalue()
