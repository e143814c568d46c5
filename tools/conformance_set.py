"""Write a conformance set: networks, weights in every naming, inputs, and what the official code computes.

    .venv/bin/python tools/conformance_set.py FOLDER [NETWORK...]

The networks are those of tests/data/oracle: written, and computed in float64, by the official TensorFlow code.
docs/conformance.md says what the folder holds; `effnet conformance` and `effnet.conformance` judge by it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from converters import DIALECTS, DifferentSemantics, Ema, NoConfig, SourceOptions, Unnamed, convert
from effnet.backends import Network, runner
from effnet.choices import Backend, Device, Precision
from effnet.conformance import VERSION
from effnet_core import Activation, NetworkSpec, Padding, endpoints, to_json
from tests import oracle

Array = NDArray[Any]
FIRST = oracle.SIZES[0]
PARTS = 2
"""Dots in the names of layers inside blocks, which the set leaves out."""
SYMMETRIC = "symmetric padding"
OTHER = {Activation.SWISH: Activation.RELU, Activation.RELU6: Activation.RELU, Activation.RELU: Activation.RELU6}


FILES = {
    "native": ("safetensors", ".safetensors"),
    "effnet-torch": ("pth", ".pth"),
    "effnet-keras": ("keras-weights", ".weights.h5"),
    "official": ("tensor-bundle", "/model.ckpt"),
    "official-object": ("tensor-bundle", "/ckpt-1"),
    "efficientnet-pytorch": ("pth", ".pth"),
    "timm": ("safetensors", ".safetensors"),
    "timm-symmetric": ("safetensors", ".safetensors"),
    "torchvision": ("pth", ".pth"),
    "huggingface": ("hf-folder", ""),
    "deep-learning-for-image-processing": ("pth", ".pth"),
    "keras-applications": ("keras-h5", ".h5"),
    "keras-applications-v2": ("keras-h5", ".h5"),
    "qubvel": ("keras-h5", ".h5"),
    "keras-hub": ("keras-weights", ".weights.h5"),
}
"""Format and ending of the file in each dialect; keras-order, names that Keras counts, is only read."""


def wrong_networks(given: oracle.Oracle, raw: oracle.Arrays) -> Iterator[tuple[str, Network]]:
    """Networks with one mistake each, as ports have been seen to make them."""
    spec, state = given.spec, given.state
    symmetric = replace(spec, padding=Padding.SYMMETRIC)
    small_epsilon = replace(spec.norm, epsilon=1e-5)
    yield SYMMETRIC, network(symmetric, state)
    yield "epsilon 1e-5", network(replace(spec, norm=small_epsilon), state)
    yield f"{SYMMETRIC} and epsilon 1e-5", network(replace(symmetric, norm=small_epsilon), state)
    yield "another activation", network(with_other_activations(spec), state)
    yield "the raw variables in place of their moving averages", network(spec, raw)
    yield "kernels with rows and columns exchanged", network(spec, with_transposed_kernels(state))
    yield "input channels in the order BGR", network(spec, with_reversed_input(state))


def network(spec: NetworkSpec, state: Mapping[str, Array]) -> Network:
    """A network in memory."""
    return Network(spec=spec, state=state, name=spec.name)


def with_other_activations(spec: NetworkSpec) -> NetworkSpec:
    """ReLU for swish and ReLU6, ReLU6 for ReLU, everywhere."""
    blocks = tuple(replace(block, activation=OTHER[block.activation]) for block in spec.blocks)
    stem = replace(spec.stem, activation=OTHER[spec.stem.activation])
    assert spec.head is not None
    return replace(spec, stem=stem, blocks=blocks, head=replace(spec.head, activation=OTHER[spec.head.activation]))


def with_transposed_kernels(state: Mapping[str, Array]) -> dict[str, Array]:
    """Rows and columns of every kernel exchanged."""
    return {
        name: array.swapaxes(0, 1) if name.endswith(".kernel") and array.ndim == 4 else array  # (H, W, ...) -> (W, H)
        for name, array in state.items()
    }


def with_reversed_input(state: Mapping[str, Array]) -> dict[str, Array]:
    """The last input channel first."""
    return {**state, "stem.conv.kernel": state["stem.conv.kernel"][:, :, ::-1]}  # (H, W, in, out)


def computed(which: Network, images: Array, names: tuple[str, ...]) -> dict[str, Array]:
    """Endpoints in float64, channels last."""
    with runner(
        which, endpoints=names, backend=Backend.TORCH, precision=Precision.FLOAT64, device=Device.CPU
    ) as forward:
        return forward(images)


def write_case(name: str, folder: Path) -> dict[str, Any]:
    """One network's folder and its entry in set.json."""
    given, raw = oracle.load(name, ema=True), oracle.load(name, ema=False)
    folder.mkdir(parents=True)
    for size, images in given.inputs.items():
        np.save(folder / f"input_{size}.npy", images)
    (folder / "spec.json").write_text(to_json(given.spec) + "\n", "utf-8")
    np.savez_compressed(folder / "expected.npz", **expected(given))
    mistakes = {
        f"{mistake}|{size}/logits": computed(wrong, images, ("logits",))["logits"]
        for mistake, wrong in wrong_networks(given, raw.state)
        for size, images in given.inputs.items()
    }
    told_apart(given, mistakes)
    np.savez_compressed(folder / "mistakes.npz", **mistakes)
    return {
        "spec": f"{name}/spec.json",
        "inputs": {size: f"input_{size}.npy" for size in given.inputs},
        "float32_error": {
            size: oracle.relative_error(given.logits[size], truth) for size, truth in given.logits64.items()
        },
        "weights": dict(write_weights(name, given.spec, folder / "weights")),
    }


