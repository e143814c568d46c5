"""The import rules between the packages, and that importing stays cheap.

`effnet_core` is the ground and uses the standard library only. `effnet_tf`, `effnet_torch`, `effnet_onnx` and
`converters` stand on it side by side. `effnet` stands on all of them and imports a framework only inside the function
that needs it. Inside `converters`, each folder stands on those below it.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("effnet_core", "effnet_tf", "effnet_torch", "effnet_onnx", "converters", "effnet")
FRAMEWORKS = frozenset({"tensorflow", "keras", "torch"})
FILES = frozenset({"numpy", "google_crc32c", "cramjam", "ml_dtypes", "h5py", "zlib_ng"})
MAY_IMPORT = {
    "effnet_core": frozenset({"effnet_core"}),
    "effnet_tf": frozenset({"effnet_core", "effnet_tf", "numpy", "tensorflow", "keras"}),
    "effnet_torch": frozenset({"effnet_core", "effnet_torch", "numpy", "torch"}),
    "effnet_onnx": frozenset({"effnet_core", "effnet_onnx", "numpy", "onnx", "onnxruntime"}),
    # The weights-only loader of torch reads .pth files older than the zip format, where torch is installed.
    "converters": frozenset({"effnet_core", "converters", "torch"}) | FILES,
    "effnet": frozenset(
        {
            *PACKAGES,
            "typer",
            "rich",
            "PIL",
            "simplejpeg",
            "fastapi",
            "starlette",
            "pydantic_core",
            "uvicorn",
            "h11",
            "prometheus_client",
            "jinja2",
            "markupsafe",
            "matplotlib",
            "pooch",
            "requests",
            "filelock",
            "pytest",
        }
    )
    | FILES
    | FRAMEWORKS,
}
LAZY = {
    "converters": FRAMEWORKS,
    "effnet": FRAMEWORKS | {"effnet_tf", "effnet_torch", "effnet_onnx", "PIL", "jinja2", "matplotlib"},
}
"""What a package imports inside functions only."""


STEPS = (
    *("errors", "aside", "metadata_keys", "dialects", "keras_json", "formats", "layouts", "options", "names"),
    *("averages", "checkpoint", "meaning", "left_out", "carrying", "changes", "keras_models", "heads", "networks"),
    *("opening", "convert", "comparing", "memory", "training_checkpoint"),
)
"""The folders and single modules of `converters`; each imports only from itself and from those before it."""


def imports(source: str) -> Iterator[tuple[str, bool]]:
    """Top-level names of the absolute imports in a source, and whether each runs when the module is imported."""
    tree = ast.parse(source)
    lazy = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _for_types_only(node)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports hide the floor that they reach"
            names = [node.module or ""]
        else:
            continue
        for name in names:
            yield name.split(".")[0], id(node) not in lazy


def _for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def violations(package: str, source: str) -> list[str]:
    found: list[str] = []
    for name, at_import in imports(source):
        if name in sys.stdlib_module_names:
            continue
        if name not in MAY_IMPORT[package]:
            found.append(f"{package} must not import {name}")
        elif at_import and name in LAZY.get(package, ()):
            found.append(f"{package} may import {name} inside functions only")
    return found


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after a statement."""
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def every_module_of(package: str) -> str:
    files = (file.relative_to(ROOT).with_suffix("") for file in sorted((ROOT / package).rglob("*.py")))
    return "import " + ", ".join(".".join(file.parts).removesuffix(".__init__") for file in files)


