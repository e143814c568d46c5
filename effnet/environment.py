"""What a result was computed with: versions, the machine, its processor."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from effnet import __version__

_PACKAGES = ("numpy", "ml-dtypes", "h5py", "torch", "tensorflow", "tensorflow-cpu", "keras")
_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, kw_only=True)
class Package:
    """A library and its version."""

    name: str
    version: str


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What computed the numbers."""

    effnet: str
    """Version of this project."""
    python: str
    platform: str
    """Operating system, its release and the kind of machine."""
    cpu: str
    """The processor's own name, where the system tells it."""
    packages: tuple[Package, ...]
    """The libraries that take part and are installed, frameworks among them."""


def environment() -> Environment:
    """The environment of this process."""
    return Environment(
        effnet=__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=_processor(),
        packages=installed(_PACKAGES),
    )


def installed(names: Iterable[str]) -> tuple[Package, ...]:
    """Those of these libraries that are installed, with their versions."""
    return tuple(found for name in names if (found := _package(name)) is not None)


def _package(name: str) -> Package | None:
    try:
        return Package(name=name, version=version(name))
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
