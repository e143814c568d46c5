"""What is measured of one variant, and what it may be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from bench import measure
from bench.result import Result
from bench.start import EFFNET
from effnet_core import parameters, resolve

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A format, and how `effnet convert` is told to write it."""

    ending: str
    options: tuple[str, ...] = ()
    streams: bool = True
    """False where a framework builds the file, whose memory it takes."""


BUNDLE = Kind(ending=".ckpt")
SAFETENSORS = Kind(ending=".safetensors")
KINDS = {
    "safetensors": SAFETENSORS,
    "pth": Kind(ending=".pth"),
    "npz": Kind(ending=".npz"),
    "Hugging Face folder": Kind(ending="-folder", options=("--to-format", "hf-folder", "--to", "effnet-torch")),
    "Keras .h5": Kind(ending=".h5"),
    "Keras .weights.h5": Kind(ending=".weights.h5"),
    "Keras .keras": Kind(ending=".keras", streams=False),
}
"""Every format that is written, the official one apart."""
MB = 1_000_000

SMALL_SECONDS = 0.6
"""For efficientnet-b0, from the shell."""
COPIES = 4
"""A large checkpoint may take this many times what `cp` takes, and the start of the program."""
MEMORY_TENSORS, MEMORY_MB = 3, 60
"""The memory may be this many times the largest tensor, and so many megabytes."""

FRAMEWORKS = ("tensorflow", "keras", "torch")
_LOADED = f"""
import sys
from effnet.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(*(name for name in {FRAMEWORKS!r} if name in sys.modules), sep=", ")
"""


class Bench:
    """The measurements of one variant; TensorFlow writes its checkpoint into the folder."""

    def __init__(self, variant: str, folder: Path, *, start: float) -> None:
        self.variant = variant
        self.start = start
        self.folder = folder
        self.prefix = folder / "model.ckpt"
        self.data = folder / "model.ckpt.data-00000-of-00001"
        measure.run([sys.executable, HERE / "official_checkpoint.py", variant, self.prefix])

    def results(self) -> Iterator[Result]:
        """Every number of the variant."""
        copy = self.folder / "out.copy"
        copied = measure.seconds(["cp", self.data, copy], before=self._remove_outputs)
        yield self._result("data file", self.data.stat().st_size / MB, "MB")
        yield self._result("cp of the data file", copied, "s")
        yield from self._times(copied)
        yield from self._memory()
        yield self._frameworks()
        yield from self._usual_way()

    def _times(self, copied: float) -> Iterator[Result]:
        command = self._convert(self.prefix, SAFETENSORS)
        taken = measure.seconds([*command, "--no-fsync"], before=self._remove_outputs)
        yield self._result("to safetensors, fsync apart", taken, "s", self._budget(copied))
        taken = measure.seconds(command, before=self._remove_outputs)
        yield self._result("to safetensors, fsync included", taken, "s")

    def _budget(self, copied: float) -> float:
        """Seconds; `copied` is what `cp` takes."""
        return SMALL_SECONDS if self.variant == "efficientnet-b0" else COPIES * copied + self.start

    def _memory(self) -> Iterator[Result]:
        """Of every format, in and out, and the time that reading it takes."""
        largest = 4 * max(parameter.size for parameter in parameters(resolve(self.variant)))
        budget = MEMORY_TENSORS * largest / MB + MEMORY_MB
        idle = measure.idle_bytes()
        yield self._result("largest tensor", largest / MB, "MB")
        written = self._peak(self.prefix, BUNDLE) - idle
        yield self._result("memory, tensor bundle to tensor bundle", written / MB, "MB", budget)
        for name, kind in KINDS.items():
            written = self._peak(self.prefix, kind) - idle
            limit = budget if kind.streams else None
            yield self._result(f"memory, tensor bundle to {name}", written / MB, "MB", limit)
            for file in self.folder.glob("out*"):
                file.rename(file.with_name(file.name.replace("out", "source", 1)))
            source = self.folder / f"source{kind.ending}"
            read = self._peak(source, BUNDLE) - idle
            yield self._result(f"memory, {name} to tensor bundle", read / MB, "MB", budget)
            copy = ["cp", "-r", source, self.folder / "out.copy"]
            copied = measure.seconds(copy, before=self._remove_outputs)
            yield self._result(f"cp of {name}", copied, "s")
            command = [*self._convert(source, SAFETENSORS), "--no-fsync"]
            taken = measure.seconds(command, before=self._remove_outputs)
            yield self._result(f"{name} to safetensors", taken, "s", self._budget(copied))
            _remove(self.folder, "source*")

    def _peak(self, source: Path, kind: Kind) -> int:
        return measure.peak_bytes([*self._convert(source, kind), "--no-fsync"], before=self._remove_outputs)

    def _frameworks(self) -> Result:
        self._remove_outputs()
        words = self._convert(self.prefix, SAFETENSORS)[1:]
        last = measure.run([sys.executable, "-c", _LOADED, *words]).splitlines()[-1]
        loaded = [name for name in last.split(", ") if name]
        return self._result("frameworks loaded", len(loaded), " ".join(loaded), 0)

    def _usual_way(self) -> Iterator[Result]:
        command = [sys.executable, HERE / "usual_way.py", self.prefix, self.folder / "out.pth"]
        yield self._result("the usual way", measure.seconds(command, before=self._remove_outputs, runs=2), "s")
        peak = measure.peak_bytes(command, before=self._remove_outputs, runs=1) - measure.idle_bytes()
        yield self._result("memory, the usual way", peak / MB, "MB")
        self._remove_outputs()

    def _convert(self, source: Path, kind: Kind) -> list[str | Path]:
        return [EFFNET, "convert", source, self.folder / f"out{kind.ending}", *kind.options]

    def _remove_outputs(self) -> None:
        _remove(self.folder, "out*")

    def _result(self, what: str, value: float, unit: str, budget: float | None = None) -> Result:
        return Result(variant=self.variant, what=what, value=value, unit=unit, budget=budget)


def _remove(folder: Path, names: str) -> None:
    for path in folder.glob(names):
        if path.is_dir():
            rmtree(path)
        else:
            path.unlink()
