import json

import pytest

from converters import OutputError
from effnet.batch.journal import Journal

ONE = {"batch": 2, "images": "abc"}


@pytest.fixture
def target(tmp_path):
    return tmp_path / "x.csv"


def opened(target, identity=ONE, *, resume=False, overwrite=False):
    return Journal(target, identity, resume=resume, overwrite=overwrite)


def test_an_interrupted_run_goes_on_where_it_was(target):
    with opened(target) as journal:
        journal.save(1, [["c", 3]])
        (journal.folder / "part-00000002.jsonl.new").write_text('["half')
    assert not target.exists()
    with opened(target, resume=True) as journal:
        assert journal.done() == {1}
        journal.save(0, [["a", 0.1], ["b", None]])
        rows = list(journal.rows())
        journal.finish(lambda path: path.write_text(json.dumps(rows)) and None, record="{}")
    assert json.loads(target.read_text()) == [["a", 0.1], ["b", None], ["c", 3]]
    assert {path.name for path in target.parent.iterdir()} == {"x.csv", "x.csv.run.json"}


def test_a_run_that_did_nothing_leaves_nothing(target):
    with opened(target, resume=True) as journal:
        assert journal.done() == frozenset()
        assert journal.folder.exists()
    assert list(target.parent.iterdir()) == []


def test_a_killed_process_that_did_nothing_is_in_nobody_s_way(target):
    folder = target.with_name("x.csv.partial")
    folder.mkdir()
    for name in ("run.json", "lock", "part-00000000.jsonl.new"):
        (folder / name).write_text("{")
    with opened(target) as journal:
        assert journal.done() == frozenset()


def test_a_damaged_part_is_named(target):
    with opened(target) as journal:
        journal.save(0, [["a"]])
        (journal.folder / "part-00000000.jsonl").write_text('["a"]\n["b')
        with pytest.raises(OutputError, match=r"part-00000000\.jsonl is damaged"):
            list(journal.rows())


def test_another_run_is_not_continued(target):
    with opened(target) as journal:
        journal.save(0, [["a"]])
    with pytest.raises(OutputError, match=r"another kind: batch was 2 and is 3\. Run it as before"):
        opened(target, ONE | {"batch": 3}, resume=True)
    with pytest.raises(OutputError, match=r"holds an unfinished run \(1 parts are done\). Pass --resume"):
        opened(target)
    with opened(target, ONE | {"batch": 3}, overwrite=True) as journal:
        assert journal.done() == frozenset()


def test_an_output_that_exists_stays_until_the_new_one_is_whole(target):
    target.write_text("before")
    with pytest.raises(OutputError, match="exists"):
        opened(target)
    assert list(target.parent.iterdir()) == [target]

    def fails(path):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with opened(target, overwrite=True) as journal:
        journal.save(0, [["a"]])
        with pytest.raises(OutputError, match=r"No space left on device\. What is done is kept in"):
            journal.finish(fails, record="{}")
    assert target.read_text() == "before"
    with opened(target, resume=True) as journal:
        assert journal.done() == {0}
        journal.finish(lambda path: path.write_text("after") and None, record="{}")
    assert target.read_text() == "after"


def test_one_process_at_a_time(target):
    with opened(target) as journal:
        with pytest.raises(OutputError, match="Another process is writing"):
            opened(target, resume=True)
        journal.save(0, [["a"]])
    with opened(target, resume=True):
        pass


@pytest.mark.parametrize("name", ["mine.txt", "part-xx.jsonl", "part-1.jsonl"])
@pytest.mark.parametrize("options", [{}, {"resume": True}, {"overwrite": True}])
def test_files_of_somebody_else_are_told_before_anything_is_done(target, name, options):
    folder = target.with_name("x.csv.partial")
    folder.mkdir()
    (folder / name).write_text("x")
    with pytest.raises(OutputError, match=rf"{name} is not of an unfinished run"):
        opened(target, **options)
    assert [path.name for path in folder.iterdir()] == [name]
    (folder / name).rename(folder / "part-00000000.jsonl.new")  # the control: a name of ours
    with opened(target, **options) as journal:
        assert journal.done() == frozenset()


def test_files_of_somebody_else_that_come_later_stay_and_stop_nothing(target):
    with opened(target) as journal:
        journal.save(0, [["a"]])
        (journal.folder / "part-xx.jsonl").write_text("x")
        assert journal.done() == {0}
        journal.finish(lambda path: path.write_text("table") and None, record="{}")
    assert target.read_text() == "table"
    assert [path.name for path in journal.folder.iterdir()] == ["part-xx.jsonl"]


def test_a_table_that_nothing_is_known_of_is_not_resumed(target):
    target.write_text("before")
    with pytest.raises(OutputError, match="nothing says what made it"):
        opened(target, resume=True)
    assert list(target.parent.iterdir()) == [target]


def test_a_damaged_description_is_another_run(target):
    with opened(target) as journal:
        journal.save(0, [["a"]])
        (journal.folder / "run.json").write_text("{")
    with pytest.raises(OutputError, match="another kind"):
        opened(target, resume=True)


def test_the_record_of_a_table_takes_no_other_file_s_place(target):
    mine = target.with_name("x.csv.run.json")
    mine.write_text('{"mine": 1}')
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"x\.csv\.run\.json is not of a run of x\.csv"):
            opened(target, overwrite=overwrite)
    assert list(target.parent.iterdir()) == [mine]
