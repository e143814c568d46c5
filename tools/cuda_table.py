"""Compare PyTorch on a graphics processor with PyTorch on the processor, on every published network.

    .venv/bin/python tools/cuda_table.py [--out FILE.md] [--jobs N] [VARIANT...]

For machines whose TensorFlow cannot use the graphics processor: it needs PyTorch alone. `tools/parity_table.py`
compares PyTorch with TensorFlow on the processor, at the same sizes and with weights made the same way, so that both
tables together say what `./tools/gpu_parity` says where both frameworks have CUDA. What is measured already is kept in
FILE.jsonl. Exit code 1 where a network does not agree.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from parity_table import NARROW_BITS, WIDTHS, apart, mixed_torch, narrow_bound, network_and_sizes

from effnet.backends import Array, Network, runner
from effnet.choices import Backend, Device, Precision
from effnet.parity_engine.bits import differing_bits
from effnet.parity_engine.exact_run import ExactRequest, ExactRun, run_exactly
from effnet.parity_engine.grid import Grid
from effnet_core import VARIANTS, resolve
from tests.lively import images

LIMIT = 1e-12
"""Of the largest logit, in float64."""
ROUNDING = 8
"""Float32 on the graphics processor may be so many times as far from float64 as on the processor; with TF32, which has
13 bits less, it is a thousand times as far."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Distances from float64 on the processor, as parts of the largest logit, the worst of the sizes."""

    variant: str
    sizes: tuple[tuple[int, int], ...]
    float64: float
    float32: float
    cpu_float32: float
    tf32: float
    """What float32 would be with TF32 on: the control."""
    narrow: dict[str, float]
    """Under autocast, by type, at the first size."""
    same_again: bool
    """Two runs gave the same bits."""
    exact_bits: int
    """Values that differ in exact arithmetic, between the devices."""
    exact_values: int
    seconds: float

    @property
    def agrees(self) -> bool:
        """Whether the devices compute the same function, and as exactly as each type lets them."""
        return (
            self.float64 <= LIMIT
            and self.float32 <= ROUNDING * self.cpu_float32 < self.tf32
            and all(error <= narrow_bound(name, self.float32) for name, error in self.narrow.items())
            and self.same_again
            and self.exact_bits == 0
        )


def measured(variant: str) -> Row:
    """Run one network on both devices."""
    start = time.perf_counter()
    network, sizes = network_and_sizes(variant)
    batches = [images(1, *size, seed=index) for index, size in enumerate(sizes)]

    def logits(device: Device, precision: Precision) -> list[Array]:
        with runner(network, endpoints=["logits"], backend=Backend.TORCH, precision=precision, device=device) as run:
            return [run(batch)["logits"] for batch in batches]

    truth = logits(Device.CPU, Precision.FLOAT64)
    once, again = (logits(Device.CUDA, Precision.FLOAT32) for _ in range(2))
    bits = _exact_bits(_exact(network, Device.CPU), _exact(network, Device.CUDA))
    return Row(
        variant=variant,
        sizes=sizes,
        float64=_worst(logits(Device.CUDA, Precision.FLOAT64), truth),
        float32=_worst(once, truth),
        cpu_float32=_worst(logits(Device.CPU, Precision.FLOAT32), truth),
        tf32=_with_tf32(network, batches[0], truth[0]),
        narrow={name: mixed_torch(network, batches[0], name, truth[0]) for name in NARROW_BITS},
        same_again=all(np.array_equal(left, right) for left, right in zip(once, again, strict=True)),
        exact_bits=bits[0],
        exact_values=bits[1],
        seconds=time.perf_counter() - start,
    )


def _worst(found: list[Array], truth: list[Array]) -> float:
    return max(apart(mine, theirs) for mine, theirs in zip(found, truth, strict=True))


def _with_tf32(network: Network, batch: Array, truth: Array) -> float:
    from effnet_torch import create_model  # noqa: PLC0415  # after the frameworks, in their order

    model = create_model(network.spec, network.state, device="cuda").eval()
    switches = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [switch.allow_tf32 for switch in switches]
    for switch in switches:
        switch.allow_tf32 = True
    try:
        with torch.inference_mode():
            # (N, H, W, C) -> (N, C, H, W)
            found = model(torch.from_numpy(batch).permute(0, 3, 1, 2).to("cuda")).cpu().numpy()
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.allow_tf32 = value
    return apart(found, truth)


def _exact(network: Network, device: Device) -> ExactRun:
    request = ExactRequest(
        batch=images(2, 64, 96, seed=3), names=("logits",), reference=network.spec, grid=Grid(), seed=0
    )
    return run_exactly(network, request, backend=Backend.TORCH, device=device)


