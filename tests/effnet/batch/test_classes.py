import pytest

from effnet.batch.classes import match
from effnet.errors import InputError
from effnet.labels import imagenet_labels
from effnet_core import Classifier

IMAGENET = Classifier(in_channels=8, num_classes=1000, label_offset=0, dropout_rate=0)
BACKGROUND = Classifier(in_channels=8, num_classes=1001, label_offset=1, dropout_rate=0)
THREE = Classifier(in_channels=8, num_classes=3, label_offset=0, dropout_rate=0)


@pytest.fixture
def file(tmp_path):
    def write(*lines):
        path = tmp_path / "classes.txt"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def numbers(words, classifier, **options):
    return [match(words, classifier, **options).numbers[word] for word in words]


def test_numbers_count_from_0_and_not_the_background():
    assert numbers(["0", "10", "002"], IMAGENET) == [0, 10, 2]
    assert numbers(["0", "999"], BACKGROUND) == [1, 1000]
    assert "background class is not counted" in match(["0"], BACKGROUND).rule


def test_numbers_without_0_are_what_a_file_says(file):
    assert numbers(["1", "2"], THREE, file=file("0", "1", "2")) == [1, 2]
    assert numbers(["1", "2"], THREE, file=file("1", "2", "3")) == [0, 1]
    assert numbers(["0", "1", "2"], THREE) == [0, 1, 2]  # the control: 0 says it


def test_names_of_imagenet_whole_or_a_word_of_them():
    labels = imagenet_labels()
    words = [labels[0], "goldfish", "tiger cat", "partridge"]
    expected = [0, 1, labels.index("tiger cat"), labels.index("partridge")]
    assert numbers(words, IMAGENET) == expected
    assert numbers(words, BACKGROUND) == [number + 1 for number in expected]


def test_as_many_names_as_classes_are_these_sorted():
    found = match(["rose", "daisy", "tulip"], THREE)
    assert found.numbers == {"daisy": 0, "rose": 1, "tulip": 2}
    assert found.rule == "Classes are the 3 sorted names, from daisy = 0 to tulip = 2."


def test_a_file_says_the_order(file):
    assert numbers(["daisy", "tulip"], THREE, file=file("tulip", "rose", "daisy")) == [2, 0]
    mapping = file("n02 x", "n01", "n03")
    assert numbers(["n01"], THREE, file=mapping) == [1]
    synsets = file("n00000002 second, other", "n00000001 first", "n00000003 third")
    assert numbers(["n00000001", "n00000002"], THREE, file=synsets) == [1, 0]


@pytest.mark.parametrize(
    ("words", "classifier", "message"),
    [
        (["n01440764", "n01443537"], IMAGENET, "2 names of classes .* has 1000 classes: nothing says"),
        (["rose", "daisy"], THREE, "nothing says which is which"),
        (["1", "2", "3"], THREE, "'3' are no classes of a network that has 3.*--classes"),
        (["1", "2"], THREE, "without 0: nothing says .* 3 classes count from 0 or from 1.*0 to 2, or 1 to 3"),
        (["999"], BACKGROUND, "without 0"),
        (["1000"], BACKGROUND, "'1000' are no classes of a network that has 1000"),
        (["1", "01"], THREE, "the same numbers"),
        (["0", "1", "rose"], THREE, "'0', '1' are numbers, and 'rose' are none"),
        (["goldfish", "dragon"], IMAGENET, "'goldfish' are names of ImageNet's classes, and 'dragon' are none"),
        (["goldfish", "Carassius auratus"], IMAGENET, "names of the same class"),
        (["crane", "goldfish"], IMAGENET, r"crane \(134 and 517\)"),
    ],
)
def test_nothing_is_guessed(words, classifier, message):
    with pytest.raises(InputError, match=message):
        match(words, classifier)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a", "b"], "names 2 classes, and the network has 3"),
        (["a", "b", "a"], "names 'a' more than once"),
        (["a", "b", "c"], "does not name 'd'"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(file, lines, message):
    with pytest.raises(InputError, match=message):
        match(["a", "d"], THREE, file=file(*lines))