@pytest.mark.parametrize("package", PACKAGES)
def test_sources_import_only_from_the_floors_below(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    found = {str(file.relative_to(ROOT)): violations(package, file.read_text("utf-8")) for file in files}
    assert {file: problems for file, problems in found.items() if problems} == {}


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("effnet_core", "import numpy as np"),
        ("effnet_core", "def f():\n    from converters import errors"),
        ("effnet_tf", "import torch"),
        ("effnet_tf", "from effnet_torch.layers import PaddedConv2d"),
        ("effnet_torch", "import keras.layers"),
        ("effnet_torch", "from converters.errors import FormatError"),
        ("effnet_onnx", "import torch"),
        ("effnet_onnx", "def f():\n    from effnet import images"),
        ("converters", "import torch"),
        ("converters", "def f():\n    import tensorflow"),
        ("converters", "from effnet_tf import create_model"),
        ("effnet", "from effnet_torch import create_model"),
        ("effnet", "import tensorflow as tf"),
    ],
)
def test_a_forbidden_import_is_caught(package: str, source: str) -> None:
    assert violations(package, source) != []


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("converters", "def f():\n    import torch"),
        ("effnet", "def f():\n    from effnet_torch import create_model"),
        ("effnet", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
    ],
)
def test_an_import_inside_a_function_passes(package: str, source: str) -> None:
    assert violations(package, source) == []


def upwards(step: str, source: str) -> list[str]:
    """Imports of a module of `converters` that do not lead down, wherever they stand."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("converters"):
            _, _, rest = (node.module or "").partition(".")
            target = rest.partition(".")[0]
            if target not in STEPS[: STEPS.index(step) + 1]:
                found.append(f"{step} must not import from {node.module}")
    return found


def test_the_folders_of_the_converter_stand_on_each_other() -> None:
    folder = ROOT / "converters"
    found: dict[str, list[str]] = {}
    for file in sorted(folder.rglob("*.py")):
        step = file.relative_to(folder).with_suffix("").parts[0]
        if step != "__init__":
            found[str(file.relative_to(ROOT))] = upwards(step, file.read_text("utf-8"))
    assert {file.split("/")[1].removesuffix(".py") for file in found} == set(STEPS)
    assert {file: problems for file, problems in found.items() if problems} == {}


@pytest.mark.parametrize(
    ("step", "source"),
    [
        ("formats", "from converters.names.naming import Entry"),
        ("names", "def f():\n    from converters.opening import open_checkpoint"),
        ("errors", "from converters import convert"),
    ],
)
def test_an_import_from_a_folder_above_is_caught(step: str, source: str) -> None:
    assert upwards(step, source) != []


def test_the_core_loads_the_standard_library_only() -> None:
    extra = loaded_by(every_module_of("effnet_core")) - loaded_by("") - set(sys.stdlib_module_names)
    assert extra == {"effnet_core"}


@pytest.mark.parametrize("package", ["converters", "effnet"])
def test_converting_and_the_front_door_load_no_framework(package: str) -> None:
    loaded = loaded_by(every_module_of(package))
    assert {package, "numpy"} <= loaded  # the control: the listing sees what is loaded
    assert loaded & (FRAMEWORKS | {"effnet_tf", "effnet_torch", "h5py"}) == set()


def test_the_tensorflow_backend_does_not_load_torch() -> None:
    loaded = loaded_by(every_module_of("effnet_tf"))
    assert {"effnet_tf", "keras"} <= loaded
    assert loaded & {"torch", "effnet_torch", "converters"} == set()


def test_the_torch_backend_does_not_load_tensorflow() -> None:
    loaded = loaded_by(every_module_of("effnet_torch"))
    assert {"effnet_torch", "torch"} <= loaded
    assert loaded & {"tensorflow", "keras", "effnet_tf", "converters"} == set()


def test_preprocessing_in_numpy_loads_neither_onnx_nor_a_framework() -> None:
    loaded = loaded_by("import effnet_onnx.preprocessing")
    assert {"effnet_onnx", "numpy"} <= loaded
    assert loaded - set(sys.stdlib_module_names) - loaded_by("") == {"effnet_onnx", "effnet_core", "numpy"}


def test_a_worker_needs_numpy_and_its_framework_alone() -> None:
    loaded = loaded_by("import effnet.isolation.worker, effnet.isolation.network, effnet.testing.elsewhere")
    assert loaded - set(sys.stdlib_module_names) - loaded_by("") == {"effnet", "effnet_core", "numpy"}
    assert "converters" in loaded_by("import effnet.parity_engine.run")  # the control: what a worker must not load
