import gzip
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from effnet import fetch
from effnet.cache import cache_folder
from effnet.errors import ChangedFile, DownloadError, InputError
from effnet_core.checkpoints import UnknownCheckpoint
from tests.effnet.archive_server import cut_short, fails, pauses, truncated

NAME = "b0-noisy-student"
FILE = f"{NAME}.tar.gz"


@pytest.fixture(autouse=True)
def mirror(server, cache, monkeypatch):
    monkeypatch.setenv("EFFNET_MIRROR", server.address)


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_the_first_fetch_downloads_and_records(server, cache):
    found = fetch("official:B0_noisy_student")
    assert server.requests == ["/mirror/noisystudent/noisy_student_efficientnet-b0.tar.gz"]
    assert found.path.read_bytes() == server.body
    assert (found.path, found.name, found.was_there) == (cache / FILE, NAME, False)
    assert (found.sha256, found.size) == (sha256(server.body), len(server.body))
    record = json.loads((cache / f"{NAME}.json").read_text())
    assert record["sha256"] == sha256(server.body)
    assert visible(cache) == [f"{NAME}.json", FILE]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_others_may_read_the_file_where_the_umask_lets_them(cache):
    before = os.umask(0o022)
    try:
        assert fetch(NAME).path.stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


def test_the_second_fetch_downloads_nothing(server):
    first, second = fetch(NAME), fetch(NAME)
    assert (second.path, second.sha256, second.was_there) == (first.path, first.sha256, True)
    assert len(server.requests) == 1


def test_a_file_that_was_changed_is_an_error_with_both_digests(server, cache):
    fetch(NAME)
    changed = bytearray(server.body)
    changed[1_234_567] ^= 1
    (cache / FILE).write_bytes(changed)
    with pytest.raises(ChangedFile, match="--force") as found:
        fetch(NAME)
    assert sha256(server.body) in str(found.value)
    assert sha256(bytes(changed)) in str(found.value)
    assert fetch(NAME, force=True).path.read_bytes() == server.body


def test_another_file_from_the_server_is_an_error_and_replaces_nothing(server, cache):
    fetch(NAME)
    before, server.body = server.body, server.body + b"more"
    with pytest.raises(ChangedFile, match="another file than the first time") as found:
        fetch(NAME, force=True)
    assert sha256(before) in str(found.value)
    assert sha256(server.body) in str(found.value)
    assert (cache / FILE).read_bytes() == before
    assert visible(cache) == [f"{NAME}.json", FILE]


def test_another_folder_gets_what_the_cache_holds(server, tmp_path):
    first, there = fetch(NAME), tmp_path / "there"
    there.mkdir()
    found = fetch(NAME, to=there)
    assert (found.path, found.sha256, found.was_there) == (there / FILE, first.sha256, True)
    assert found.path.read_bytes() == server.body
    assert (visible(there), len(server.requests)) == ([FILE], 1)
    assert not fetch(NAME, to=there, force=True).was_there
    assert len(server.requests) == 2


def test_a_damaged_file_of_the_cache_is_not_copied(server, cache, tmp_path):
    fetch(NAME)
    (cache / FILE).write_bytes(server.body[:-1])
    (tmp_path / "there").mkdir()
    found = fetch(NAME, to=tmp_path / "there")
    assert (found.path.read_bytes(), found.was_there) == (server.body, False)
    assert visible(tmp_path / "there") == [FILE]


def test_the_digest_holds_for_other_folders_too(server, cache, tmp_path):
    fetch(NAME)
    (cache / FILE).unlink()
    (tmp_path / "there").mkdir()
    server.body += b"more"
    with pytest.raises(ChangedFile):
        fetch(NAME, to=tmp_path / "there")
    assert visible(tmp_path / "there") == []
    found = fetch("b1-baseline", to=tmp_path / "there")
    assert found.path.read_bytes() == server.body
    assert visible(tmp_path / "there") == ["b1-baseline.tar.gz"]


