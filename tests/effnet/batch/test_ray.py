"""Ray Data over two workers of this machine: the same rows, whatever happens to a worker."""

import csv
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from effnet import BatchOptions, predict_many
from effnet.choices import Engine
from tests.effnet.batch.pictures import BROKEN, NETWORK, save_pictures

pytestmark = [
    pytest.mark.slow,  # Ray takes more than ten seconds to start, and a few for each worker
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),  # Ray's own, when it makes its own settings
]

psutil = pytest.importorskip("psutil", reason="the extra `dev` is not installed")
pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
LOCAL = BatchOptions(backend="onnx", batch=1, threads=1, top=2)  # of the backends, the quickest to start
RAY = replace(LOCAL, engine=Engine.RAY, workers=2)
COUNT = 50  # seven parts of eight
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def ray(tmp_path_factory):
    """One start for all tests here, with a home of its own."""
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(ROOT))  # workers import what this process does
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield ray
        ray.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    save_pictures(folder, COUNT - 1)
    (folder / "broken.jpg").write_bytes(BROKEN)
    return folder


@pytest.fixture(scope="module")
def plain(folder, tmp_path_factory):
    return read_plain(folder, tmp_path_factory.mktemp("plain"))


def read(target):
    with target.open(newline="") as file:
        return list(csv.DictReader(file))


def check_same(rows, plain):
    for found, expected in zip(rows, plain, strict=True):
        # Another number of threads sums in another order.
        numbers = [name for name in expected if name.startswith("probability")]
        assert [float(found.pop(name) or 0) for name in numbers] == pytest.approx(
            [float(expected[name] or 0) for name in numbers], rel=1e-5
        )
        assert found == {name: value for name, value in expected.items() if name not in numbers}


def test_two_workers_give_the_rows_of_the_plain_run(ray, folder, plain, tmp_path):
    seen = Counter()
    report = predict_many(
        NETWORK, folder, how=RAY, output=tmp_path / "x.csv", each=lambda row: seen.update([row["path"]])
    )
    assert (report.images, report.broken) == (COUNT, 1)
    assert len({row["probability_1"] for row in plain}) > COUNT / 2  # the control: rows are told apart
    check_same(read(tmp_path / "x.csv"), plain)
    assert set(seen.values()) == {1}


def workers():
    found = psutil.Process().children(recursive=True)
    return [process for process in found if "MapWorker" in " ".join(process.cmdline())]


def test_a_killed_worker_costs_nothing_but_time(ray, folder, tmp_path):
    # Large pictures, so that parts are left when the first one is there.
    large = tmp_path / "large.jpg"
    Image.open(folder / "00.png").convert("RGB").resize((2500, 2500)).save(large)
    many = tmp_path / "many"
    many.mkdir()
    for number in range(47):
        (many / f"{number:02}.jpg").symlink_to(large)
    last = many / "47.jpg"
    last.write_bytes(BROKEN)
    killed = []

    def kill_all(row):
        if not killed:
            killed.extend(workers())
            for process in killed:
                process.send_signal(signal.SIGKILL)
            psutil.wait_procs(killed, timeout=30)
            # Who reads this one now is a worker that was started since.
            last.unlink()
            last.symlink_to(large)

    report = predict_many(NETWORK, many, how=RAY, output=tmp_path / "x.csv", each=kill_all)
    assert killed
    assert not any(process.is_running() for process in killed)
    assert (report.images, report.broken) == (48, 0)
    plain = read_plain(many, tmp_path)
    check_same(read(tmp_path / "x.csv"), plain)


def read_plain(folder, tmp_path):
    predict_many(NETWORK, folder, how=LOCAL, output=tmp_path / "plain.csv")
    return read(tmp_path / "plain.csv")