def expected(given: oracle.Oracle) -> dict[str, Array]:
    """The official logits at every size, and what stands behind every block at the first one."""
    found = {f"{size}/logits": logits for size, logits in given.logits64.items()}
    names = tuple(name for name in endpoints(given.spec) if name.count(".") < PARTS and name != "logits")
    inside = computed(network(given.spec, given.state), given.inputs[FIRST], names)
    return found | {f"{FIRST}/{name}": inside[name] for name in names}


def told_apart(given: oracle.Oracle, mistakes: dict[str, Array]) -> None:
    """Drop mistakes that this network cannot show, such as exchanged rows and columns of 1x1 kernels."""
    for key in list(mistakes):
        size = key.rpartition("|")[2].partition("/")[0]
        if oracle.relative_error(mistakes[key], given.logits64[size]) < 1e-4:
            del mistakes[key]


def write_weights(name: str, spec: NetworkSpec, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The weights in every dialect that has names for them, and the mistake that its own network is known for."""
    folder.mkdir()
    options = SourceOptions(spec=spec, ema=Ema.ALWAYS)
    for dialect, (form, ending) in FILES.items():
        target = folder / f"{dialect}{ending}"
        target.parent.mkdir(exist_ok=True)

        def write(*, accept: bool, to: str = dialect, form: str = form, target: Path = target) -> None:
            convert(
                oracle.FOLDER / name,
                target,
                options=options,
                to=to,
                to_format=form,
                sync=False,
                accept_different_logits=accept,
            )

        mistake = None
        try:
            try:
                write(accept=False)
            except DifferentSemantics:
                own = DIALECTS[dialect].meaning(spec.name, spec.family)
                if own is None or own.padding is spec.padding:
                    raise
                mistake = SYMMETRIC
                write(accept=True)
        except (Unnamed, NoConfig, DifferentSemantics) as error:
            print(f"{name}: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        yield dialect, {"path": str(target.relative_to(folder.parent)), "mistake": mistake}


def main() -> None:
    """Write the set that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument(
        "networks", nargs="*", default=oracle.FOLDERS, metavar="NETWORK", help=", ".join(oracle.FOLDERS)
    )
    arguments = parser.parse_args()
    if arguments.folder.exists():
        parser.error(f"{arguments.folder} exists; expected the name of a new folder")
    unknown = sorted(set(arguments.networks) - set(oracle.FOLDERS))
    if unknown:
        parser.error(f"there is no network {unknown[0]}; expected {', '.join(oracle.FOLDERS)}")
    cases = {name: write_case(name, arguments.folder / name) for name in arguments.networks}
    document = json.dumps({"version": VERSION, "cases": cases}, indent=1)
    (arguments.folder / "set.json").write_text(document + "\n", "utf-8")


if __name__ == "__main__":
    main()
