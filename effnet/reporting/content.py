"""What a report of a comparison says, whatever it is written as."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from converters import state_digest
from effnet.backends import Network
from effnet.environment import Environment, environment
from effnet.parity_engine import exact_report, training_report
from effnet.parity_engine import report as plain_report
from effnet.parity_engine.compare import Array
from effnet.parity_engine.exact import ExactReport
from effnet.parity_engine.run import ParityReport
from effnet.parity_engine.training import TrainingReport
from effnet.plain import plain

Report = ParityReport | ExactReport | TrainingReport
KINDS = {
    ParityReport: "effnet parity report",
    ExactReport: "effnet exact parity report",
    TrainingReport: "effnet training parity report",
}
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class LastLayer:
    """What both networks gave at the last endpoint that was compared; (N, C) or (N, H, W, C)."""

    name: str
    a_float32: Array
    a_float64: Array
    b_float32: Array
    b_float64: Array


@dataclass(frozen=True, kw_only=True)
class Content:
    """A comparison and what is to be known to judge and repeat it."""

    report: Report
    last: LastLayer | None
    """Of an ordinary comparison; None where the outputs were not kept."""
    weights: tuple[str, str] | None
    """Digests of the weights of a and b; None where the networks are not at hand."""
    environment: Environment
    created: str
    """ISO 8601, UTC."""
    command: str | None
    """What repeats it."""


def content(report: Report, *, networks: tuple[Network, Network] | None = None, command: str | None = None) -> Content:
    """Put together what a report says. `networks` are those that were compared."""
    return Content(
        report=report,
        last=_last(report) if isinstance(report, ParityReport) else None,
        weights=None if networks is None else (_weights(networks[0]), _weights(networks[1])),
        environment=environment(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
    )


def document(found: Content) -> dict[str, Any]:
    """The report for JSON; docs/reports.md has its fields. NaN and infinities become None."""
    return {
        "kind": KINDS[type(found.report)],
        "version": VERSION,
        **_of_kind(found),
        "weights": None if found.weights is None else dict(zip("ab", found.weights, strict=True)),
        "environment": plain(found.environment),
        "created": found.created,
        "command": found.command,
    }


def _of_kind(found: Content) -> dict[str, Any]:
    report, last = found.report, found.last
    match report:
        case ExactReport():
            return {"verdict": exact_report.verdict(report), **exact_report.document(report)}
        case TrainingReport():
            return {"verdict": training_report.verdict(report), **training_report.document(report)}
        case ParityReport():
            verdict = plain_report.verdict(report.comparison)
            numbers = None if last is None else _numbers(last)
            return {"verdict": verdict, **plain_report.document(report), "last": numbers}


def _numbers(last: LastLayer) -> dict[str, Any]:
    return {
        "name": last.name,
        "a": {"float32": plain(last.a_float32.tolist()), "float64": plain(last.a_float64.tolist())},
        "b": {"float32": plain(last.b_float32.tolist()), "float64": plain(last.b_float64.tolist())},
    }


def _weights(network: Network) -> str:
    return state_digest(network.state).value


def _last(report: ParityReport) -> LastLayer | None:
    if report.outputs is None:
        return None
    a, b = report.outputs
    name = report.comparison.layers[-1].name
    return LastLayer(
        name=name,
        a_float32=a.float32[name],
        a_float64=a.float64[name],
        b_float32=b.float32[name],
        b_float64=b.float64[name],
    )
