"""What only a real process shows: pipes, signals, and what is loaded."""

import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from converters import convert

ROOT = Path(__file__).parents[3]
B0 = ROOT / "tests" / "data" / "oracle" / "efficientnet-b0"


def python(*arguments):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("arguments", [("list", "--json"), ("inspect", B0, "--tensors")])
def test_a_pipe_that_nobody_reads_ends_quietly(arguments):
    with python("-m", "effnet", *arguments) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_an_interrupt_is_exit_code_130():
    code = (
        "import signal, sys, time, effnet\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background starts without it
        "def slow(*_, **__):\n    print('ready', flush=True)\n    time.sleep(60)\n"
        "effnet.list_variants = slow\n"
        "from effnet.cli import main\nsys.argv = ['effnet', 'list']\nmain()"
    )
    with python("-c", code) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_help_loads_neither_numpy_nor_the_definitions():
    code = (
        "import sys\nsys.argv = ['effnet', '--help']\nfrom effnet.cli import main\n"
        "try:\n    main()\nfinally:\n"
        "    print({'numpy', 'rich', 'effnet_core', 'converters'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "set()\n"
    assert "convert" in done.stdout


def test_converting_loads_no_framework(tmp_path):
    code = (
        "import sys\nfrom effnet.cli import main\n"
        f"sys.argv = ['effnet', 'convert', {str(B0)!r}, {str(tmp_path / 'x.pth')!r}]\n"
        "try:\n    main()\nfinally:\n    print({'tensorflow', 'keras', 'torch'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "set()\n"
    assert (tmp_path / "x.pth").stat().st_size > 100_000


ELSEWHERE = {
    *(f"effnet_core.{name}" for name in ("counting", "initializers", "layer_list", "learning_rate", "naming")),
    *(f"effnet_core.{name}" for name in ("options", "pixel_plan", "resolving", "taps", "training", "variants")),
    "converters.changes.folding",
    *(
        f"converters.{name}"
        for name in ("comparing.difference", "comparing.digests", "memory", "changes.adapted_checkpoint")
    ),
    *(f"converters.networks.{name}" for name in ("architecture", "candidates", "cut_off", "found_network")),
    *(f"converters.heads.{name}" for name in ("configured", "file_heads", "layers", "small")),
    *(f"converters.keras_models.{name}" for name in ("config", "normalisation")),
    *(f"converters.dialects._huggingface_{name}" for name in ("config", "options", "reading")),
    "converters.dialects.json_fields",
    *(f"converters.dialects.{name}" for name in ("_timm_config", "_timm_names", "_timm_options", "_timm_prepared")),
    *(f"converters.dialects.{name}" for name in ("_timm_statements", "_timm_weights")),
    *("effnet.choices", "effnet.errors", "statistics", "base64"),
}
"""What other files and other commands need, and a conversion must not wait for."""


def test_a_file_with_its_definition_is_converted_without_what_others_need(tmp_path):
    convert(B0, tmp_path / "x.h5")
    code = (
        "import sys\nfrom effnet.cli import main\n"
        f"for source in ({str(tmp_path / 'x.h5')!r}, {str(B0)!r}):\n"
        f"    sys.argv = ['effnet', 'convert', source, {str(tmp_path / 'y.safetensors')!r}, '--force']\n"
        "    try:\n        main()\n    except SystemExit as end:\n        assert not end.code\n"
        "    print(*sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    with_definition, without = (set(line.split()) for line in done.stderr.splitlines())
    assert ELSEWHERE & with_definition == set()
    # the controls: what is listed exists, and a file without definition needs some of it
    assert all(map(find_spec, ELSEWHERE))
    assert {"effnet_core.variants", "effnet_core.resolving", "converters.networks.architecture"} <= ELSEWHERE & without


def test_a_folder_of_safetensors_is_converted_without_reading_pickles(tmp_path):
    convert(B0, tmp_path / "folder", to_format="hf-folder")
    convert(B0, tmp_path / "x.pth")
    code = (
        "import sys\nfrom effnet.cli import main\n"
        f"for source in ({str(tmp_path / 'folder')!r}, {str(tmp_path / 'x.pth')!r}):\n"
        f"    sys.argv = ['effnet', 'convert', source, {str(tmp_path / 'y.safetensors')!r}, '--force']\n"
        "    try:\n        main()\n    except SystemExit as end:\n        assert not end.code\n"
        "    print('converters.formats.pth' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["False", "True"]


def test_a_full_disk_leaves_nothing_of_a_keras_archive(tmp_path):
    code = (
        "import resource, sys\nfrom effnet.cli import main\n"
        f"sys.argv = ['effnet', 'convert', {str(B0)!r}, {str(tmp_path / 'x.keras')!r}]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\nmain()"
    )
    with python("-c", code) as process:
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 2, errors
    assert errors.startswith(f"effnet: {tmp_path / 'x.keras'} cannot be written")
    assert list(tmp_path.iterdir()) == []
