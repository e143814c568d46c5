"""The size of the images that reach a network, by the layers in front of it."""

from __future__ import annotations

from typing import Any

import pytest

from converters.keras_json import Layer
from converters.keras_models.image import Image, image_of


def images(*sides: int | None, key: str = "batch_shape", is_followed: bool = True) -> Layer:
    return Layer(kind="InputLayer", path="images", config={key: [None, *sides, 3]}, is_followed=is_followed)


def layer(kind: str, **config: Any) -> Layer:
    return Layer(kind=kind, path=kind.lower(), config=config)


ANY, TO_75 = images(None, None), layer("Resizing", height=75, width=70)
DIVIDED = layer("TrueDivide")._replace(calls=[{"args": [{"class_name": "__keras_tensor__"}, 255.0], "kwargs": {}}])
OWN = layer("ZeroPadding2D", padding=[[0, 1], [0, 1]])


@pytest.mark.parametrize(
    ("way", "size", "takes_any", "given"),
    [
        ([images(75, 70)], (75, 70), (False, False), (75, 70)),
        ([images(75, 70), ANY], (None, None), (True, True), (75, 70)),
        ([images(75, 70, key="batch_input_shape"), ANY], (None, None), (True, True), (75, 70)),
        ([images(75, 70), images(None, 70)], (None, 70), (True, False), (75, 70)),
        ([images(75, 70), layer("RandomFlip"), layer("Rescaling"), ANY, OWN], (None, None), (True, True), (75, 70)),
        ([images(75, 70), DIVIDED, ANY], (None, None), (True, True), (75, 70)),
        ([images(None, None), TO_75, ANY], (None, None), (True, True), (75, 70)),
        ([images(64, 64), layer("CenterCrop", height=75, width=70), ANY], (None, None), (True, True), (75, 70)),
        ([images(None, None), TO_75], (75, 70), (False, False), (75, 70)),
        ([ANY], (None, None), (True, True), (None, None)),
        # What is not known here may give another size.
        ([images(75, 70), layer("Lambda"), ANY], (None, None), (True, True), (None, None)),
        ([images(75, 70), layer("TrueDivide"), ANY], (None, None), (True, True), (None, None)),
        ([images(75, 70), OWN, ANY], (None, None), (True, True), (None, None)),
        ([images(75, 70, is_followed=False), ANY], (None, None), (True, True), (None, None)),
        ([], (None, None), (False, False), (None, None)),
    ],
)
def test_the_size_that_is_known(way: list[Layer], size: Any, takes_any: Any, given: Any) -> None:
    found = image_of(way, [], channels_first=False)
    assert found == Image(size=size, is_certain=bool(way), takes_any=takes_any, given=given)


def test_channels_first() -> None:
    shape = Layer(kind="InputLayer", path="images", config={"batch_shape": [None, 3, 75, 70]})
    assert image_of([shape], [], channels_first=True).given == (75, 70)
