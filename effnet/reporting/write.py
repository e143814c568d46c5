"""A report of a comparison, written as a page (.html) or as JSON (.json)."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

from converters.errors import OutputError
from converters.formats.staging import StagedFile, check_output
from effnet.backends import Network
from effnet.errors import MissingFramework, install_command
from effnet.reporting.content import Report, content, document

_PAGE, _DOCUMENT = ".html", ".json"
_PACKAGES = ("jinja2", "matplotlib")


def check_report(path: Path, *, overwrite: bool) -> None:
    """Refuse before anything is computed what could not be written.

    Raises `OutputError` for another ending, for an output that exists and is not to be overwritten and for a folder
    that does not, and `MissingFramework` where a page is wanted and its libraries are not installed.
    """
    if path.suffix.lower() not in (_PAGE, _DOCUMENT):
        raise OutputError(f"{path} is to be a report; expected a name that ends with {_PAGE} or {_DOCUMENT}.")
    check_output(path, overwrite=overwrite)
    missing = [package for package in _PACKAGES if find_spec(package) is None]
    if missing and path.suffix.lower() == _PAGE:
        raise MissingFramework(
            f"A report as a page needs {' and '.join(missing)}. Install them, in the checkout: "
            f"{install_command('report')}. "
            f"A report with the ending {_DOCUMENT} needs neither."
        )


def write_report(
    report: Report,
    path: str | Path,
    *,
    networks: tuple[Network, Network] | None = None,
    command: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a comparison as one page for people (`.html`) or one document for programs (`.json`), whole or not at all.

    `report` is what `effnet.parity` gave, `effnet.exact_parity` or `effnet.training_parity`; with the `keep_outputs` of
    the first, the last layer is drawn or listed too. `networks` are the two that were compared, whose weights' digests
    are then named; `command` is what repeats it. docs/reports.md has the fields of the document.

    Raises `OutputError` for another ending, an output that exists, or where the disk refuses, and `MissingFramework`
    for a page without the libraries of `effnet[report]`.
    """
    target = Path(path)
    check_report(target, overwrite=overwrite)
    found = content(report, networks=networks, command=command)
    if target.suffix.lower() == _PAGE:
        from effnet.reporting.page import page

        text = page(found)
    else:
        text = json.dumps(document(found), indent=1, allow_nan=False) + "\n"
    with StagedFile(target, overwrite=overwrite, sync=False) as staged:
        staged.write(text.encode("utf-8", errors="replace"))
        staged.commit()
    return target
