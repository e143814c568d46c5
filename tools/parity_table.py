"""Compare the two backends on every published network and write the table of it.

    .venv/bin/python tools/parity_table.py [--device cpu|cuda] [--out FILE.md] [VARIANT...]

Every network gets random weights, with the statistics of a batch, and runs, whole, in TensorFlow and PyTorch: at its
nominal size, at an odd one and at one that is not square, in float64 and float32 and, on cuda, in bfloat16 and float16;
at 64 x 96 in exact arithmetic, where not one bit may differ. The largest networks run at a smaller size, and the two
largest of these narrower, which the table states. Each has a process of its own; what is measured already is kept in
FILE.jsonl and not measured again. Exit code 1 where two disagree.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from effnet.backends import Array, Network, runner
from effnet.choices import Backend, Device, Precision
from effnet.frameworks import import_frameworks
from effnet.parity_engine.exact import exact_parity
from effnet.parity_engine.grid import Grid
from effnet_core import VARIANTS, multiply_adds, resolve
from tests.lively import images, settled_state

BACKENDS = (Backend.TF, Backend.TORCH)
MOST = 40e9
"""Multiply-adds of an image beyond which a network runs at a smaller size."""
REDUCED = 256
"""That size in pixels."""
WIDTHS = {"efficientnetv2-xl": 0.5, "efficientnet-l2": 1.0}
"""Networks that run at full depth and at this width coefficient: the next smaller one, EfficientNetV2-L, takes
13 GB of memory whole."""
LIMIT = 1e-12
"""Of the largest logit, in float64."""
NARROW_BITS = {"bfloat16": 8, "float16": 11}
"""Bits of their significands; float32 has 24."""
NARROW_MULTIPLE = 8
"""Rounding in a narrow type may be so many times that in float32, scaled by the bits: some layers stay in float32."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured of one network; differences as a part of the largest logit."""

    variant: str
    sizes: tuple[tuple[int, int], ...]
    float64: tuple[float, ...]
    """|TensorFlow - PyTorch|, by size."""
    float32: tuple[float, ...]
    tf_rounding: float
    """Float32 from its own float64 at the first size."""
    torch_rounding: float
    narrow: dict[str, tuple[float, float]]
    """By type: TensorFlow's and PyTorch's distance from float64; on cuda alone."""
    exact_bits: int
    """Values that differ in exact arithmetic, weights and statistics included."""
    exact_values: int
    seconds: float

    @property
    def agrees(self) -> bool:
        """Whether the backends compute the same function, and lose no more in narrow types than those explain."""
        return max(self.float64) <= LIMIT and self.exact_bits == 0 and self.is_narrow_right

    @property
    def is_narrow_right(self) -> bool:
        """Whether bfloat16 and float16 are as near to float64 as their bits let them be."""
        rounding = (self.tf_rounding, self.torch_rounding)
        return all(
            error <= narrow_bound(name, own)
            for name, errors in self.narrow.items()
            for error, own in zip(errors, rounding, strict=True)
        )


def measured(variant: str, device: Device) -> Row:
    """Run one network; takes minutes for the largest."""
    start = time.perf_counter()
    import_frameworks(BACKENDS)
    network, sizes = network_and_sizes(variant)
    batches = [images(1, *size, seed=index) for index, size in enumerate(sizes)]
    found: dict[tuple[Backend, Precision], list[Array]] = {}
    for backend in BACKENDS:
        for precision in Precision:
            with runner(network, endpoints=["logits"], backend=backend, precision=precision, device=device) as run:
                found[backend, precision] = [run(batch)["logits"] for batch in batches]
    truth = found[Backend.TF, Precision.FLOAT64]
    exact = exact_parity(
        network,
        network,
        a_backend=Backend.TF,
        b_backend=Backend.TORCH,
        inputs=images(2, 64, 96, seed=3),
        device=device,
        grid=Grid(),
    )
    parts = (*exact.tensors, *exact.inference, *exact.training, *exact.statistics)
    return Row(
        variant=variant,
        sizes=sizes,
        float64=_differences(found, Precision.FLOAT64),
        float32=_differences(found, Precision.FLOAT32),
        tf_rounding=apart(found[Backend.TF, Precision.FLOAT32][0], truth[0]),
        torch_rounding=apart(found[Backend.TORCH, Precision.FLOAT32][0], truth[0]),
        narrow=_narrow(network, batches[0], truth[0]) if device is Device.CUDA else {},
        exact_bits=sum(part.differing for part in parts),
        exact_values=sum(part.size for part in parts),
        seconds=time.perf_counter() - start,
    )


