"""Both networks of a comparison, in this process or each in one of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from effnet.backends import Network, runner
from effnet.choices import Backend, Device, Isolation, Precision
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
class Apart:
    """A process for each of the two."""

    workers: tuple[Worker, Worker]
    reason: str
    """A sentence."""

    @property
    def note(self) -> str:
        """What a report says about it."""
        return f"Each network ran in a process of its own. {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Processes:
    """Whether each network runs in a process of its own, and in which."""

    isolation: Isolation = Isolation.AUTO
    a_python: Path | None = None
    """Python of the environment that runs A; None: the one of this process."""
    b_python: Path | None = None
    time_limit: float = TIME_LIMIT
    """Seconds for each network."""


def workers(networks: tuple[Network, Network], backends: tuple[Backend, Backend], processes: Processes) -> Apart | None:
    """Who runs them; None: this process.

    Raises `InvalidOption` for another Python without isolation, and `SeparateProcessFailed` for one that is none.
    """
    pythons = (processes.a_python, processes.b_python)
    other = any(python is not None for python in pythons)
    decision = decide(processes.isolation, backends, facts(), has_other_python=other)
    if not decision.separate:
        return None
    a, b = (
        Worker(title=f"{letter} ({network.name}) in {TITLES[backend]}", python=python, time_limit=processes.time_limit)
        for letter, network, backend, python in zip("AB", networks, backends, pythons, strict=True)
    )
    check_python(a)
    check_python(b)
    return Apart(workers=(a, b), reason=decision.reason)


Again = Callable[[Network, Array, tuple[str, ...]], Mapping[str, Array]]
"""Another network and input, run as the first one was: the endpoints that are named, in float64."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What both gave."""

    a: Outputs
    b: Outputs
    notes: tuple[str, ...]
    """That they ran in processes of their own, and why."""
    again_a: Again
    again_b: Again


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
    processes = Processes(isolation=isolation, a_python=a.python, b_python=b.python, time_limit=time_limit)
    apart = workers((a.network, b.network), (a.backend, b.backend), processes)
    if apart is None:
        import_frameworks([a.backend, b.backend])
        here = [run(side.network, batch, backend=side.backend, device=device, names=names) for side in (a, b)]
        again = [_again_here(side, device) for side in (a, b)]
        return Ran(a=here[0], b=here[1], notes=(), again_a=again[0], again_b=again[1])
    found = [
        _asked(worker, side.network, batch, backend=side.backend, device=device, names=names)
        for worker, side in zip(apart.workers, (a, b), strict=True)
    ]
    return Ran(
        a=found[0],
        b=found[1],
        notes=(apart.note,),
        again_a=_again_in_worker(apart.workers[0], a, device),
        again_b=_again_in_worker(apart.workers[1], b, device),
    )


def _again_here(side: Running, device: Device) -> Again:
    def again(network: Network, batch: Array, names: tuple[str, ...]) -> Mapping[str, Array]:
        precision = Precision.FLOAT64
        with runner(network, endpoints=names, backend=side.backend, precision=precision, device=device) as forward:
            return forward(batch)

    return again


def _again_in_worker(worker: Worker, side: Running, device: Device) -> Again:
    def again(network: Network, batch: Array, names: tuple[str, ...]) -> Mapping[str, Array]:
        return _asked(worker, network, batch, backend=side.backend, device=device, names=names).float64

    return again


def _asked(
    worker: Worker, network: Network, batch: Array, *, backend: Backend, device: Device, names: tuple[str, ...]
) -> Outputs:
    return separate.outputs(
        ask(worker, *separate.request(network, batch, backend=backend, device=device, names=names))[1]
    )
