"""Staged files appear whole or not at all, with and without unnamed temporary files."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from converters.errors import OutputError
from converters.formats.staging import StagedFile


@pytest.fixture(params=["unnamed", "hidden name"])
def _temporary(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "hidden name":
        monkeypatch.delattr(os, "O_TMPFILE")


@pytest.mark.usefixtures("_temporary")
@pytest.mark.parametrize("overwrite", [False, True])
def test_appears_whole(overwrite: bool, tmp_path: Path) -> None:
    target = tmp_path / "out"
    if overwrite:
        target.write_bytes(b"before")
    with StagedFile(target, overwrite=overwrite, sync=True) as staged:
        assert staged.write(b"one") == 0
        assert staged.write(np.arange(3, dtype=np.uint8)) == 3
        staged.overwrite_at(0, memoryview(b"ONE"))
        assert staged.path.read_bytes() == b"ONE\0\1\2"
        assert target.exists() == overwrite
        staged.commit()
    assert target.read_bytes() == b"ONE\0\1\2"
    assert list(tmp_path.iterdir()) == [target]
    umask = os.umask(0)
    os.umask(umask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.usefixtures("_temporary")
def test_leaves_nothing_without_commit(tmp_path: Path) -> None:
    with StagedFile(tmp_path / "out", overwrite=False, sync=False) as staged:
        staged.write(b"x" * 10_000_000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_temporary")
def test_the_room_is_there_before_anything_is_written(tmp_path: Path) -> None:
    with StagedFile(tmp_path / "out", overwrite=False, sync=False) as staged:
        assert staged.path.stat().st_blocks == 0
        staged.allocate(1_000_000)
        is_unnamed = staged.path.parts[1] == "proc"
        assert (staged.path.stat().st_blocks * 512 >= 1_000_000) == is_unnamed
        staged.write(b"x" * 1_000_000)
        staged.commit()
    assert (tmp_path / "out").read_bytes() == b"x" * 1_000_000


def test_more_than_the_disk_has_is_refused_at_once(tmp_path: Path) -> None:
    with StagedFile(tmp_path / "out", overwrite=False, sync=False) as staged:
        if staged.path.parts[1] != "proc":
            pytest.skip("this file system knows no unnamed files (O_TMPFILE)")
        staged.allocate(1)
        with pytest.raises(OutputError, match=r"cannot be written: .*Nothing was left behind"):
            staged.allocate(1 << 62)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_a_system_that_cannot_take_room_writes_all_the_same(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", unknown)
    with StagedFile(tmp_path / "out", overwrite=False, sync=False) as staged:
        staged.allocate(3)
        staged.write(b"one")
        staged.commit()
    assert (tmp_path / "out").read_bytes() == b"one"


@pytest.mark.usefixtures("_temporary")
def test_an_output_that_appears_meanwhile_stays(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with StagedFile(target, overwrite=False, sync=False) as staged:
        staged.write(b"ours")
        target.write_bytes(b"theirs")
        with pytest.raises(OutputError, match="exists"):
            staged.commit()
    assert target.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [target]


def test_killed_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from converters.formats.staging import StagedFile\n"
        "staged = StagedFile(Path(sys.argv[1]), overwrite=False, sync=False)\n"
        "staged.write(b'x' * 1_000_000); print(staged.path.stat().st_size); sys.stdout.flush()\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).parents[3]
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "out")], capture_output=True, text=True, check=False, cwd=root
    )
    assert (result.returncode, result.stdout) == (-signal.SIGKILL, "1000000\n")
    assert list(tmp_path.iterdir()) == []