def network_and_sizes(variant: str) -> tuple[Network, tuple[tuple[int, int], ...]]:
    """The network with its random weights, and its nominal size, an odd one and one that is not square."""
    spec = resolve(variant, width=WIDTHS.get(variant))
    nominal = spec.preprocessing.resolution
    side = nominal if multiply_adds(resolve(variant)) <= MOST else REDUCED
    odd = side // 2 + 1 - side // 2 % 2
    network = Network(spec=spec, state=settled_state(spec, seed=1), name=variant)
    return network, ((side, side), (odd, odd), (side // 2, side // 2 + 45))


def narrow_bound(name: str, float32: float) -> float:
    """How far from float64 a narrow type may come where float32 comes that far."""
    return NARROW_MULTIPLE * float32 * 2.0 ** (24 - NARROW_BITS[name])


def apart(found: Array, truth: Array) -> float:
    """The largest difference as a part of the largest value."""
    return float(np.abs(found.astype(np.float64) - truth).max() / np.abs(truth).max())


def _differences(found: dict[tuple[Backend, Precision], list[Array]], precision: Precision) -> tuple[float, ...]:
    pairs = zip(found[Backend.TORCH, precision], found[Backend.TF, precision], strict=True)
    return tuple(apart(torch, tf) for torch, tf in pairs)


def _narrow(network: Network, batch: Array, truth: Array) -> dict[str, tuple[float, float]]:
    return {
        name: (mixed_tf(network, batch, name, truth), mixed_torch(network, batch, name, truth)) for name in NARROW_BITS
    }


def mixed_tf(network: Network, batch: Array, name: str, truth: Array) -> float:
    """The Keras policy mixed_bfloat16 or mixed_float16."""
    from effnet_tf import create_model  # noqa: PLC0415  # after import_frameworks, in its order

    model: Any = create_model(network.spec, network.state, dtype=f"mixed_{name}")
    return apart(np.asarray(model(batch, training=False), np.float64), truth)


def mixed_torch(network: Network, batch: Array, name: str, truth: Array, *, device: str = "cuda") -> float:
    """PyTorch's autocast."""
    import torch  # noqa: PLC0415  # as above

    from effnet_torch import create_model  # noqa: PLC0415  # as above

    model = create_model(network.spec, network.state, device=device).eval()
    nchw = torch.from_numpy(batch).permute(0, 3, 1, 2).to(device)  # (N, H, W, C) -> (N, C, H, W)
    with torch.autocast(device, dtype=getattr(torch, name)), torch.inference_mode():
        logits: Any = model(nchw)
    return apart(logits.double().cpu().numpy(), truth)


def all_rows(variants: list[str], device: Device, kept: Path) -> list[Row]:
    """Every network, measured now or before."""
    known = {} if not kept.exists() else {row.variant: row for row in map(_row, kept.read_text().splitlines())}
    rows: list[Row] = []
    for variant in variants:
        if variant not in known:
            command = [sys.executable, __file__, "--one", variant, "--device", device.value]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=_environment())
            if done.returncode:
                raise SystemExit(f"{variant}: ended with {done.returncode}; its messages stand above")
            line = done.stdout.splitlines()[-1]
            with kept.open("a") as file:
                file.write(line + "\n")
            known[variant] = _row(line)
        rows.append(known[variant])
        print(" | ".join(_cells(rows[-1])), flush=True)
    return rows


def _row(line: str) -> Row:
    found = json.loads(line)
    found["sizes"] = tuple(tuple(size) for size in found["sizes"])
    return Row(**found)


def _environment() -> dict[str, str]:
    return {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}


def _cells(row: Row) -> list[str]:
    narrow = [f"{tf:.1e}, {torch:.1e}" for tf, torch in row.narrow.values()]
    narrower = f", width {WIDTHS[row.variant]:g}" if row.variant in WIDTHS else ""
    return [
        f"{row.variant}{narrower}",
        ", ".join(f"{height} x {width}" for height, width in row.sizes),
        f"{max(row.float64):.1e}",
        f"{max(row.float32):.1e}",
        f"{row.tf_rounding:.1e}, {row.torch_rounding:.1e}",
        *narrow,
        f"{row.exact_bits} of {row.exact_values:,}",
        "yes" if row.agrees else "**no**",
        f"{row.seconds:.0f} s",
    ]


def document(rows: list[Row], device: Device, command: str) -> str:
    """The page."""
    columns = [
        "network",
        "height x width",
        "float64",
        "float32",
        "rounding",
        *rows[0].narrow,
        "differing bits",
        "agree",
        "took",
    ]
    releases = ", ".join(f"{name} {version(name)}" for name in ("torch", "keras", "numpy"))
    table = [columns, ["---"] * len(columns), *map(_cells, rows)]
    return TEXT.format(
        command=command,
        releases=f"{releases}, {_tensorflow()}, Python {platform.python_version()}, on {_where(device)}",
        limit=LIMIT,
        table="\n".join(f"| {' | '.join(cells)} |" for cells in table),
        absent=_absent({row.variant for row in rows}),
    )


def _absent(measured: set[str]) -> str:
    left = [name for name in VARIANTS if name not in measured]
    return f"\nNot measured in this run: {', '.join(left)}.\n" if left else ""


def _tensorflow() -> str:
    for name in ("tensorflow", "tensorflow_cpu"):
        try:
            return f"{name} {version(name)}"
        except ModuleNotFoundError:
            continue
    return "tensorflow"


def _where(device: Device) -> str:
    if device is Device.CPU:
        return f"a processor ({platform.machine()})"
    import torch  # noqa: PLC0415  # only this device needs it here

    return torch.cuda.get_device_name()


TEXT = """# Both backends on every published network

Each network, whole, with random weights and the statistics of a batch, in TensorFlow (`effnet_tf`) and PyTorch
(`effnet_torch`). Numbers are the largest difference between logits as a part of the largest logit, the worst of the
sizes: between the backends in float64 and float32, and (rounding) of each backend's float32 from float64 at the first
size. Differing bits: values that are not equal in exact arithmetic ([parity.md](parity.md)), of all weights, layers'
results in evaluation and in training and moving statistics, two images of 64 x 96. Networks agree when float64 is
within {limit:g} and not one bit differs. A width stands beside networks that run at full depth with fewer channels.
Times are those of a shared machine with two cores, which others used meanwhile.

Measured by `{command}`, which wrote this page, with {releases}.

{table}
{absent}"""


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help="default: all")
    parser.add_argument("--device", type=Device, default=Device.CPU, choices=list(Device))
    parser.add_argument("--out", type=Path, help="default: print alone")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(asdict(measured(arguments.one, arguments.device))))
        return
    variants = [resolve(name).name for name in arguments.variants] or list(VARIANTS)
    kept = (arguments.out or ROOT / "demo-output" / f"parity-{arguments.device}").with_suffix(".jsonl")
    kept.parent.mkdir(parents=True, exist_ok=True)
    rows = all_rows(variants, arguments.device, kept)
    if arguments.out:
        command = f".venv/bin/python tools/parity_table.py --device {arguments.device} --out {arguments.out}"
        arguments.out.write_text(document(rows, arguments.device, command), "utf-8")
    if not all(row.agrees for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