def _exact_bits(a: ExactRun, b: ExactRun) -> tuple[int, int]:
    """How many values differ, and how many there are: weights, layers' results in evaluation and in training."""
    assert a.training is not None
    assert b.training is not None
    found = [
        differing_bits(name, left.get(name), right.get(name))
        for left, right in (
            (a.held, b.held),
            (a.inference.values, b.inference.values),
            (a.training.values, b.training.values),
        )
        for name in dict.fromkeys([*left, *right])
    ]
    return sum(item.differing for item in found), sum(item.size for item in found)


def all_rows(variants: list[str], kept: Path, jobs: int) -> list[Row]:
    """Every network, measured now or before, `jobs` of them at a time, each in a process of its own."""
    known = {} if not kept.exists() else {row.variant: row for row in map(_row, kept.read_text().splitlines())}
    environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // jobs))}

    def one(variant: str) -> Row:
        if variant in known:
            return known[variant]
        command = [sys.executable, __file__, "--one", variant]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
        if done.returncode:
            raise SystemExit(f"{variant}: ended with {done.returncode}; its messages stand above")
        line = done.stdout.splitlines()[-1]
        with kept.open("a") as file:
            file.write(line + "\n")
        print(" | ".join(_cells(_row(line))), flush=True)
        return _row(line)

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, variants))


def _row(line: str) -> Row:
    found = json.loads(line)
    found["sizes"] = tuple(tuple(size) for size in found["sizes"])
    return Row(**found)


def _cells(row: Row) -> list[str]:
    narrower = f", width {WIDTHS[row.variant]:g}" if row.variant in WIDTHS else ""
    return [
        f"{row.variant}{narrower}",
        ", ".join(f"{height} x {width}" for height, width in row.sizes),
        f"{row.float64:.1e}",
        f"{row.float32:.1e}",
        f"{row.cpu_float32:.1e}",
        f"{row.tf32:.1e}",
        *(f"{error:.1e}" for error in row.narrow.values()),
        f"{row.exact_bits} of {row.exact_values:,}",
        "yes" if row.agrees else "**no**",
    ]


TEXT = """# PyTorch on a graphics processor

Each published network, whole, in `effnet_torch`, beside the same network on the processor. Graphics processor: {name}.
Sizes and the way in which weights are made are those of [parity_table.md](parity_table.md), which compares PyTorch and
TensorFlow on the processor. Numbers are distances from the float64 logits of the processor, as parts of the largest
logit: float64, float32 without TF32, float32 on the processor, float32 with TF32 (the control, which has to be seen),
and autocast to bfloat16 and float16 at the first size. Differing bits: values that are not equal in exact arithmetic
([parity.md](parity.md)) on the two devices, of all weights and of every layer's result in evaluation and in training,
two images of 64 x 96. Networks agree when float64 is within {limit:g}, float32 within {rounding} times the processor's
own rounding, the narrow types within what their bits explain, two runs give the same bits, and not one bit differs in
exact arithmetic. A width stands beside networks that run at full depth with fewer channels.

Measured by `.venv/bin/python tools/cuda_table.py --out docs/cuda_table.md`, which wrote this page, with
torch {torch}, CUDA {cuda}, numpy {numpy}, Python {python}. TensorFlow on a graphics processor is compared by
`./tools/gpu_parity`.

{table}
"""


def document(rows: list[Row]) -> str:
    """The page."""
    columns = ["network", "height x width", "float64", "float32", "float32 on the processor", "with TF32"]
    columns += [*rows[0].narrow, "differing bits", "agree"]
    table = [columns, ["---"] * len(columns), *map(_cells, rows)]
    return TEXT.format(
        name=torch.cuda.get_device_name(),
        limit=LIMIT,
        rounding=ROUNDING,
        torch=torch.__version__,
        cuda=torch.version.cuda,
        numpy=np.__version__,
        python=platform.python_version(),
        table="\n".join(f"| {' | '.join(cells)} |" for cells in table),
    )


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help="default: all")
    parser.add_argument("--out", type=Path, help="default: print alone")
    parser.add_argument("--jobs", type=int, default=1, help="networks at a time")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.exit(1, "PyTorch sees no CUDA device here, and this command compares one with the processor.\n")
    if arguments.one:
        print(json.dumps(asdict(measured(arguments.one))))
        return
    variants = [resolve(name).name for name in arguments.variants] or list(VARIANTS)
    kept = (arguments.out or Path("demo-output/cuda")).with_suffix(".jsonl")
    kept.parent.mkdir(parents=True, exist_ok=True)
    rows = all_rows(variants, kept, max(1, arguments.jobs))
    if arguments.out:
        arguments.out.write_text(document(rows), "utf-8")
    if not all(row.agrees for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
