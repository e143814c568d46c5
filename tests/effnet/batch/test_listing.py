import os
from pathlib import Path

import pytest

from effnet.batch.listing import Images, Item, Table, Tree, chosen, parts, survey
from effnet.errors import InputError


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_folder_s_images_sorted_by_name_wherever_they_lie(tmp_path):
    touch(*(tmp_path / name for name in ("b.JPG", "a/z.png", "a/b.webp", "c.txt", ".hidden.png", ".d/x.png", "ä.gif")))
    (tmp_path / "link").symlink_to(tmp_path / "a")
    found = [str(Path(item.path).relative_to(tmp_path)) for item in Images(tmp_path).items()]
    assert found == ["a/b.webp", "a/z.png", "b.JPG", "link/b.webp", "link/z.png", "ä.gif"]


def test_named_files_are_taken_as_they_are_named(tmp_path):
    touch(tmp_path / "photo", tmp_path / "more/a.png")
    found = [item.path for item in Images([tmp_path / "photo", tmp_path / "more"]).items()]
    assert found == [str(tmp_path / "photo"), str(tmp_path / "more/a.png")]


def test_a_name_that_is_no_text_is_told_apart_in_the_table(tmp_path):
    strange = os.fsdecode(b"a\xff.png")
    touch(tmp_path / strange)
    [item] = Images(tmp_path).items()
    assert item.name.endswith("a\\xff.png")
    assert Path(item.path).exists()


def test_a_tree_is_one_folder_for_each_class(tmp_path):
    touch(tmp_path / "n2/x.png", tmp_path / "n1/deep/y.png", tmp_path / "readme.txt")
    (tmp_path / "n3").mkdir()
    tree = Tree(tmp_path)
    assert [(item.group, Path(item.path).name) for item in tree.items()] == [("n1", "y.png"), ("n2", "x.png")]
    assert tree.groups() == ("n1", "n2", "n3")


def test_a_table_says_the_images_and_their_classes(tmp_path):
    (tmp_path / "labels.csv").write_text('class,path\n3,"b, c.png"\n1,a.png\n', encoding="utf-8-sig")
    table = Table(tmp_path / "labels.csv", root=tmp_path)
    assert [(item.group, item.path) for item in table.items()] == [
        ("3", str(tmp_path / "b, c.png")),
        ("1", str(tmp_path / "a.png")),
    ]
    assert table.groups() == ("1", "3")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: Images(folder / "absent"), "absent cannot be read"),
        (lambda folder: Images([folder / "x.npy"]), "is an array"),
        (lambda folder: survey(Images(folder / "text")), "There is no image.*.webp"),
        (lambda folder: survey(Images(folder / "loop")), "a link to a folder that it lies in"),
        (lambda folder: Tree(folder / "x.npy"), "is no folder"),
        (lambda folder: Tree(folder / "text").groups(), "holds no folder"),
        (lambda folder: survey(Tree(folder / "flat")), "lies in no folder of a class"),
        (lambda folder: Table(folder / "absent.csv", root=folder), "absent.csv cannot be read"),
        (lambda folder: survey(Table(folder / "other.csv", root=folder)), "no column class; .* found path, label"),
        (lambda folder: survey(Table(folder / "hole.csv", root=folder)), "line 3: expected a path and a class"),
    ],
)
def test_what_cannot_be_listed_is_one_message(tmp_path, make, message):
    touch(tmp_path / "text/a.txt", tmp_path / "flat/a.png", tmp_path / "x.npy", tmp_path / "loop/a.png")
    (tmp_path / "loop/again").symlink_to(tmp_path / "loop")
    (tmp_path / "other.csv").write_text("path,label\na.png,1\n")
    (tmp_path / "hole.csv").write_text("path,class\na.png,1\nb.png,\n")
    with pytest.raises(InputError, match=message):
        make(tmp_path)


def test_the_digest_is_of_paths_classes_and_order(tmp_path):
    for name, rows in (("a", ["x,1", "y,2"]), ("b", ["y,2", "x,1"]), ("c", ["x,1", "y,3"]), ("d", ["x,1", "y,2"])):
        (tmp_path / f"{name}.csv").write_text("\n".join(["path,class", *rows]))
    digests = [survey(Table(tmp_path / f"{name}.csv", root=tmp_path)).digest for name in "abcd"]
    assert digests[0] == digests[3]
    assert len(set(digests)) == 3


def test_what_is_left_out_of_folders_is_told_by_its_ending(tmp_path):
    touch(*(tmp_path / "a" / name for name in ("x.png", "y.jfif", "z.JFIF", "deep/x.avif", "notes", ".hidden.avif")))
    told = "Left out as no images, by their endings: 2 .jfif, 1 .avif, 1 without an ending."
    assert survey(Images(tmp_path)).left_out == told
    touch(tmp_path / "readme.md")
    assert survey(Tree(tmp_path)).left_out == told.replace("ending.", "ending, 1 .md.")
    touch(tmp_path / "b/x.png")
    assert survey(Images(tmp_path / "b")).left_out is None  # the control
    touch(*(tmp_path / "c" / f"x.{number}" for number in range(7)))
    with pytest.raises(InputError, match=r"There is no image.* 1 \.4, 2 others\."):
        survey(Images(tmp_path / "c"))


class Fixed:
    def items(self, left_out=None):
        return (Item(path=str(number)) for number in range(10))

    def files(self):
        return iter(())

    def groups(self):
        return ()


@pytest.mark.parametrize(
    ("limit", "expected"), [(None, "0123456789"), (20, "0123456789"), (1, "9"), (2, "49"), (3, "369"), (5, "13579")]
)
def test_a_limit_takes_images_evenly_spread_over_all(limit, expected):
    assert "".join(item.path for item in chosen(Fixed(), count=10, limit=limit)) == expected


def test_parts_are_numbered_and_the_last_is_shorter():
    found = [(number, "".join(item.path for item in part)) for number, part in parts(Fixed().items(), 4)]
    assert found == [(0, "0123"), (1, "4567"), (2, "89")]
