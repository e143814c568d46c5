"""TensorFlow Serving's JSON of a predict request, as an array or as image files.

Row form: {"instances": [...]}, one element for each image; column form: {"inputs": ...}. Both take the bare value, or
an object with the input's name. Bytes are {"b64": "..."}; a bare string is its UTF-8.

Source: https://www.tensorflow.org/tfx/serving/api_rest and tensorflow/serving util/json_tensor.cc.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from effnet.serving.errors import Refused
from effnet.serving.limits import Limits
from effnet.serving.numbers import check_count, read_numbers
from effnet.serving.signatures import DEFAULT, Signature

_EXAMPLE = '{"signature_name": "classify_bytes", "instances": [{"b64": "..."}]}'
Images = Sequence[bytes] | NDArray[np.float32]


class Form(Enum):
    """How the request is laid out, and so its answer."""

    ROWS = "predictions"
    COLUMNS = "outputs"


@dataclass(frozen=True, kw_only=True)
class Call:
    """A predict request that was understood."""

    signature: str
    form: Form
    images: Images
    """Image files, or an array (N, H, W, C)."""


def parse(body: bytes | bytearray, signatures: Mapping[str, Signature], limits: Limits) -> Call:
    """The request in a body. Raises `Refused`, saying what was expected and what was found."""
    _check_lists(body, limits)
    document = _object(body)
    name = document.get("signature_name", DEFAULT)
    if not isinstance(name, str):
        raise Refused(f"Expected 'signature_name' to be a string, found {_kind(name)}.")
    name = name or DEFAULT
    if name not in signatures:
        raise Refused(
            f'Serving signature name: "{_short(name)}" not found in signature def. '
            f"Expected one of {', '.join(sorted(signatures))}."
        )
    signature = signatures[name]
    form, value = _form(document, signature)
    if signature.takes_bytes:
        return Call(signature=name, form=form, images=_files(value, signature, limits))
    # Every key and the signature's name stand in two quotes; more of them, and there are strings elsewhere.
    texts = len(document) + ("signature_name" in document) + _names(document)
    suspicious = body.count(b'"') != 2 * texts or b"true" in body or b"false" in body
    return Call(signature=name, form=form, images=read_numbers(value, signature, limits, suspicious=suspicious))


def _check_lists(body: bytes | bytearray, limits: Limits) -> None:
    """Before they are made: a list takes 20 times as much memory as its brackets."""
    count = body.count(b"[") + body.count(b"{")
    if count > limits.lists:
        raise Refused(
            f"Found {count:,} lists and objects in a request; at most {limits.lists:,} are read, one for each pixel. "
            f"Send fewer images at a time, or files: {_EXAMPLE}."
        )


def _names(document: dict[str, Any]) -> int:
    """How often the input's name stands before its value."""
    rows = document.get("instances", [document.get("inputs")])
    return sum(isinstance(row, dict) for row in rows)


def _object(body: bytes | bytearray) -> dict[str, Any]:
    if not body:
        raise Refused(f"JSON Parse error: The document is empty. Expected an object such as {_EXAMPLE}.")
    try:
        document = from_json(body)
    # Also for digits without end and nesting without end.
    except (ValueError, RecursionError, OverflowError) as error:
        raise Refused(f"JSON Parse error: {_short(str(error))}. Expected an object such as {_EXAMPLE}.") from None
    if not isinstance(document, dict):
        raise Refused(f"The document is {_kind(document)}; expected an object such as {_EXAMPLE}.")
    return cast("dict[str, Any]", document)


def _form(document: dict[str, Any], signature: Signature) -> tuple[Form, Any]:
    """The form and the value of the one input, a list of rows where it can be."""
    if "instances" in document and "inputs" in document:
        raise Refused("Expected only one of 'inputs' or 'instances' keys to exist, found both.")
    if "instances" in document:
        rows = document["instances"]
        if not isinstance(rows, list):
            raise Refused(f"Expected 'instances' to be a list with an element for each image, found {_kind(rows)}.")
        if not rows:
            raise Refused("No values in 'instances' array. Expected an element for each image.")
        return Form.ROWS, _unnamed_rows(cast("list[Any]", rows), signature.input_name)
    if "inputs" in document:
        return Form.COLUMNS, _unnamed_column(document["inputs"], signature.input_name)
    raise Refused(f"Missing 'inputs' or 'instances' key. Expected an object such as {_EXAMPLE}.")


def _unnamed_column(value: Any, name: str) -> Any:
    if isinstance(value, dict) and not _is_b64(cast("dict[str, Any]", value)):
        return _named(cast("dict[str, Any]", value), name, "'inputs'")
    return cast("Any", value)


def _unnamed_rows(rows: list[Any], name: str) -> list[Any]:
    are_objects = [isinstance(row, dict) and not _is_b64(cast("dict[str, Any]", row)) for row in rows]
    if not any(are_objects):
        return rows
    if not all(are_objects):
        index = are_objects.index(not are_objects[0])
        raise Refused(
            f"'instances' holds objects and plain values: element {index} is {_kind(rows[index])}. "
            f'Expected {{"{name}": ...}} for every image, or the value alone for every image.'
        )
    return [_named(row, name, f"element {index} of 'instances'") for index, row in enumerate(rows)]


def _named(value: dict[str, Any], name: str, where: str) -> Any:
    if set(value) != {name}:
        found = ", ".join(sorted(map(_short, value))[:8]) or "none"
        raise Refused(f"Expected the keys of {where} to be: {name}; found {found}.")
    return value[name]


def _files(value: Any, signature: Signature, limits: Limits) -> list[bytes]:
    name = signature.input_name
    if not isinstance(value, list):
        raise Refused(
            f'Expected {name} to be a list with {{"b64": "..."}} for each image, shape (N,), found {_kind(value)}.'
        )
    rows = cast("list[Any]", value)
    check_count(len(rows), limits)
    return [_bytes(row, index) for index, row in enumerate(rows)]


def _bytes(value: Any, index: int) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", errors="surrogatepass")
    if not isinstance(value, dict) or not _is_b64(cast("dict[str, Any]", value)):
        raise Refused(f'Image {index} is {_kind(value)}; expected the file as {{"b64": "..."}}.')
    text = cast("dict[str, str]", value)["b64"]
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except ValueError as error:
        raise Refused(
            f"Image {index}: unable to base64 decode: {error}. Expected the standard alphabet (+ and /) without spaces."
        ) from None


def _is_b64(value: dict[str, Any]) -> bool:
    return len(value) == 1 and isinstance(value.get("b64"), str)


def _kind(value: Any) -> str:
    """A JSON value for a message, without what a client may have put into it."""
    names: list[tuple[type, str]] = [
        (bool, "true or false"),
        (int, "a number"),
        (float, "a number"),
        (str, "a string"),
        (list, "a list"),
        (dict, "an object"),
    ]
    return next((name for kind, name in names if isinstance(value, kind)), "null")


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}..."
