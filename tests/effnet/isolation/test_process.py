"""Workers that really crash, hang and are interrupted: PyTorch, as far as they can see, is a file that does that."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from effnet import Network, parity
from effnet.errors import DeviceUnavailable, MissingFramework, SeparateProcessFailed
from effnet_core import InvalidOption, resolve
from tests.lively import lively_state

ROOT = Path(__file__).parents[3]
SPEC = resolve("b0", width=0.13, depth=0.35, num_classes=10)
NETWORK = Network(spec=SPEC, state=lively_state(SPEC), name="net.pth")
SLEEPS = "import os, time\nopen('{pid}', 'w').write(str(os.getpid()))\ntime.sleep(60)"


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files, of this process and of others."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


@pytest.fixture
def torch_is(tmp_path, monkeypatch):
    def put(source):
        package = tmp_path / "packages" / "torch"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(package.parent), str(ROOT)]))

    return put


def compared(**options):
    return parity(NETWORK, NETWORK, a_backend="torch", b_backend="torch", isolation="always", **options)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "import ctypes\nctypes.string_at(0)",
            r"(?s)A \(net.pth\) in PyTorch.*ended by SIGSEGV.*Segmentation fault.*torch/__init__.py.*native code",
        ),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", r"ended by SIGKILL.*said nothing.\n.*memory ran"),
        ("import sys\nsys.exit('the library is broken')", r"(?s)exit code 1.*\| the library is broken"),
        ("raise MemoryError", r"(?s)exit code 1.*MemoryError\n.*smaller or fewer images"),
        ("import no_such_library", r"(?s)No module named 'no_such_library'\nInstall what is missing for"),
        ("import os\nos._exit(0)", "ended without an answer"),
    ],
    ids=["SIGSEGV", "SIGKILL", "exit", "memory", "missing", "silent"],
)
def test_how_a_worker_ended_is_told(torch_is, temporary, source, message):
    torch_is(source)
    with pytest.raises(SeparateProcessFailed, match=message):
        compared()
    assert list(temporary.iterdir()) == []


def test_a_worker_that_hangs_is_ended(torch_is, temporary, tmp_path):
    torch_is(SLEEPS.format(pid=tmp_path / "pid"))
    with pytest.raises(SeparateProcessFailed, match="not done within 2 seconds") as caught:
        compared(time_limit=2)
    assert "--time-limit" in str(caught.value)
    assert not is_running(int((tmp_path / "pid").read_text()))
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_command_itself_is_ended(torch_is, temporary, tmp_path, number):
    torch_is(SLEEPS.format(pid=tmp_path / "pid"))
    file = str(ROOT / "tests" / "data" / "oracle" / "efficientnet-b0")
    code = (
        "import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from effnet.cli import main\nsys.argv = ['effnet', *sys.argv[1:]]\nmain()"
    )
    arguments = ["parity", file, file, "--a-backend", "torch", "--isolate", "always"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as done:
        worker = wait_for(lambda: int((tmp_path / "pid").read_text() or "-"))
        assert len(list(temporary.iterdir())) == 1  # the control: something is there to be left
        done.send_signal(number)
        _, errors = done.communicate(timeout=30)
    assert done.returncode == (130 if number == signal.SIGINT else -number)
    assert "Traceback" not in errors
    wait_for(lambda: is_running(worker) or True, until=lambda: not is_running(worker))
    assert list(temporary.iterdir()) == []


def test_an_error_of_the_user_stays_what_it_is(monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    with pytest.raises(MissingFramework, match=r"A \(net.pth\) in PyTorch, run by .*pip install .*'\.\[torch\]'"):
        compared()


def test_a_python_that_is_none_is_refused_at_once(tmp_path):
    with pytest.raises(SeparateProcessFailed, match=r"(?s)B \(net.pth\).*no such program.*\.venv/bin/python"):
        compared(b_python=tmp_path / "python")
    (tmp_path / "python").write_text("not a program")
    (tmp_path / "python").chmod(0o755)
    with pytest.raises(SeparateProcessFailed, match="cannot be started"):
        compared(a_python=tmp_path / "python")


def test_another_python_and_no_isolation_contradict_each_other():
    with pytest.raises(InvalidOption, match="one Python"):
        parity(NETWORK, NETWORK, isolation="never", b_python=sys.executable)
    with pytest.raises(InvalidOption, match="expected one of auto, always, never"):
        parity(NETWORK, NETWORK, isolation="sometimes")


def test_no_device_is_the_same_error(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    pytest.importorskip("torch", reason="PyTorch is not installed")
    with pytest.raises(DeviceUnavailable, match="--device cpu"):
        compared(device="cuda")


def is_running(process):
    try:
        state = re.search(r"State:\s+(\w)", Path(f"/proc/{process}/status").read_text())
    except OSError:
        return False
    return state is not None and state[1] != "Z"


def wait_for(value, *, until=lambda: True, seconds=30):
    """The value, as soon as it can be had and `until` holds."""
    end = time.monotonic() + seconds
    while True:
        try:
            found = value()
            if until():
                return found
        except (OSError, ValueError):
            pass
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
