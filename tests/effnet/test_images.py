import os
import warnings
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from effnet.errors import InputError
from effnet.images import load_image
from effnet_core import CentreCrop, Offset, Resampling, resolve

RULE = replace(
    resolve("b0").preprocessing,
    resolution=32,
    crop=CentreCrop(padding=8, offset=Offset.CEILING),
    mean=(0.0, 0.0, 0.0),
    scale=(1.0, 1.0, 1.0),
)
RANDOM = np.random.default_rng(0)


def saved(folder, image, name="image.png", **options):
    path = folder / name
    image.save(path, **options)
    return path


def flat(mode, color):
    return Image.new(mode, (60, 50), color)


def test_the_centre_is_cropped_and_not_resized_where_it_fits(tmp_path):
    # int(32 / (32 + 8) * 40) = 32 pixels: the crop needs no resizing, so that its pixels are the picture's own.
    pixels = RANDOM.integers(0, 256, (40, 51, 3), dtype=np.uint8)
    found = load_image(saved(tmp_path, Image.fromarray(pixels)), RULE)
    top, left = (40 - 32 + 1) // 2, (51 - 32 + 1) // 2
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, pixels[top : top + 32, left : left + 32])


def test_the_normalisation_of_the_recipe(tmp_path):
    rule = resolve("b0").preprocessing
    found = load_image(saved(tmp_path, flat("RGB", (10, 100, 200))), rule)
    assert found.shape == (224, 224, 3)
    np.testing.assert_allclose(found[7, 9], (np.array([10, 100, 200]) - rule.mean) / rule.scale, rtol=1e-6)


def test_the_interpolation_is_the_recipe_s(tmp_path):
    path = saved(tmp_path, Image.fromarray(RANDOM.integers(0, 256, (75, 75, 3), dtype=np.uint8)))
    bilinear = load_image(path, replace(RULE, resampling=Resampling.LEGACY_BILINEAR))
    assert np.abs(load_image(path, RULE) - bilinear).max() > 5


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (flat("L", 77), (77, 77, 77)),
        (flat("1", 1), (255, 255, 255)),
        (flat("LA", (77, 10)), (77, 77, 77)),
        (flat("RGBA", (10, 20, 30, 0)), (10, 20, 30)),
        (flat("I;16", 257 * 99), (99, 99, 99)),
        (flat("RGB", (10, 20, 30)).quantize(4), (10, 20, 30)),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_every_kind_of_pixels_becomes_rgb(tmp_path, image, expected):
    np.testing.assert_array_equal(load_image(saved(tmp_path, image), RULE)[3, 4], expected)


def test_a_palette_with_transparency(tmp_path):
    path = saved(tmp_path, flat("RGB", (10, 20, 30)).quantize(4), transparency=b"\x00\x80")
    np.testing.assert_array_equal(load_image(path, RULE)[3, 4], (10, 20, 30))


def test_a_print_colour_jpeg(tmp_path):
    found = load_image(saved(tmp_path, flat("CMYK", (0, 0, 0, 255)), "image.jpg"), RULE)
    assert np.abs(found).max() < 3


def test_one_pixel(tmp_path):
    found = load_image(saved(tmp_path, Image.new("RGB", (1, 1), (1, 2, 3))), RULE)
    np.testing.assert_array_equal(found[31, 31], (1, 2, 3))


def test_floating_point_pixels_are_refused(tmp_path):
    with pytest.raises(InputError, match="floating-point"):
        load_image(saved(tmp_path, flat("F", 0.5), "image.tiff"), RULE)


def broken(folder):
    whole = saved(folder, Image.fromarray(RANDOM.integers(0, 256, (90, 90, 3), dtype=np.uint8)), "whole.jpg")
    data = whole.read_bytes()
    yield "truncated", data[: len(data) // 2]
    yield "empty", b""
    yield "text", b"no image at all"
    yield "postscript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n"
    yield "header alone", saved(folder, flat("RGB", 0)).read_bytes()[:40]


def test_broken_files_are_one_clear_error(tmp_path):
    count = 0
    for name, data in broken(tmp_path):
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(data)
        with pytest.raises(InputError, match=name):
            load_image(path, RULE)
        count += 1
    assert count == 5


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-12], "cut off before its last chunk"),
        (lambda data: data[:-20], "cut off before its last chunk"),
        (lambda data: data[:-1], "checksum of its last chunk"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "checksum of its last chunk"),
    ],
)
def test_a_png_without_its_end_is_refused(tmp_path, damage, message):
    whole = saved(tmp_path, flat("RGB", 7))
    data = whole.read_bytes()
    whole.write_bytes(data + b"more")  # the control: what follows the end is not looked at
    load_image(whole, RULE)
    whole.write_bytes(damage(data))
    with pytest.raises(InputError, match=message):
        load_image(whole, RULE)


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "absent.png", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            load_image(path, RULE)


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="it is a pipe"):
        load_image(tmp_path / "pipe", RULE)


@pytest.mark.parametrize(("side", "told"), [(10_001, "10001 x 10001"), (65_000, "4,225,000,000")])
def test_enormous_images_are_refused_before_they_are_decoded(tmp_path, side, told):
    data = bytearray(saved(tmp_path, flat("L", 0)).read_bytes())
    data[16:24] = side.to_bytes(4, "big") * 2  # width and height in the PNG's header

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    path = tmp_path / "huge.png"
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(
            InputError, match=rf"huge\.png has {told} pixels; at most 100,000,000 are decoded.*Make it smaller"
        ):
            load_image(path, RULE)
