"""What the first bytes of an image file say, read inside a TensorFlow graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from effnet_tf._tensorflow import tf

Tensor = Any
"""A tensor of TensorFlow, symbolic or not."""
_LENGTH = 32
"""Bytes in which every format here but JPEG says its size."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """The first bytes of a file; where it is shorter, zeros follow."""

    contents: Tensor
    """The whole file, a string scalar."""
    numbers: Tensor
    """Its first 32 bytes, int64."""

    @classmethod
    def of(cls, contents: Tensor) -> Header:
        """The header of a file with these bytes, a string scalar."""
        # A conversion first: tf.strings.join of nothing but Python's bytes would lose their zeros.
        padded = tf.strings.join([tf.convert_to_tensor(contents), tf.constant(b"\0" * _LENGTH)])
        numbers = tf.io.decode_raw(tf.strings.substr(padded, 0, _LENGTH), tf.uint8)
        return cls(contents=contents, numbers=tf.cast(numbers, tf.int64))

    @property
    def is_jpeg(self) -> Tensor:
        """Whether the file begins as a JPEG does."""
        return self._starts(b"\xff\xd8\xff")

    @property
    def is_png(self) -> Tensor:
        """Whether the file begins as a PNG does."""
        return self._starts(b"\x89PNG\r\n\x1a\n") & self._starts(b"IHDR", at=12)

    @property
    def is_bmp(self) -> Tensor:
        """Whether the file begins as a BMP does."""
        return self._starts(b"BM")

    @property
    def is_webp(self) -> Tensor:
        """Whether the file begins as a WebP does whose first chunk says its size."""
        return self._starts(b"RIFF") & self._starts(b"WEBPVP8", at=8)

    @property
    def is_animated_webp(self) -> Tensor:
        """Whether a WebP says that it is animated."""
        return self._is_extended & (self.numbers[20] // 2 % 2 == 1)

    @property
    def has_webp_alpha(self) -> Tensor:
        """Whether a WebP says that it has transparency."""
        in_lossless = self._starts(b"L", at=15) & (self.numbers[24] // 16 % 2 == 1)
        return in_lossless | (self._is_extended & (self.numbers[20] // 16 % 2 == 1))

    @property
    def bmp_bits(self) -> Tensor:
        """Bits for each pixel of a BMP."""
        return self._number(28, 2)

    @property
    def size(self) -> Tensor:
        """Height and width in pixels, int64 (2,); 1 x 1 for other formats. Fails for a JPEG with a broken header."""
        png = [self._big(20), self._big(16)]
        bmp = [self._signed(22), self._signed(18)]
        size = tf.where(self.is_png, tf.stack(png), tf.ones(2, tf.int64))
        size = tf.where(self.is_bmp, tf.abs(tf.stack(bmp)), size)
        size = tf.where(self.is_webp, tf.stack(self._webp_size()), size)
        return tf.cond(
            self.is_jpeg, lambda: tf.cast(tf.io.extract_jpeg_shape(self.contents)[:2], tf.int64), lambda: size
        )

    @property
    def _is_extended(self) -> Tensor:
        return self._starts(b"X", at=15)

    def _webp_size(self) -> list[Tensor]:
        """Source: RFC 9649, sections 2.7 (VP8X), 3.4 (VP8L), and RFC 6386, section 9.1 (VP8)."""
        extended = [self._number(27, 3) + 1, self._number(24, 3) + 1]
        bits = self._number(21, 4)
        lossless = [bits // 0x4000 % 0x4000 + 1, bits % 0x4000 + 1]
        lossy = [self._number(28, 2) % 0x4000, self._number(26, 2) % 0x4000]
        return [
            tf.where(self._is_extended, first, tf.where(self._starts(b"L", at=15), second, third))
            for first, second, third in zip(extended, lossless, lossy, strict=True)
        ]

    def _starts(self, wanted: bytes, *, at: int = 0) -> Tensor:
        return tf.reduce_all(self.numbers[at : at + len(wanted)] == tf.constant(list(wanted), tf.int64))

    def _number(self, at: int, count: int) -> Tensor:
        """Little end first, without sign."""
        places = tf.constant([256**place for place in range(count)], tf.int64)
        return tf.reduce_sum(self.numbers[at : at + count] * places)

    def _big(self, at: int) -> Tensor:
        """Four bytes, big end first, without sign."""
        return tf.reduce_sum(self.numbers[at : at + 4] * tf.constant([1 << 24, 1 << 16, 1 << 8, 1], tf.int64))

    def _signed(self, at: int) -> Tensor:
        """Four bytes, little end first."""
        number = self._number(at, 4)
        return tf.where(number >= 1 << 31, number - (1 << 32), number)
