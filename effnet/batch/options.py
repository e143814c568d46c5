"""How many images are run: what a user can say about it, and what follows from that for one network."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from converters.errors import counted
from effnet.backends import Network
from effnet.choices import Backend, Device, Engine, Precision
from effnet.errors import InputError
from effnet.isolation.decision import facts, known_crash
from effnet.loading import usual_backend
from effnet.prediction import classifier_of
from effnet_core import InvalidOption

BATCHES_IN_PART = 8
"""Batches that are written together: what a killed process loses, and what a worker of Ray gets at a time."""
USUAL_WORKERS = 2
"""Of Ray, where no number is given."""
_MOST_THREADS = 8


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """How to run many images.

    Raises `InvalidOption` for numbers below 1, and for workers or a cluster without the engine ray.
    """

    backend: Backend | str | None = None
    """None: the framework that the checkpoint belongs to, as in `predict`."""
    parity: Backend | str | None = None
    """A second framework, which runs the same batches; the two are compared."""
    dtype: Precision | str = Precision.FLOAT32
    device: Device | str = Device.CPU
    top: int = 5
    """Classes in a row of the table."""
    batch: int = 32
    """Images that go through the network together. Beside them, as many are decoded or waiting."""
    threads: int | None = None
    """That decode ahead of the network; None: one for each processor, at most 8."""
    limit: int | None = None
    """So many of the images, evenly spread over all; None: all."""
    strict: bool = False
    """The first image that cannot be classified stops everything; else it gets a row with the reason."""
    engine: Engine | str = Engine.LOCAL
    workers: int | None = None
    """Ray's; each loads the network. None: two."""
    ray_address: str | None = None
    """Of a cluster, as `ray.init` takes it; None: workers on this machine."""

    def __post_init__(self) -> None:
        numbers = {
            "classes in a row (top)": self.top,
            "images in a batch": self.batch,
            "threads": self.threads,
            "images (limit)": self.limit,
            "workers": self.workers,
        }
        for name, number in numbers.items():
            if number is not None and number < 1:
                raise InvalidOption(f"{number} {name} are asked for; expected at least 1.")
        if self.workers is not None and Engine(self.engine) is not Engine.RAY:
            raise InvalidOption(
                f"Workers are asked for ({self.workers}), and the engine is {self.engine}, which has none. Choose "
                "--engine ray (engine='ray'), or leave --workers (workers=) out."
            )
        if self.ray_address is not None and Engine(self.engine) is not Engine.RAY:
            raise InvalidOption(
                f"A Ray cluster is named ({self.ray_address}), and the engine is {self.engine}. Choose --engine ray "
                "(engine='ray'), or name no cluster."
            )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a worker needs: plain values, so that it can be sent to another process."""

    network: Network = field(repr=False)
    backend: Backend
    parity: Backend | None
    precision: Precision
    device: Device
    top: int
    batch: int
    threads: int
    label_offset: int
    num_classes: int
    explained: float | None = None
    """Relative L2 by which rounding parts the two backends; None where there is one backend."""

    @property
    def part(self) -> int:
        """Images that are written together."""
        return self.batch * BATCHES_IN_PART


def make_plan(network: Network, options: BatchOptions) -> Plan:
    """The options settled for a network.

    Raises `InvalidOption` where they contradict each other or the network has no classifier, `InputError` for a
    network that takes no images.
    """
    named, second = (None if one is None else Backend(one) for one in (options.backend, options.parity))
    precision, device = Precision(options.dtype), Device(options.device)
    classifier = classifier_of(network)
    if network.spec.stem.in_channels != 3:
        channels = counted(network.spec.stem.in_channels, "channel")
        raise InputError(f"The network takes {channels}, and images have 3.")
    backend = usual_backend(network) if named is None else named
    if second is not None:
        _check_pair(backend, second, precision)
    return Plan(
        network=network,
        backend=backend,
        parity=second,
        precision=precision,
        device=device,
        top=min(options.top, classifier.num_classes),
        batch=options.batch,
        threads=options.threads or min(_MOST_THREADS, os.cpu_count() or 1),
        label_offset=classifier.label_offset,
        num_classes=classifier.num_classes,
    )


def _check_pair(backend: Backend, second: Backend, precision: Precision) -> None:
    if backend is second:
        raise InvalidOption(
            f"Both backends are {backend}, which says nothing; expected two. Name the first with --backend "
            f"(backend=), the second with --parity (parity=)."
        )
    if precision is not Precision.FLOAT32:
        raise InvalidOption(
            f"Parity is asked for in {precision}; expected float32, whose rounding the comparison measures by float64."
        )
    crash = known_crash([backend, second], facts())
    if crash is not None:
        raise InvalidOption(f"{crash} Start a fresh process, and import nothing of TensorFlow in it before.")
