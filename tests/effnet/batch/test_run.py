"""Many images through PyTorch, against `predict` of the same ones."""

import csv
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters import OutputError
from effnet import BatchOptions, Network, evaluate, predict, predict_many
from effnet.batch import ahead
from effnet.batch.listing import Item
from effnet.errors import InputError
from effnet_core import InvalidOption, with_classes, without_classifier
from tests.effnet.batch.pictures import BROKEN, NETWORK, SPEC, save_pictures
from tests.lively import lively_state

HOW = BatchOptions(backend="torch", batch=2, threads=2, top=3)
COUNT = 37  # two whole parts of eight batches and one that is shorter, whose last batch is too
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    save_pictures(folder, COUNT)
    return folder


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    """The bytes of the table of an undisturbed run."""
    target = tmp_path_factory.mktemp("whole") / "x.csv"
    report = predict_many(NETWORK, folder, how=HOW, output=target)
    assert (report.images, report.broken, report.taken_over) == (COUNT, 0, 0)
    return target.read_bytes()


def table(data):
    return list(csv.DictReader(data.decode().splitlines()))


def test_the_rows_are_what_predict_says(folder, whole):
    rows = table(whole)
    paths = sorted(folder.iterdir())
    found = predict(NETWORK, paths, backend="torch", top=3)
    assert [row["path"] for row in rows] == [str(path) for path in paths]
    assert [row["error"] for row in rows] == [""] * COUNT
    for row, item in zip(rows, found.items, strict=True):
        assert [int(row[f"class_{place}"]) for place in (1, 2, 3)] == [guess.index for guess in item.top]
        probabilities = [float(row[f"probability_{place}"]) for place in (1, 2, 3)]
        assert probabilities == pytest.approx([guess.probability for guess in item.top], rel=1e-4)
    # The control: rows differ, so that one of another image would be seen.
    assert len({row["probability_1"] for row in rows}) == COUNT


