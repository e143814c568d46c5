"""Keys of the slices of a partitioned tensor: bytes that sort like what they encode.

Source: tensorflow/core/lib/strings/ordered_code.cc; EncodeTensorNameSlice in core/util/saved_tensor_slice_util.cc.
"""

from __future__ import annotations

from converters.formats._bundle.messages import TensorSlice

SLICE_KEY_PREFIX = b"\x00"
"""The number 0, with which every slice key begins and no name of a tensor does."""
_WHOLE_AXIS = -1
_LONGEST_SIGNED = 10
_ESCAPED = {0x00: b"\x00\xff", 0xFF: b"\xff\x00"}


def tensor_prefix(name: bytes) -> bytes:
    """What the keys of all slices of a tensor begin with: 0 and the name."""
    return SLICE_KEY_PREFIX + encode_string(name)


def encode_slice(part: TensorSlice) -> bytes:
    """The number of axes, then start and length on each axis."""
    extents = b"".join(
        encode_signed(extent.start) + encode_signed(_WHOLE_AXIS if extent.length is None else extent.length)
        for extent in part
    )
    return encode_number(len(part)) + extents


def encode_number(value: int) -> bytes:
    """An unsigned number: how many bytes, then the bytes, highest first."""
    size = (value.bit_length() + 7) // 8
    return bytes([size]) + value.to_bytes(size, "big")


def encode_string(text: bytes) -> bytes:
    """A text that ends with 00 01; its own bytes 00 and ff become 00 ff and ff 00."""
    return b"".join(_ESCAPED.get(byte, bytes([byte])) for byte in text) + b"\x00\x01"


def encode_signed(value: int) -> bytes:
    """A number of 64 bits with sign: its length in leading ones (in zeros when negative), then two's complement."""
    magnitude_bits = (~value if value < 0 else value).bit_length()
    length = magnitude_bits // 7 + 1
    out = bytearray(value.to_bytes(_LONGEST_SIGNED, "big", signed=True)[-length:])
    # `length` ones, then zeros, as the first two bytes: these bits are flipped in the sign-extended number.
    header = ((1 << length) - 1) << (16 - length)
    out[0] ^= header >> 8
    if length > 1:
        out[1] ^= header & 0xFF
    return bytes(out)
