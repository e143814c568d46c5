"""Both networks of a comparison, in this process or each in one of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from effnet.backends import Network
from effnet.choices import Backend, Device, Isolation
from effnet.frameworks import TITLES, import_frameworks
from effnet.isolation import network as separate
from effnet.isolation.decision import decide, facts
from effnet.isolation.process import TIME_LIMIT, Worker, ask, check_python
from effnet.parity_engine.compare import Array, Outputs
from effnet.parity_engine.forward import run


@dataclass(frozen=True, kw_only=True)
class Running:
    """A network and what runs it."""

    network: Network
    backend: Backend
    python: Path | None
    """None: the Python of this process."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What both gave."""

    a: Outputs
    b: Outputs
    notes: tuple[str, ...]
    """That they ran in processes of their own, and why."""


def run_pair(
    a: Running,
    b: Running,
    batch: Array,
    *,
    device: Device,
    names: tuple[str, ...],
    isolation: Isolation = Isolation.AUTO,
    time_limit: float = TIME_LIMIT,
) -> Ran:
    """The endpoints `names` of both in both precisions; (N, H, W, C) in, channels last out.

    Raises `InvalidOption` for another Python without isolation, `SeparateProcessFailed`, `MissingFramework` and
    `DeviceUnavailable`.
    """
    sides = {"A": a, "B": b}
    other = any(side.python is not None for side in sides.values())
    decision = decide(isolation, [a.backend, b.backend], facts(), has_other_python=other)
    if not decision.separate:
        import_frameworks([a.backend, b.backend])
        here = [run(side.network, batch, backend=side.backend, device=device, names=names) for side in (a, b)]
        return Ran(a=here[0], b=here[1], notes=())
    workers = {letter: _worker(letter, side, time_limit) for letter, side in sides.items()}
    for worker in workers.values():
        check_python(worker)
    found: list[Outputs] = []
    for letter, side in sides.items():
        request = separate.request(side.network, batch, backend=side.backend, device=device, names=names)
        found.append(separate.outputs(ask(workers[letter], *request)[1]))
    return Ran(a=found[0], b=found[1], notes=(f"Each network ran in a process of its own. {decision.reason}",))


def _worker(letter: str, side: Running, time_limit: float) -> Worker:
    title = f"{letter} ({side.network.name}) in {TITLES[side.backend]}"
    return Worker(title=title, python=side.python, time_limit=time_limit)