def test_parquet_holds_the_same_rows(folder, whole, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `tables` is not installed")
    predict_many(NETWORK, folder, how=HOW, output=tmp_path / "x.parquet")
    rows = parquet.read_table(tmp_path / "x.parquet").to_pylist()
    texts = [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
    assert texts == table(whole)


class Interruption(Exception):
    pass


def test_an_interrupted_run_gives_the_same_table(folder, whole, tmp_path):
    target, seen = tmp_path / "x.csv", Counter()

    def interrupt(row):
        seen[row["path"]] += 1
        if seen.total() == 35:
            raise Interruption

    with pytest.raises(Interruption):
        predict_many(NETWORK, folder, how=HOW, output=target, each=interrupt)
    assert not target.exists()
    (tmp_path / "x.csv.partial" / "part-00000000.jsonl").unlink()  # parts may be done in any order
    steps = []
    again = predict_many(
        NETWORK, folder, how=HOW, output=target, resume=True, progress=lambda *step: steps.append(step)
    )
    assert (again.images, again.taken_over) == (COUNT, 16)
    assert (steps[0], steps[-1]) == ((16, COUNT), (COUNT, COUNT))
    assert target.read_bytes() == whole
    assert {path.name for path in tmp_path.iterdir()} == {"x.csv", "x.csv.run.json"}


def test_a_killed_process_leaves_no_table_and_can_go_on(folder, whole, tmp_path):
    target = tmp_path / "x.csv"
    code = (
        "import os, signal, sys, effnet\n"
        "from tests.effnet.batch.pictures import NETWORK\n"
        "def kill(done, total):\n    done == 20 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "how = effnet.BatchOptions(backend='torch', batch=2, threads=2, top=3)\n"
        "effnet.predict_many(NETWORK, sys.argv[1], how=how, output=sys.argv[2], progress=kill)"
    )
    done = subprocess.run([sys.executable, "-c", code, folder, target], cwd=ROOT, check=False)
    assert done.returncode == -9
    assert not target.exists()
    assert predict_many(NETWORK, folder, how=HOW, output=target, resume=True).taken_over == 16
    assert target.read_bytes() == whole


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_of_a_finished_run_nothing_is_left_to_do(folder, tmp_path, ending):
    if ending == ".parquet":
        pytest.importorskip("pyarrow", reason="the extra `tables` is not installed")
    labels, target = tmp_path / "labels.csv", tmp_path / f"x{ending}"
    labels.write_text("path,class\n00.png,0\nabsent.png,1\n01.jpg,2\n02.png,0\n")

    def run(network=NETWORK, how=HOW, *, resume=True):
        return evaluate(network, folder, labels=labels, how=how, output=target, resume=resume)

    first = run(resume=False)
    before = target.read_bytes()
    again = run()
    assert (again.was_finished, again.images, again.taken_over, again.broken) == (True, 4, 4, 1)
    assert (again.top1, again.top5, again.examples) == (first.top1, first.top5, first.examples)
    with pytest.raises(OutputError, match="table of another run: weights was"):
        run(replace(NETWORK, state=lively_state(SPEC, seed=1)))
    with pytest.raises(OutputError, match="table of another run: batch was 2 and is 3"):
        run(how=replace(HOW, batch=3))
    assert target.read_bytes() == before
    target.write_bytes(b"path,error\n")  # somebody else's since
    with pytest.raises(OutputError, match="nothing says what made it"):
        run()
    assert target.read_bytes() == b"path,error\n"


def test_what_the_rows_depend_on_must_be_the_same_to_go_on(folder, tmp_path, monkeypatch):
    target = tmp_path / "x.csv"

    def fail(done, total):
        if done == 17:
            raise Interruption

    with pytest.raises(Interruption):
        predict_many(NETWORK, folder, how=HOW, output=target, progress=fail)
    other = replace(NETWORK, state=lively_state(SPEC, seed=1))
    for changed, how, images in (
        (other, HOW, folder),
        (NETWORK, replace(HOW, batch=3), folder),
        (NETWORK, replace(HOW, limit=5), folder),
        (NETWORK, HOW, sorted(folder.iterdir())[1:]),
    ):
        with pytest.raises(OutputError, match="another kind"):
            predict_many(changed, images, how=how, output=target, resume=True)
    with monkeypatch.context() as patch:
        patch.setattr("effnet.batch.identity.__version__", "0.0.1")
        with pytest.raises(OutputError, match=r"another kind: effnet was .* and is '0\.0\.1'"):
            predict_many(NETWORK, folder, how=HOW, output=target, resume=True)
    with monkeypatch.context() as patch:
        patch.setattr("effnet.environment.version", lambda name: "0.0.1")
        with pytest.raises(OutputError, match=r"libraries was 'torch .* and is 'torch 0\.0\.1, numpy 0\.0\.1"):
            predict_many(NETWORK, folder, how=HOW, output=target, resume=True)
    assert predict_many(NETWORK, folder, how=HOW, output=target, resume=True).taken_over == 16  # the control


def test_a_broken_image_has_a_row_with_the_reason(folder, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(BROKEN)
    images = [folder / "00.png", broken, folder / "01.jpg"]
    rows = []
    report = predict_many(NETWORK, images, how=HOW, each=rows.append)
    assert (report.images, report.broken) == (3, 1)
    assert str(broken) in report.examples[0].error
    assert [row["error"] is None for row in rows] == [True, False, True]
    assert [row["class_1"] is None for row in rows] == [False, True, False]
    with pytest.raises(InputError, match=r"broken\.jpg.*strict"):
        predict_many(NETWORK, images, how=replace(HOW, strict=True))


def test_logits_that_are_no_numbers_are_a_reason_too(folder):
    state = dict(NETWORK.state)
    state["classifier.bias"] = np.full_like(state["classifier.bias"], np.nan)
    report = predict_many(replace(NETWORK, state=state), folder, how=replace(HOW, limit=2))
    assert report.broken == 2
    assert "logits are NaN" in report.examples[0].error


def classes_as_the_network_sees_them(folder, network):
    """A folder of links to the images, in one for each class that the network gives first."""
    tree = folder.parent / "tree"
    for item in predict(network, sorted(folder.iterdir()), backend="torch", top=1).items:
        place = tree / str(item.top[0].index - network.spec.classifier.label_offset)
        place.mkdir(parents=True, exist_ok=True)
        (place / Path(item.name).name).symlink_to(item.name)
    return tree


def test_accuracy_is_that_of_the_true_classes(tmp_path):
    pictures = tmp_path / "pictures"
    save_pictures(pictures, 12)
    tree = classes_as_the_network_sees_them(pictures, NETWORK)
    assert len(list(tree.iterdir())) > 1  # the control of the control: else every mapping would be right
    right = evaluate(NETWORK, tree, how=HOW, output=tmp_path / "right.csv")
    assert (right.top1.count, right.top1.of, right.top5.count) == (12, 12, 12)
    assert {row["rank"] for row in table((tmp_path / "right.csv").read_bytes())} == {"1"}
    moved = sorted(path for path in tree.rglob("*") if path.is_symlink())[:5]
    labels = tmp_path / "labels.csv"
    rows = []
    for path in sorted(path for path in tree.rglob("*") if path.is_symlink()):
        true = int(path.parent.name)
        rows.append(f"{path.relative_to(tree)},{(true + 1) % 7 if path in moved else true}")
    labels.write_text("\n".join(["path,class", *rows]))
    wrong = evaluate(NETWORK, tree, labels=labels, how=HOW, output=tmp_path / "wrong.csv")
    assert (wrong.top1.count, wrong.top1.of) == (7, 12)
    ranks = [int(row["rank"]) for row in table((tmp_path / "wrong.csv").read_bytes())]
    assert sum(rank == 1 for rank in ranks) == 7
    assert wrong.top5.count == sum(rank <= 5 for rank in ranks)


def test_the_background_class_is_not_counted(tmp_path):
    spec = with_classes(SPEC, 8)
    spec = replace(spec, classifier=replace(spec.classifier, label_offset=1))
    state = lively_state(spec)
    state["classifier.bias"][0] = -100  # no picture is of the background
    network = Network(spec=spec, state=state, name="background")
    pictures = tmp_path / "pictures"
    save_pictures(pictures, 8)
    tree = classes_as_the_network_sees_them(pictures, network)
    (tree / "0").mkdir(exist_ok=True)  # says that numbers count from 0
    found = evaluate(network, tree, how=HOW)
    assert (found.top1.count, found.top1.of) == (8, 8)
    shifted = replace(network, spec=replace(spec, classifier=replace(spec.classifier, label_offset=0)))
    assert evaluate(shifted, tree, how=HOW).top1.count == 0


def test_files_that_a_table_names_and_that_are_not_there_are_broken(folder, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("path,class\n00.png,0\nabsent.png,1\n")
    found = evaluate(NETWORK, folder, labels=labels, how=HOW)
    assert (found.images, found.broken, found.top1.of) == (2, 1, 1)


def test_images_that_come_while_they_are_read_are_seen(folder, tmp_path):
    pictures = tmp_path / "pictures"
    save_pictures(pictures, 20)

    def add(done, total):
        (pictures / "99.png").write_bytes((folder / "00.png").read_bytes())

    with pytest.raises(InputError, match="20 images were listed, and 21 were there"):
        predict_many(NETWORK, pictures, how=HOW, progress=add)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "0 images in a batch"),
        ({"limit": 0}, "limit"),
        ({"parity": "torch"}, "Both backends are torch"),
        ({"parity": "tf", "dtype": "float64"}, "expected float32"),
        ({"engine": "spark"}, "expected one of local, ray"),
        ({"ray_address": "auto"}, "the engine is local"),
    ],
)
def test_options_that_cannot_be_are_refused(folder, options, message):
    with pytest.raises(InvalidOption, match=message):
        predict_many(NETWORK, folder, how=BatchOptions(**({"backend": "torch"} | options)))


@pytest.mark.parametrize("output", ["labels.csv", "hard.csv", "classes.csv", "network.csv", "image.csv"])
def test_no_input_is_overwritten(folder, tmp_path, output):
    for name in ("classes", "network", "free"):
        (tmp_path / f"{name}.csv").write_text("\n".join(map(str, range(7))))
    (tmp_path / "image.csv").write_bytes((folder / "00.png").read_bytes())
    (tmp_path / "labels.csv").write_text(f"path,class\n{tmp_path}/image.csv,0\n00.png,1\n")
    (tmp_path / "hard.csv").hardlink_to(tmp_path / "labels.csv")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def evaluated(network, target):
        options = {"labels": tmp_path / "labels.csv", "classes": tmp_path / "classes.csv", "overwrite": True}
        return evaluate(network, folder, how=HOW, output=tmp_path / target, **options)

    with pytest.raises(OutputError, match=rf"{output} is an input of the same command"):
        evaluated(tmp_path / "network.csv" if output == "network.csv" else NETWORK, output)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert evaluated(NETWORK, "free.csv").images == 2  # the control: another file is replaced


def test_no_image_that_is_named_is_overwritten(folder, tmp_path):
    image = tmp_path / "image.csv"
    image.write_bytes((folder / "00.png").read_bytes())
    with pytest.raises(OutputError, match="is an input of the same command"):
        predict_many(NETWORK, [folder, image], how=HOW, output=image, overwrite=True)
    assert image.read_bytes() == (folder / "00.png").read_bytes()


def test_there_is_nothing_to_resume_without_an_output(folder):
    with pytest.raises(InvalidOption, match="no output to resume"):
        predict_many(NETWORK, folder, how=HOW, resume=True)


def test_a_network_without_classifier_has_nothing_to_say(folder):
    spec = without_classifier(SPEC)
    network = Network(spec=spec, state=lively_state(spec), name="features")
    with pytest.raises(InvalidOption, match="nothing to predict"):
        predict_many(network, folder, how=HOW)


def test_only_so_many_images_are_decoded_ahead():
    waiting, most, lock = 0, 0, threading.Lock()

    def prepare(item):
        nonlocal waiting, most
        with lock:
            waiting += 1
            most = max(most, waiting)
        return np.zeros(1)

    for _ in ahead.prepared((Item(path=str(n)) for n in range(50)), prepare, threads=3, ahead=5):
        with lock:
            waiting -= 1
    assert 3 < most <= 6


def test_the_threads_end_with_whoever_reads():
    images = ahead.prepared((Item(path=str(n)) for n in range(50)), lambda _: np.zeros(1), threads=2, ahead=5)
    next(images)
    images.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("effnet-decode")]
