"""Image files of every kind that is read, and broken ones, made here."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

_RANDOM = np.random.default_rng(3)


def _pixels(channels: int) -> np.ndarray:
    """A smooth picture of 61 x 83 with some noise."""
    small = _RANDOM.integers(0, 256, (8, 9, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(small).resize((83, 61), 3)).astype(int)
    noisy = (smooth + _RANDOM.integers(-20, 20, smooth.shape)).clip(0, 255).astype(np.uint8)
    return np.dstack([noisy, noisy[..., :1]])[..., :channels]


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    rows: np.ndarray, *, depth: int, colour: int, width: int, height: int | None = None, extra: bytes = b""
) -> bytes:
    """A PNG of packed rows, which Pillow cannot write for every depth."""
    header = struct.pack(">IIBBBBB", width, height or len(rows), depth, colour, 0, 0, 0)
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def _wide(*shape: int) -> np.ndarray:
    return _RANDOM.integers(0, 65536, shape).astype(">u2")


def _bytes(*shape: int) -> np.ndarray:
    return _RANDOM.integers(0, 256, shape).astype(np.uint8)


RGB = Image.fromarray(_pixels(3))
RGBA = Image.fromarray(_pixels(4))
GREY = RGB.convert("L")
CMYK = RGB.convert("CMYK")
_ROTATED = Image.Exif()
_ROTATED[0x112] = 6

ADOBE_CMYK = saved(CMYK, "JPEG")
_ADOBE = ADOBE_CMYK.index(b"\xff\xee")
_AFTER = _ADOBE + 2 + struct.unpack(">H", ADOBE_CMYK[_ADOBE + 2 : _ADOBE + 4])[0]

JPEGS = {
    "4:2:0": saved(RGB, "JPEG", quality=80, subsampling=2),
    "4:2:2": saved(RGB, "JPEG", subsampling=1),
    "4:4:4": saved(RGB, "JPEG", subsampling=0),
    "poor": saved(RGB, "JPEG", quality=5),
    "progressive": saved(RGB, "JPEG", progressive=True),
    "stored as RGB": saved(RGB, "JPEG", keep_rgb=True),
    "grey": saved(GREY, "JPEG"),
    "rotated by EXIF": saved(RGB, "JPEG", exif=_ROTATED),
    "CMYK of Adobe": ADOBE_CMYK,
    "CMYK": ADOBE_CMYK[:_ADOBE] + ADOBE_CMYK[_AFTER:],
    "YCCK": ADOBE_CMYK[: _AFTER - 1] + b"\x02" + ADOBE_CMYK[_AFTER:],
    "bytes after the end": saved(RGB, "JPEG") + b"junk" * 50,
    "marker in the scan": saved(RGB, "JPEG")[:1500] + b"\xff\xd3" + saved(RGB, "JPEG")[1500:],
}
OTHERS = {
    "PNG": saved(RGB, "PNG"),
    "PNG grey": saved(GREY, "PNG"),
    "PNG transparent": saved(RGBA, "PNG"),
    "PNG grey and transparent": saved(RGBA.convert("LA"), "PNG"),
    "PNG 1 bit": saved(GREY.convert("1"), "PNG"),
    "PNG 2 bits": png(_bytes(13, 5), depth=2, colour=0, width=20),
    "PNG 4 bits": png(_bytes(13, 5), depth=4, colour=0, width=10),
    "PNG palette": saved(RGB.quantize(16), "PNG"),
    "PNG palette with transparency": saved(RGB.quantize(16), "PNG", transparency=b"\0\x80"),
    "PNG one colour transparent": png(_bytes(13, 9), depth=8, colour=0, width=9, extra=chunk(b"tRNS", b"\0\x10")),
    "PNG 16 bits grey": png(_wide(13, 17), depth=16, colour=0, width=17),
    "PNG 16 bits": png(_wide(13, 17, 3), depth=16, colour=2, width=17),
    "PNG 16 bits transparent": png(_wide(13, 17, 4), depth=16, colour=6, width=17),
    "PNG 16 bits grey and transparent": png(_wide(13, 17, 2), depth=16, colour=4, width=17),
    "WebP": saved(RGB, "WEBP", quality=80),
    "WebP lossless": saved(RGB, "WEBP", lossless=True),
    "WebP transparent": saved(RGBA, "WEBP"),
    "WebP lossless and transparent": saved(RGBA, "WEBP", lossless=True, exact=True),
    "WebP rotated by EXIF": saved(RGB, "WEBP", exif=_ROTATED),
    "BMP": saved(RGB, "BMP"),
    "BMP transparent": saved(RGBA, "BMP"),
}
FLIPPED = RGB.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
NOT_IN_THE_GRAPH = {
    "BMP palette": saved(RGB.quantize(16), "BMP"),
    "BMP grey": saved(GREY, "BMP"),
    "GIF": saved(RGB, "GIF"),
    "WebP animated": saved(RGB, "WEBP", save_all=True, append_images=[FLIPPED], duration=100),
}
BROKEN = {
    "JPEG cut off": JPEGS["4:2:0"][: len(JPEGS["4:2:0"]) // 2],
    "JPEG without end": JPEGS["4:2:0"][:-2],
    "JPEG header alone": JPEGS["4:2:0"][:20],
    "PNG cut off": OTHERS["PNG"][: len(OTHERS["PNG"]) // 2],
    "PNG header alone": OTHERS["PNG"][:26],
    "WebP cut off": OTHERS["WebP"][: len(OTHERS["WebP"]) // 2],
    "WebP header alone": OTHERS["WebP"][:14],
    "BMP cut off": OTHERS["BMP"][: len(OTHERS["BMP"]) // 2],
    "BMP header alone": OTHERS["BMP"][:20],
    "nothing": b"",
    "text": b"no image at all",
}


def enormous(side: int) -> dict[str, bytes]:
    """Files of few bytes whose headers say `side` x `side` pixels."""
    webp = bytearray(OTHERS["WebP lossless"])
    webp[21:25] = ((side - 1) % 0x4000 * 0x4001 | webp[24] & 0xF0 << 24).to_bytes(4, "little")
    jpeg = bytearray(JPEGS["4:4:4"])
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = side.to_bytes(2, "big") * 2
    bmp = bytearray(OTHERS["BMP"])
    bmp[18:26] = side.to_bytes(4, "little") * 2
    return {
        "PNG": png(_bytes(3, 5), depth=8, colour=0, width=side, height=side),
        "JPEG": bytes(jpeg),
        "BMP": bytes(bmp),
        "WebP": bytes(webp),
    }
