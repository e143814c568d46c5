"""Requests that nobody should answer with 200, nor with a failure of the server's own: generated from a seed."""

from __future__ import annotations

import base64
import json
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

PREDICT = "/v1/models/narrow:predict"
MEGABYTE = 2**20


@dataclass(frozen=True)
class Bad:
    kind: str
    body: bytes
    method: str = "POST"
    path: str = PREDICT
    headers: dict[str, str] = field(default_factory=dict)


def bad_requests(count: int, photograph: bytes, *, seed: int) -> Iterator[Bad]:
    """`count` requests, every kind as often as any other."""
    dice = random.Random(seed)
    good = json.dumps({"signature_name": "classify_bytes", "instances": [b64(photograph)]}).encode()
    kinds: list[Callable[[random.Random, bytes, bytes], Bad]] = [
        broken_json,
        other_document,
        wrong_signature,
        wrong_numbers,
        wrong_array,
        large_ragged,
        wrong_bytes,
        broken_image,
        bomb,
        wrong_address,
        too_large,
    ]
    for index in range(count):
        yield kinds[index % len(kinds)](dice, good, photograph)


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def broken_json(dice: random.Random, good: bytes, photograph: bytes) -> Bad:
    cut = dice.randrange(len(good))
    return Bad(
        "broken JSON",
        dice.choice(
            [
                good[:cut],
                good[:cut] + b"\x00" + good[cut + 1 :] + b"]",
                good + b"}",
                bytes(dice.randrange(256) for _ in range(50)),
                b'{"instances": ' + b"[" * dice.randrange(300, 50_000),
                b'{"instances": ' + b'{"a":' * 20_000,
                b'{"instances": [1' + b"0" * dice.randrange(5_000, 9_000) + b"]}",
                "{'instances': [1]}".encode("utf-16"),
                photograph,
            ]
        ),
    )


def other_document(dice: random.Random, good: bytes, photograph: bytes) -> Bad:
    document: Any = dice.choice(
        [
            *(None, True, 3, "text", [], [[1]], {}),
            *({"instances": value} for value in ([], "x", None, [None], [{}], {"images": []}, [{"images": None}])),
            *({"inputs": value} for value in ([], {}, None, 0.5, {"images": 1}, {"image": [[[[1, 2, 3]]]]})),
            *({"instances": [[1.0]], "inputs": [[1.0]]}, {"examples": [{"x": 1}]}, {"Instances": [1]}),
        ]
    )
    return Bad("another document", json.dumps(document).encode())


def wrong_signature(dice: random.Random, good: bytes, photograph: bytes) -> Bad:
    name = dice.choice([3, None, [], {}, "gone", "Classify_bytes", "x" * 9000, "\u0000", "serving_default\n", "__init"])
    return Bad("a wrong signature", json.dumps({"signature_name": name, "instances": [b64(photograph)]}).encode())


def wrong_numbers(dice: random.Random, good: bytes, photograph: bytes) -> Bad:
    side = dice.randrange(1, 9)
    image: Any = [[[dice.uniform(-2, 2) for _ in range(3)] for _ in range(side)] for _ in range(side)]
    bad: Any = dice.choice([float("nan"), float("inf"), -float("inf"), 1e39, -1e300, 10**300])
    image[dice.randrange(side)][dice.randrange(side)][dice.randrange(3)] = dice.choice(
        [bad, None, True, "1.5", {}, {"b64": "AAAA"}, [1.0], "\ud800"]
    )
    form: Any = dice.choice(
        [{"instances": [image]}, {"inputs": {"images": [image]}}, {"instances": [{"images": image}]}]
    )
    return Bad("wrong numbers", json.dumps(form).encode())


def wrong_array(dice: random.Random, good: bytes, photograph: bytes) -> Bad:
    shapes = [
        (3,),
        (1, 3),
        (2, 2, 3),
        (1, 0, 4, 3),
        (1, 4, 0, 3),
        (1, 2, 2, 1),
        (1, 2, 2, 4),
        (1, 1, 1, 1, 3),
        (1, 3, 8, 8),
    ]
    value: Any = 0.5
    for size in reversed(dice.choice(shapes)):
        value = [value] * size
    ragged: Any = [[[[0.0] * 3] * dice.randrange(2, 6)] * 3 + [[[0.0] * 3]]]
    wide: Any = [[[[0, 0, 0]] * 120] * 100]  # the server of the tests takes 10,000 pixels
    count: Any = [[[[0, 0, 0]]]] * dice.randrange(257, 400)
    return Bad("a wrong array", json.dumps({"inputs": dice.choice([value, value, ragged, wide, count])}).encode())


