"""Importing the frameworks, each case in a fresh interpreter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(code, level=None):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    if level is not None:
        environment["TF_CPP_MIN_LOG_LEVEL"] = level
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )


@pytest.mark.parametrize(("package", "backend", "extra"), [("tensorflow", "TF", "tf"), ("torch", "TORCH", "torch")])
def test_a_missing_framework_is_named_with_what_to_install(package, backend, extra):
    done = run(
        f"import sys; sys.modules[{package!r}] = None\n"  # Python's own way to say: importing this fails
        "from effnet.choices import Backend\nfrom effnet.errors import MissingFramework\n"
        "from effnet.frameworks import import_frameworks\n"
        f"try:\n    import_frameworks([Backend.{backend}])\nexcept MissingFramework as error:\n    print(error)"
    )
    assert f"pip install -c constraints.txt -e '.[{extra}]'" in done.stdout, done.stderr


def test_torch_comes_first_where_both_are_wanted_and_nothing_is_printed():
    done = run(
        "import sys\nfrom effnet.choices import Backend\nfrom effnet.frameworks import import_frameworks\n"
        "import_frameworks([Backend.TF, Backend.TORCH])\n"
        "names = list(sys.modules)\n"
        "assert names.index('torch._dynamo') < names.index('tensorflow'), 'order'\n"
        "print('stays', file=sys.stderr)"
    )
    assert (done.returncode, done.stderr) == (0, "stays\n")


def test_one_framework_does_not_load_the_other():
    done = run(
        "import sys\nfrom effnet.choices import Backend\nfrom effnet.frameworks import import_frameworks\n"
        "import_frameworks([Backend.TORCH])\nprint('torch' in sys.modules, 'tensorflow' in sys.modules)"
    )
    assert done.stdout == "True False\n", done.stderr


def test_the_start_up_log_is_kept_for_who_asks_for_everything():
    done = run(
        "from effnet.choices import Backend\nfrom effnet.frameworks import import_frameworks\n"
        "import_frameworks([Backend.TF])",
        level="0",
    )
    assert done.returncode == 0
    assert done.stderr != ""  # the test above has none of it
