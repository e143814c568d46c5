"""What can be exported, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from effnet.choices import Choice
from effnet.errors import InputError


class Kind(Choice):
    """What is written."""

    SAVEDMODEL = "savedmodel"
    ONNX = "onnx"
    TFLITE = "tflite"
    TORCH_EXPORT = "torch-export"
    KERAS = "keras"


ENDINGS = {Kind.ONNX: ".onnx", Kind.TFLITE: ".tflite", Kind.TORCH_EXPORT: ".pt2", Kind.KERAS: ".keras"}
"""Of single files; a SavedModel is always a folder."""
VERSIONED = {Kind.SAVEDMODEL: None, Kind.ONNX: "model.onnx"}
"""What model servers take from numbered folders, and the file in such a folder (None: the folder itself)."""


_LARGEST_VERSION = 2**63 - 1
_LARGEST_SIDE = 8192
_MOST_CALIBRATION = 1000


class Quantize(Choice):
    """How a LiteRT model stores its numbers."""

    NONE = "none"
    FLOAT16 = "float16"
    INT8 = "int8"


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """How a network is exported."""

    kind: Kind
    fold: bool = False
    """Put the normalisations into the convolutions."""
    version: int | None = None
    """Of a numbered folder; None: the next free number."""
    top: int | None = None
    """Classes that `classify_bytes` names; None: five, or all where there are fewer."""
    labels: Path | None = None
    """A text file with one name a line; None: ImageNet's, where the classes are those."""
    size: tuple[int, int] | None = None
    """Height and width in pixels of an export for one size; None: any size, or the recipe's where one is needed."""
    quantize: Quantize = Quantize.NONE
    calibration: Sequence[Path] = ()
    """Images by which 8-bit activations are scaled."""
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Raise `InputError` for options that do not belong together."""
        fixed = (Kind.ONNX, Kind.TFLITE)
        wrong = [
            (self.version is not None and self.kind not in VERSIONED, "--version", tuple(VERSIONED)),
            (self.size is not None and self.kind not in fixed, "--size", fixed),
            (self.quantize is not Quantize.NONE and self.kind is not Kind.TFLITE, "--quantize", (Kind.TFLITE,)),
        ]
        for is_wrong, flag, kinds in wrong:
            if is_wrong:
                raise InputError(f"{flag} is for {' and '.join(kinds)} alone; leave it out for {self.kind}.")
        if self.version is not None and not 1 <= self.version <= _LARGEST_VERSION:
            raise InputError(
                f"The version is {self.version}; expected a number from 1 to {_LARGEST_VERSION}, as model servers do."
            )
        if self.size is not None and not all(1 <= side <= _LARGEST_SIDE for side in self.size):
            raise InputError(
                f"The size is {self.size[0]} x {self.size[1]} pixels; expected sides of 1 to {_LARGEST_SIDE}."
            )
        if bool(self.calibration) != (self.quantize is Quantize.INT8):
            raise InputError(
                "8-bit activations are scaled by what real images give: expected --calibration IMAGES together with "
                f"--quantize int8, found --quantize {self.quantize} and {len(self.calibration)} images."
            )
        if len(self.calibration) > _MOST_CALIBRATION:
            raise InputError(
                f"There are {len(self.calibration):,} calibration images, which are in memory together; expected at "
                f"most {_MOST_CALIBRATION:,}. A hundred or so are enough: put these into a folder of their own."
            )
