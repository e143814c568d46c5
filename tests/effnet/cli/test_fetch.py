import json

import pytest
from typer.testing import CliRunner

from effnet.cli.app import app
from tests.effnet.archive_server import fails

NAME = "b0-noisy-student"


@pytest.fixture
def run(server, cache, monkeypatch):
    monkeypatch.setenv("EFFNET_MIRROR", server.address)
    return lambda *words: CliRunner().invoke(app, words)


def test_fetch_says_where_the_file_lies(run, cache):
    result = run("fetch", NAME)
    assert result.exit_code == 0
    assert str(cache / f"{NAME}.tar.gz") in result.stdout
    assert "was there already" not in result.stdout
    assert "was there already" in run("fetch", NAME).stdout


def test_json(run, cache, tmp_path):
    found = json.loads(run("fetch", NAME, "--to", str(tmp_path), "--json").stdout)
    assert found["path"] == str(tmp_path / f"{NAME}.tar.gz")
    assert (found["name"], found["was_there"], len(found["sha256"])) == (NAME, False, 64)


def test_force_and_mirror(run, server):
    run("fetch", NAME)
    run("fetch", NAME, "--force")
    run("fetch", NAME, "--force", "--mirror", server.address.replace("/mirror/", "/other"))
    paths = ["/mirror/noisystudent/", "/mirror/noisystudent/", "/other/noisystudent/"]
    assert [path.rpartition("/")[0] + "/" for path in server.requests] == paths


@pytest.mark.parametrize(
    "command",
    [
        ("fetch", NAME),
        ("convert", f"official:{NAME}", "out.safetensors"),
        ("info", f"official:{NAME}"),
        ("inspect", f"official:{NAME}"),
        ("predict", f"official:{NAME}", __file__),
        ("parity", f"official:{NAME}", "b0.pth"),
    ],
    ids=lambda command: command[0],
)
def test_a_failed_download_is_one_screen_and_exit_code_2(run, server, command):
    server.answers = [fails(404)]
    result = run(*command)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"effnet: official:{NAME}: ")
    assert "answered 404" in result.stderr
    assert "HTTPS_PROXY" in result.stderr
    assert len(result.stderr.splitlines()) < 24


def test_nothing_is_fetched_for_an_image_that_is_not_there(run, server):
    result = run("predict", f"official:{NAME}", "cat.jpg")
    assert result.exit_code == 2
    assert "cat.jpg cannot be read: No such file or directory." in result.stderr
    assert server.requests == []


def test_a_name_that_is_none(run, server):
    result = run("convert", "official:b0-noisy-studant", "out.safetensors")
    assert result.exit_code == 2
    assert NAME in result.stderr
    assert server.requests == []