def large_ragged(dice: random.Random, good: bytes, photograph: bytes) -> Bad:
    """Many lists that form no array."""
    size = dice.randrange(100_000, 300_000)
    row = b"[" + b"[0,0,0]," * 99 + b"[0,0,0]]"
    image = b"[" + (row + b",") * 99 + row + b"]"
    item = dice.choice([b"[]", b"[[[0]]]", b"[[[0,0,0]]]", b"[[0,0],0]", b'{"images":[[[0,0,0]]]}', b"{}", image])
    items = [item] * (size // len(item) + 1)
    items[-1] = b"[[[0,0,0],[0,0]]]"
    return Bad("a large ragged array", b'{"instances":[' + b",".join(items) + b"]}")


def wrong_bytes(dice: random.Random, good: bytes, photograph: bytes) -> Bad:
    text = b64(photograph)["b64"]
    place = dice.randrange(len(text))
    value: Any = dice.choice(
        [text[:place] + dice.choice("%-_ \n=*") + text[place + 2 :], text[: 4 * (place // 4) + 1], "%%%", "=", "\u20ac"]
    )
    form: Any = dice.choice(
        [
            {"b64": value},
            {"image_bytes": {"b64": value}},
            {"b64": 3},
            {"b64": None},
            {"B64": text},
            [b64(photograph)],
            7,
        ]
    )
    return Bad("wrong bytes", json.dumps({"signature_name": "classify_bytes", "instances": [form]}).encode())


def broken_image(dice: random.Random, good: bytes, photograph: bytes) -> Bad:
    cut = dice.randrange(0, len(photograph) * 9 // 10)
    png = flat_png(64, 64)
    data = dice.choice(
        [
            photograph[:cut],
            bytes(reversed(photograph)),
            b"",
            b"GIF89a" + photograph[:cut],
            b"RIFF\x10\x00\x00\x00WEBPVP8 " + photograph[:20],
            png[: dice.randrange(8, len(png) - 20)],
            png[:45] + bytes(dice.randrange(256) for _ in range(20)) + png[65:],
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"BM" + bytes(60),
            b"II*\x00\xff\xff\xff\xff",
        ]
    )
    return Bad("a broken image", json.dumps({"signature_name": "classify_bytes", "instances": [b64(data)]}).encode())


def bomb(dice: random.Random, good: bytes, photograph: bytes) -> Bad:
    """Small files of enormous images: a PNG whose pixels are all there, and heads that only say so."""
    jpeg = bytearray(photograph)
    start = jpeg.find(b"\xff\xc0")
    jpeg[start + 5 : start + 9] = struct.pack(">HH", dice.randrange(40_000, 65_500), 65_500)
    data = dice.choice(
        [flat_png(5000, 4000), flat_png(60_000, 60_000, rows=2), flat_png(2**31 - 1, 2**31 - 1, rows=0), bytes(jpeg)]
    )
    return Bad("a bomb", json.dumps({"signature_name": "classify_bytes", "instances": [b64(data)]}).encode())


def wrong_address(dice: random.Random, good: bytes, photograph: bytes) -> Bad:
    method, path = dice.choice(
        [
            ("POST", "/v1/models/gone:predict"),
            ("POST", "/v1/models/narrow/versions/2:predict"),
            ("POST", "/v1/models/narrow/versions/-1:predict"),
            ("POST", "/v1/models/narrow/versions/99999999999999999999:predict"),
            ("POST", "/v1/models/narrow/labels/stable:predict"),
            ("POST", "/v1/models/narrow:classify"),
            ("POST", "/v1/models/narrow:explode"),
            ("POST", "/v1/models/..%2f..%2fetc%2fpasswd:predict"),
            ("POST", "/v1/models/%00%ff:predict"),
            ("POST", "/v1/models/" + "x" * 3000 + ":predict"),
            ("GET", PREDICT),
            ("PUT", PREDICT),
            ("DELETE", "/v1/models/narrow"),
            ("GET", "/v1/models/gone/metadata"),
            ("GET", "/v1"),
            ("POST", "/metrics"),
            ("TRACE", "/"),
        ]
    )
    return Bad("a wrong address", good, method, path)


def too_large(dice: random.Random, good: bytes, photograph: bytes) -> Bad:
    """More than the 4 MB that the server of the tests reads."""
    if dice.random() < 0.3:
        return Bad("a body too large", b'{"instances": "' + b"x" * (5 * MEGABYTE))
    return Bad("a body said to be too large", b"", headers={"Content-Length": str(10 ** dice.randrange(8, 18))})


@cache
def flat_png(width: int, height: int, *, rows: int | None = None) -> bytes:
    """A grey PNG of one colour, with the pixels of its first `rows` rows."""
    pack = zlib.compressobj(1)
    line = bytes(1 + min(width, 60_000))
    pixels = b"".join(pack.compress(line) for _ in range(height if rows is None else rows)) + pack.flush()

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
