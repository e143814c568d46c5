"""The numbers that TensorFlow gives to types of elements.

Source: tensorflow/core/framework/types.proto.
"""

from __future__ import annotations

from converters.formats.dtypes import Dtypes

STRING = 7

NUMERIC = Dtypes(
    {
        1: "<f4",
        2: "<f8",
        3: "<i4",
        4: "u1",
        5: "<i2",
        6: "i1",
        8: "<c8",
        9: "<i8",
        10: "?",
        14: "bfloat16",
        17: "<u2",
        18: "<c16",
        19: "<f2",
        22: "<u4",
        23: "<u8",
    }
)

_REASONS = {
    STRING: "text, not numbers",
    11: "quantised integers (qint8), whose scale is not stored with them",
    12: "quantised integers (quint8), whose scale is not stored with them",
    13: "quantised integers (qint32), whose scale is not stored with them",
    15: "quantised integers (qint16), whose scale is not stored with them",
    16: "quantised integers (quint16), whose scale is not stored with them",
    20: "a handle of a resource, not numbers",
    21: "a variant (any object of TensorFlow), not numbers",
}


def why_not_numeric(number: int) -> str:
    """Why an entry of that type is no array that can be read."""
    return _REASONS.get(number, f"elements of TensorFlow's type number {number}, which is not read here")
