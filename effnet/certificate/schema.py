"""A certificate as values, and as the JSON that stands beside a converted file."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from converters import Adaptation, SourceOptions
from converters.convert import DTYPES
from effnet.choices import Backend, Device
from effnet.environment import Environment
from effnet.errors import InvalidCertificate
from effnet.files import check_regular
from effnet.plain import plain
from effnet_core import InvalidSpec
from effnet_core.serialization import as_values, built

KIND = "effnet certificate"
VERSION = 1
ENDING = ".certificate.json"
_MOST_PIXELS = 1 << 20
"""Of all images of an input; `effnet convert --verify` gives two of 64 x 64."""
_IMAGE_AXES = 4
_LARGEST = 256 << 20
"""Bytes; the numbers of the last layer are the most of it, and a certificate of 1000 classes has 0.1 MB."""


@dataclass(frozen=True, kw_only=True)
class FileDigest:
    """A file, byte for byte."""

    path: str
    """From the folder of the certificate, with `/` between names; the name alone for a fetched checkpoint."""
    size: int
    """Bytes."""
    sha256: str


@dataclass(frozen=True, kw_only=True)
class LayerOutput:
    """What one network gave at one endpoint in float64, in a few numbers; None where it is not finite."""

    name: str
    largest: float | None
    """Largest |value|."""
    mean: float | None
    norm: float | None
    """Square root of the sum of squares."""


@dataclass(frozen=True, kw_only=True)
class LastOutput:
    """What one network gave at its last endpoint in float64, every number."""

    name: str
    values: tuple[tuple[float | None, ...], ...]
    """(N, numbers of one image); None where one is not finite."""


@dataclass(frozen=True, kw_only=True)
class CertifiedNetwork:
    """One side of the comparison: its file, its weights, and what they computed."""

    name: str
    """As it was named."""
    path: str | None
    """From the folder of the certificate, with `/` between names; None for a fetched checkpoint."""
    files: tuple[FileDigest, ...]
    format: str
    dialect: str
    options: SourceOptions
    """What was said about the file when it was read."""
    weights: str
    """Digest of the weights in the file (docs/digest.md)."""
    backend: Backend
    """The framework that ran it."""
    notes: tuple[str, ...]
    layers: tuple[LayerOutput, ...]
    last: LastOutput


@dataclass(frozen=True, kw_only=True)
class CertifiedInput:
    """What both networks were given: numpy's `default_rng(seed).standard_normal`, float32, (N, H, W, C)."""

    seed: int
    shape: tuple[int, ...]
    sha256: str
    """Of the numbers, little-endian, in C order."""


@dataclass(frozen=True, kw_only=True)
class CertifiedDistance:
    """How far two arrays are apart; None where one of them is not finite."""

    max_abs: float | None
    relative: float | None
    """max_abs as a part of the largest |value|."""
    relative_l2: float | None


@dataclass(frozen=True, kw_only=True)
class CertifiedLayer:
    """One endpoint of source and result, compared."""

    name: str
    shape: tuple[int, ...]
    largest: float | None
    """Largest |value| of both in float64."""
    float64: CertifiedDistance
    float32: CertifiedDistance
    own_source: CertifiedDistance
    """From the source's float32 to its float64."""
    own_result: CertifiedDistance
    agrees: bool


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What was converted, what was compared, and how it came out."""

    kind: str = KIND
    version: int = VERSION
    agrees: bool
    """Whether source and result compute the same, as the parity engine decides it."""
    verdict: tuple[str, ...]
    """The same in sentences."""
    first_difference: str | None
    created: str
    """ISO 8601, UTC."""
    commands: tuple[str, ...]
    """What repeats it."""
    rounded_to: str | None
    """The type that the weights were rounded to as they were written; the source was rounded likewise before it was
    run. None where every number was kept."""
    adaptation: Adaptation
    """How the network was changed on the way; the source was changed likewise before it was run."""
    notes: tuple[str, ...]
    """What was decided in reading, converting and comparing."""
    device: Device
    limit_float64: float
    """The largest |a - b| that counts as agreement, as a part of a layer's largest value."""
    limit_float32: float
    images: int
    same_argmax: int | None
    """Images whose largest logit is the same class on both sides in float32."""
    source: CertifiedNetwork
    result: CertifiedNetwork
    input: CertifiedInput
    layers: tuple[CertifiedLayer, ...]
    environment: Environment


def certificate_path(target: Path) -> Path:
    """Where the certificate of a converted file, prefix or folder stands: beside it, never in it."""
    name = target.name.removesuffix(".index")
    return target.parent / (name + ENDING)


def to_text(certificate: Certificate) -> str:
    """The JSON of a certificate."""
    return json.dumps(plain(as_values(certificate)), indent=1, allow_nan=False) + "\n"


def read_certificate(path: str | Path) -> Certificate:
    """The certificate in a file. Raises `InvalidCertificate` for a file that cannot be read or holds something else."""
    where = Path(path)
    try:
        check_regular(where)
        if where.stat().st_size > _LARGEST:
            raise OSError(f"it has more than {_LARGEST >> 20} MB")
        text = where.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InvalidCertificate(
            f"{where} cannot be read: {reason}. Expected a certificate, as `effnet convert --verify` writes it."
        ) from None
    return _parsed(where, text)


def _parsed(path: Path, text: str) -> Certificate:
    try:
        document: Any = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidCertificate(
            f"{path} holds no JSON: {error}. Expected a certificate; write it again with `effnet convert --verify`."
        ) from None
    if not isinstance(document, dict) or cast("dict[str, Any]", document).get("kind") != KIND:
        raise InvalidCertificate(
            f"{path} is no certificate: expected an object whose 'kind' is {KIND!r}, as `effnet convert --verify` "
            "writes it."
        )
    found = cast("dict[str, Any]", document)
    if found.get("version") != VERSION:
        raise InvalidCertificate(
            f"{path} is a certificate of version {found.get('version')!r}; expected version {VERSION}. Read it with "
            "the effnet that wrote it, or convert again with --verify."
        )
    try:
        return _checked(cast("Certificate", built(Certificate, found, "certificate")))
    except (InvalidSpec, RecursionError) as error:
        raise InvalidCertificate(
            f"{path} is a damaged certificate: {error} Write it again with `effnet convert --verify`."
        ) from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it holds {name}, and a number that is not finite is null in a certificate")


def _checked(certificate: Certificate) -> Certificate:
    """The certificate, if it can be repeated: its input drawn again, its source rounded. Raises `InvalidSpec`."""
    shape, seed = certificate.input.shape, certificate.input.seed
    if len(shape) != _IMAGE_AXES or min(shape) < 1 or shape[1] != shape[2] or math.prod(shape[:3]) > _MOST_PIXELS:
        raise InvalidSpec(
            f"certificate.input.shape is {list(shape)}; expected N, height, width and channels of square images with "
            f"at most {_MOST_PIXELS} pixels in all."
        )
    if seed < 0:
        raise InvalidSpec(f"certificate.input.seed is {seed}; expected a number from 0 on.")
    if certificate.rounded_to not in (None, *DTYPES):
        raise InvalidSpec(
            f"certificate.rounded_to is {certificate.rounded_to!r}; expected null or one of {', '.join(DTYPES)}."
        )
    if not certificate.verdict:
        raise InvalidSpec("certificate.verdict is empty; expected at least one sentence.")
    return certificate
