import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WATCHED = ("pyproject.toml", "constraints.txt", "tools/_setup")
WATCHED_FOREIGN = ("constraints-foreign.txt", "tools/_setup")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the setup reads, with an environment that was finished for the extras `torch images`."""
    (tmp_path / "tools").mkdir()
    for name in {*WATCHED, *WATCHED_FOREIGN}:
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    # It never installs anything: what it would install into is the Python behind it.
    refuses = 'case "$*" in *"pip install"*) echo "pip install was called" >&2; exit 1 ;; esac'
    write_program(tmp_path / ".venv" / "bin" / "python", f'{refuses}\nexec {sys.executable} "$@"')
    fingerprint = bash(tmp_path, "_fingerprint $ROOT/.venv").stdout
    assert len(fingerprint.strip()) == 64
    (tmp_path / ".venv" / "effnet-ready").write_text(f"{fingerprint}torch images\n")
    return tmp_path


@pytest.fixture
def with_foreign(checkout: Path) -> Path:
    """The same with a second environment, finished for other projects' implementations."""
    (checkout / ".venv-foreign" / "bin").mkdir(parents=True)
    (checkout / ".venv-foreign" / "bin" / "python").symlink_to(sys.executable)
    fingerprint = bash(checkout, 'WATCHED=("${WATCHED_FOREIGN[@]}"); _fingerprint $ROOT/.venv-foreign').stdout
    assert len(fingerprint.strip()) == 64
    (checkout / ".venv-foreign" / "effnet-ready").write_text(f"{fingerprint}\n")
    return checkout


@pytest.fixture
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search path on which every file system has 3 GB left."""
    folder = tmp_path_factory.mktemp("bin")
    write_program(folder / "df", "echo Filesystem; echo disk 10000000 7000000 3000000 70% /")
    return folder


def write_program(path: Path, commands: str) -> None:
    path.write_text(f"#!/bin/sh\n{commands}\n")
    path.chmod(0o755)


def bash(checkout: Path, command: str, *, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    script = f"set -euo pipefail; source {checkout}/tools/_setup; {command}"
    environment = os.environ | ({} if path is None else {"PATH": str(path)})
    executable = shutil.which("bash")
    assert executable is not None
    return subprocess.run([executable, "-c", script], env=environment, capture_output=True, text=True, check=False)


def is_ready(checkout: Path, extras: str) -> bool:
    return bash(checkout, f"_is_ready $ROOT/.venv {extras}").returncode == 0


@pytest.mark.parametrize("extras", ["torch images", "images", ""])
def test_a_finished_environment_is_used_as_it_is(checkout: Path, extras: str) -> None:
    done = bash(checkout, f"setup_environment .venv {extras}")
    assert (done.returncode, done.stderr) == (0, "")


def test_another_extra_is_seen(checkout: Path) -> None:
    assert not is_ready(checkout, "torch foreign")


@pytest.mark.parametrize("name", WATCHED)
def test_a_change_of_what_it_depends_on_is_seen(checkout: Path, name: str) -> None:
    with (checkout / name).open("a") as file:
        file.write("\n# changed\n")
    assert not is_ready(checkout, "torch")


def test_an_interruption_is_seen(checkout: Path) -> None:
    (checkout / ".venv" / "effnet-unfinished").touch()
    assert not is_ready(checkout, "torch")


def test_an_environment_that_was_moved_is_seen(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    moved = tmp_path_factory.mktemp("moved") / "checkout"
    checkout.rename(moved)
    assert not is_ready(moved, "torch")


def test_an_interrupted_environment_is_made_anew(checkout: Path) -> None:
    (checkout / ".venv" / "effnet-unfinished").touch()
    (checkout / ".venv" / "half-unpacked").touch()
    done = bash(checkout, "_make_environment $ROOT/.venv && $ROOT/.venv/bin/python -m pip --version")
    assert done.returncode == 0, done.stderr
    assert "interrupted" in done.stderr
    assert not (checkout / ".venv" / "half-unpacked").exists()
    assert (checkout / ".venv" / "effnet-unfinished").exists()


def test_a_folder_that_is_no_environment_is_left_alone(checkout: Path) -> None:
    (checkout / ".venv" / "bin" / "python").unlink()
    (checkout / ".venv" / "precious").touch()
    done = bash(checkout, "_make_environment $ROOT/.venv")
    assert done.returncode == 1
    assert "Remove it" in done.stderr
    assert (checkout / ".venv" / "precious").exists()


@pytest.mark.parametrize(
    ("version", "has_venv", "message"),
    [("309", True, "expected Python 3.11"), ("314", True, "expected Python 3.11"), ("311", False, "python3-venv")],
)
def test_a_python_that_cannot_be_used_is_explained(
    checkout: Path, tmp_path: Path, version: str, has_venv: bool, message: str
) -> None:
    folder = tmp_path / "path"
    folder.mkdir()
    python = folder / "python3"
    python.write_text(
        f"""#!/bin/sh
