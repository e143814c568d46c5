"""The pytest plugin: fixtures and options for comparisons of models.

Every pytest of an environment loads it, so that it imports nothing else of this package until a fixture is used.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

_WORDS = re.compile(r"[^\w.-]+")
_LONGEST = 120
"""Characters of a report's name; file systems allow about 255 bytes."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Two options."""
    group = parser.getgroup("effnet", "comparisons of models")
    group.addoption(
        "--effnet-report",
        metavar="DIR",
        type=Path,
        help="write the whole comparison of every failing assert_parity into this folder, as text and as JSON",
    )
    group.addoption(
        "--effnet-device", choices=("cpu", "cuda"), default="cpu", help="where the fixture effnet_parity runs models"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a folder for reports that cannot be one, before any test runs."""
    folder: Path | None = config.getoption("--effnet-report")
    if folder is not None and folder.exists() and not folder.is_dir():
        raise pytest.UsageError(f"--effnet-report {folder} is a file; expected a folder.")


@pytest.fixture
def effnet_device(request: pytest.FixtureRequest) -> str:
    """The device of --effnet-device: cpu or cuda."""
    return str(request.config.getoption("--effnet-device"))


@pytest.fixture
def effnet_parity(effnet_device: str) -> Callable[..., Any]:
    """`effnet.testing.assert_parity` on the device of --effnet-device."""
    from effnet.testing.parity import assert_parity

    return partial(assert_parity, device=effnet_device)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write the comparison that failed, if one did, and say where."""
    report = yield
    folder: Path | None = item.config.getoption("--effnet-report")
    result = sys.modules.get("effnet.testing.result")
    failure: Any = None if call.excinfo is None else call.excinfo.value
    if folder is None or result is None or not isinstance(failure, result.ParityError):
        return report
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_file_name(item.nodeid)}.{call.when}"
    found: Any = failure.result
    document = json.dumps(found.document(), indent=2, allow_nan=False)
    Path(f"{path}.json").write_text(f"{document}\n", "utf-8")
    Path(f"{path}.txt").write_text(f"{found}\n", "utf-8")
    report.sections.append(("effnet", f"The whole comparison: {path}.json and {path}.txt"))
    return report


def _file_name(test: str) -> str:
    """A name for files; where it does not hold the whole name of the test, a number keeps others apart."""
    plain = test.replace("::", "_").replace("/", "_")
    name = _WORDS.sub("_", plain).strip("_")
    if name == plain and len(name) <= _LONGEST:
        return name
    return f"{name[:_LONGEST]}-{crc32(test.encode()):08x}"
