from dataclasses import replace

import numpy as np
from PIL import Image

from effnet.images import load_image
from effnet_core import CentreCrop, Offset, WholeImage, resolve

PLAIN = {"resolution": 32, "mean": (0.0, 0.0, 0.0), "scale": (1.0, 1.0, 1.0)}


def saved(folder, width, height):
    """A picture with a white column at the left end, black elsewhere."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[:, : width // 8] = 255
    Image.fromarray(pixels).save(folder / "image.png")
    return folder / "image.png"


def test_without_a_crop_the_whole_image_is_squeezed_into_the_square(tmp_path):
    rule = replace(resolve("v2-s", recipe="v2-21k-ft1k").preprocessing, **PLAIN)
    assert rule.crop == WholeImage()
    path = saved(tmp_path, 128, 32)
    found = load_image(path, rule)
    assert found.shape == (32, 32, 3)
    assert found[:, :3].min() > 250  # the left eighth of the picture is the left eighth of the square
    assert found[:, 6:].max() == 0
    # The control: a crop loses what lies at the ends.
    assert load_image(path, replace(rule, crop=CentreCrop(padding=32, offset=Offset.FLOOR))).max() == 0


def test_the_recipe_normalises(tmp_path):
    Image.new("RGB", (50, 40), (0, 128, 255)).save(tmp_path / "image.png")
    rule = replace(resolve("v2-s", recipe="v2-21k-ft1k").preprocessing, resolution=16)
    found = load_image(tmp_path / "image.png", rule)
    np.testing.assert_allclose(found[3, 4], (-1, 0.5 / 127.5, 1), atol=1e-6)