@pytest.mark.parametrize("answer", [truncated, fails(500), fails(404)])
def test_a_failed_fetch_leaves_nothing_and_the_next_one_is_clean(server, cache, answer):
    server.answers = [answer]
    with pytest.raises(DownloadError, match=f"official:{NAME}"):
        fetch(NAME, retries=0)
    assert visible(cache) == []
    assert fetch(NAME).path.read_bytes() == server.body


def test_an_archive_that_ends_early_is_not_recorded(server, cache):
    server.body = gzip.compress(server.body, compresslevel=1)
    server.answers = [cut_short] * 3
    with pytest.raises(DownloadError, match="is incomplete or damaged"):
        fetch(NAME)
    assert visible(cache) == []
    server.answers = []
    assert fetch(NAME).path.read_bytes() == server.body


def test_a_failed_fetch_says_what_may_help(server, cache, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@127.0.0.1:1")
    server.answers = [fails(404)]
    with pytest.raises(DownloadError) as found:
        fetch(NAME, mirror=server.address)
    text = str(found.value)
    assert "https://storage.googleapis.com/cloud-tpu-checkpoints/efficientnet/noisystudent/" in text
    assert str(cache / FILE) in text
    assert "HTTPS_PROXY)" in text
    assert "secret" not in text
    assert len(text.splitlines()) < 12


def test_a_file_that_was_put_there_by_hand_is_taken(server, cache):
    cache.mkdir()
    (cache / FILE).write_bytes(b"from another machine")
    found = fetch(NAME)
    assert (found.was_there, found.sha256) == (True, sha256(b"from another machine"))
    assert server.requests == []
    (cache / FILE).write_bytes(b"something else")
    with pytest.raises(ChangedFile):
        fetch(NAME)


def test_many_at_once_download_once(server):
    server.answers = [pauses(0.3)]
    found = []
    threads = [threading.Thread(target=lambda: found.append(fetch(NAME))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.sha256 for one in found} == {sha256(server.body)}
    assert sorted(one.was_there for one in found) == [False, True, True, True]
    assert len(server.requests) == 1


def test_a_killed_fetch_leaves_no_half_file(server, cache):
    server.answers = [pauses(30)]
    code = f"from effnet import fetch; fetch({NAME!r})"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2], env=dict(os.environ))
    deadline = time.monotonic() + 30
    while not any(path.stat().st_size for path in cache.glob(f".{FILE}.*.partial/*")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not (cache / FILE).exists()
    assert list(cache.glob(".*.partial")) != []
    assert fetch(NAME).path.read_bytes() == server.body
    assert list(cache.glob(".*.partial")) == []


def test_what_is_asked_for_is_checked_before_anything_is_downloaded(server, tmp_path):
    with pytest.raises(UnknownCheckpoint):
        fetch("b9-noisy-student")
    with pytest.raises(InputError, match="Create it first"):
        fetch(NAME, to=tmp_path / "absent")
    with pytest.raises(InputError, match="https://"):
        fetch(NAME, mirror="ftp://127.0.0.1/")
    assert server.requests == []


@pytest.mark.parametrize("text", ["", "[]", '{"sha256": 1, "size": 2}', "\x00"])
def test_a_damaged_record_is_an_error(cache, text):
    fetch(NAME)
    (cache / f"{NAME}.json").write_text(text)
    with pytest.raises(DownloadError, match="damaged"):
        fetch(NAME)


def test_a_cache_that_cannot_be_made(cache, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EFFNET_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DownloadError, match="EFFNET_CACHE"):
        fetch(NAME)


def test_the_cache_is_where_the_platform_wants_it(tmp_path, monkeypatch):
    monkeypatch.delenv("EFFNET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    if sys.platform.startswith("linux"):
        assert cache_folder() == tmp_path / "xdg" / "effnet"
    monkeypatch.setenv("EFFNET_CACHE", "~/elsewhere")
    assert cache_folder() == Path.home() / "elsewhere"