case "$*" in
*ensurepip*) exit {0 if has_venv else 1} ;;
*version_info*) echo {version} ;;
--version) echo Python {version} ;;
esac
"""
    )
    python.chmod(0o755)
    for program in ("bash", "sh", "dirname"):
        found = shutil.which(program)
        assert found is not None
        (folder / program).symlink_to(found)
    done = bash(checkout, "_find_python", path=folder)
    assert done.returncode == 1
    assert message in done.stderr


def test_a_python_that_can_be_used_is_found(checkout: Path) -> None:
    done = bash(checkout, "_find_python")
    assert done.returncode == 0
    assert Path(done.stdout.strip()).exists()


def test_a_finished_foreign_environment_is_used_as_it_is(with_foreign: Path) -> None:
    (with_foreign / "pyproject.toml").write_text("")  # none of its business
    done = bash(with_foreign, "setup_foreign_environment .venv-foreign")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", [*WATCHED_FOREIGN, ".venv-foreign/effnet-unfinished"])
def test_a_foreign_environment_that_does_not_fit_is_seen(with_foreign: Path, name: str) -> None:
    check = 'WATCHED=("${WATCHED_FOREIGN[@]}"); _is_ready $ROOT/.venv-foreign'
    assert bash(with_foreign, check).returncode == 0
    with (with_foreign / name).open("a") as file:
        file.write("\n# changed\n")
    assert bash(with_foreign, check).returncode == 1


def test_a_full_disk_is_seen_before_anything_is_written(checkout: Path, small_disk: Path) -> None:
    done = bash(checkout, f"PATH={small_disk}:$PATH; setup_foreign_environment .venv-foreign")
    assert done.returncode == 1
    assert "needs 7 GB" in done.stderr
    assert "has 3 GB left" in done.stderr
    assert not (checkout / ".venv-foreign").exists()


def test_the_last_lines_say_what_was_not_compared(checkout: Path, small_disk: Path) -> None:
    shutil.copy(ROOT / "tools/test", checkout / "tools/test")
    for program in ("ruff", "pyright"):
        write_program(checkout / ".venv/bin" / program, "exit 0")
    note = checkout / ".venv/effnet-ready"
    [extras] = re.findall(r"^extras=\((.*)\)$", (ROOT / "tools/test").read_text(), re.MULTILINE)
    note.write_text(note.read_text().replace("torch images", f"{extras} foreign"))
    done = bash(checkout, f"PATH={small_disk}:$PATH $ROOT/tools/test --version")
    assert done.returncode == 0, done.stderr
    assert "has 3 GB left" in done.stderr
    last = done.stderr.splitlines()[-2:]
    assert "setup of .venv-foreign failed" in last[0]
    assert last[1] == "All checks passed."
    left_out = bash(checkout, "$ROOT/tools/test --without-foreign --version")
    assert "--without-foreign" in left_out.stderr.splitlines()[-2]
