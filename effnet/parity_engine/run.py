"""Two networks, the same input, both precisions: the whole measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import SourceOptions
from effnet.backends import Network
from effnet.choices import Backend, Device, Isolation
from effnet.frameworks import TITLES
from effnet.inputs import batches, check_array, classify, random_input
from effnet.isolation.process import TIME_LIMIT
from effnet.loading import HOME, load_network
from effnet.parity_engine.compare import Array, Comparison, Limits, Outputs, compare
from effnet.parity_engine.diagnosis import Diagnosis, Party, diagnose
from effnet.parity_engine.pair import Running, run_pair
from effnet.parity_engine.specs import check_comparable, common_endpoints
from effnet_core import NetworkSpec

_BATCH = 8
"""Images that are prepared at a time."""


@dataclass(frozen=True, kw_only=True)
class RandomInput:
    """Seeded N(0, 1) numbers.

    The side is even by default, because odd sides hide the difference between SAME and symmetric padding; 64 stays
    even down to the last stage.
    """

    images: int = 2
    size: int = 64
    """Height and width in pixels."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two networks and where it ran."""

    name: str
    network: str
    """Name of the variant."""
    format: str | None
    backend: Backend
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ParityReport:
    """The result of `parity`."""

    a: Side
    b: Side
    device: Device
    input: str
    """What both networks were given."""
    notes: tuple[str, ...]
    """What the definitions differ in, and whether the networks ran in processes of their own."""
    comparison: Comparison
    diagnosis: Diagnosis | None = None
    """What surrounds the first difference, and what explains it; None where there is none."""
    outputs: tuple[Outputs, Outputs] | None = field(default=None, repr=False, compare=False)
    """What both gave, where `parity` was asked to keep it."""

    @property
    def agrees(self) -> bool:
        """True when every layer agrees in both precisions."""
        return self.comparison.agrees


Given = RandomInput | NDArray[Any] | str | Path | Sequence[str | Path]


def parity(
    a: str | Path | Network,
    b: str | Path | Network,
    *,
    a_options: SourceOptions | None = None,
    b_options: SourceOptions | None = None,
    a_backend: Backend | str | None = None,
    b_backend: Backend | str | None = None,
    inputs: Given | None = None,
    device: Device | str = Device.CPU,
    limits: Limits | None = None,
    keep_outputs: bool = False,
    isolation: Isolation | str = Isolation.AUTO,
    a_python: str | Path | None = None,
    b_python: str | Path | None = None,
    time_limit: float = TIME_LIMIT,
) -> ParityReport:
    """Run two checkpoints, or networks in memory, on the same input and compare every named intermediate.

    A TensorFlow checkpoint and a Keras archive run in TensorFlow, a `.pth` in PyTorch, anything else as `a` in
    TensorFlow and as `b` in PyTorch, unless a backend is named. `inputs` is an array (N, H, W, C) of normalised
    images, a path or paths of images or of one `.npy`, or `RandomInput`. Images are prepared as the definition of
    `a` says. Where the two part, the usual causes (padding, epsilon, activation, moving averages,
    input normalisation) are tried out on either network, up to the first layer that differs; those that explain it are
    then run whole. `keep_outputs` leaves every intermediate result of both in the report, whose memory they take.

    Both run in this process, unless the frameworks are known to crash there, `isolation` is "always" or another Python
    is named for one of them (`a_python`, `b_python`: an interpreter whose environment has NumPy and the framework):
    then each runs in a process of its own, for `time_limit` seconds at most.

    Raises `IncomparableNetworks` for definitions without common intermediates, `InputError`, `InvalidOption`,
    `MissingFramework`, `DeviceUnavailable`, `SeparateProcessFailed`, and what `load_network` raises.
    """
    where, mode = Device(device), Isolation(isolation)
    named_a, named_b = (None if named is None else Backend(named) for named in (a_backend, b_backend))
    network_a, network_b = opened(a, a_options), opened(b, b_options)
    backend_a, backend_b = chosen_backends(network_a, network_b, named_a, named_b)
    notes = check_comparable(network_a.spec, network_b.spec)
    names = common_endpoints(network_a.spec, network_b.spec)
    batch, description = given_input(RandomInput() if inputs is None else inputs, network_a.spec)
    ran = run_pair(
        Running(network=network_a, backend=backend_a, python=None if a_python is None else Path(a_python)),
        Running(network=network_b, backend=backend_b, python=None if b_python is None else Path(b_python)),
        batch,
        device=where,
        names=names,
        isolation=mode,
        time_limit=time_limit,
    )
    comparison = compare(ran.a, ran.b, limits=limits)
    first = Party(letter="a", network=network_a, backend=backend_a, outputs=ran.a, again=ran.again_a)
    second = Party(letter="b", network=network_b, backend=backend_b, outputs=ran.b, again=ran.again_b)
    return ParityReport(
        a=side(network_a, backend_a),
        b=side(network_b, backend_b),
        device=where,
        input=description,
        notes=(*notes, *one_framework((backend_a, backend_b), (named_a, named_b)), *ran.notes),
        comparison=comparison,
        diagnosis=diagnose(comparison, first, second, batch),
        outputs=(ran.a, ran.b) if keep_outputs else None,
    )


def opened(given: str | Path | Network, options: SourceOptions | None) -> Network:
    """The network in memory."""
    return given if isinstance(given, Network) else load_network(given, options=options)


def chosen_backends(
    a: Network, b: Network, named_a: Backend | str | None, named_b: Backend | str | None
) -> tuple[Backend, Backend]:
    """Those that were named, else those that the files belong to, else TensorFlow for a and PyTorch for b."""
    return (
        _usual_backend(a, Backend.TF) if named_a is None else Backend(named_a),
        _usual_backend(b, Backend.TORCH) if named_b is None else Backend(named_b),
    )


def one_framework(chosen: tuple[Backend, Backend], named: tuple[object, object]) -> tuple[str, ...]:
    """A note where both run in one framework without having been asked to: it cannot show what another does."""
    if chosen[0] is not chosen[1] or None not in named:
        return ()
    other = Backend.TF if chosen[0] is Backend.TORCH else Backend.TORCH
    return (
        f"Both run in {TITLES[chosen[0]]}, to which the files belong. To compare frameworks, name another one for one "
        f"side, such as --b-backend {other.value}.",
    )


def _usual_backend(network: Network, otherwise: Backend) -> Backend:
    return otherwise if network.format is None else HOME.get(network.format, otherwise)


def given_input(given: Given, spec: NetworkSpec) -> tuple[Array, str]:
    """The batch (N, H, W, C), and what it is in words."""
    channels = spec.stem.in_channels
    if isinstance(given, RandomInput):
        array = random_input(images=given.images, size=given.size, channels=channels, seed=given.seed)
        shape = f"{given.images} images of {given.size} x {given.size} pixels"
        return array, f"random N(0, 1) from seed {given.seed}, {shape}"
    if isinstance(given, np.ndarray):
        array = check_array(given, channels=channels, where="The input")
        return array, f"an array of shape {array.shape}"
    found = classify(given)
    array = np.concatenate([batch for _, batch in batches(found, spec, size=_BATCH)])
    names = ", ".join(str(path) for path in ((found.array,) if found.array else found.images))
    return array, f"{names}, {array.shape[1]} x {array.shape[2]} pixels"


def side(network: Network, backend: Backend) -> Side:
    """What is reported about one of the two."""
    return Side(
        name=network.name, network=network.spec.name, format=network.format, backend=backend, notes=network.notes
    )
