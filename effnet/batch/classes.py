"""Which class of the network the name of a folder, or the word of a table, stands for; never by guessing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from effnet.errors import InputError
from effnet.labels import imagenet_labels
from effnet_core import Classifier

_WORDNET = re.compile(r"n\d{8}")
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Classes:
    """What every word stands for."""

    numbers: Mapping[str, int] = field(repr=False)
    """Word -> place in the network's output, its background class included."""
    rule: str
    """By which rule, a sentence."""


def match(words: Sequence[str], classifier: Classifier, *, file: Path | None = None) -> Classes:
    """The class of every word.

    `file` holds one word a line in the order of the classes. Without it, words that are all numbers, 0 among them, are
    numbers of classes from 0; those that all name one of ImageNet's classes, where the network has these, are those;
    and as many other words as the network has classes are these, sorted. The background class of official networks is
    not counted: 0 is the first class after it. Raises `InputError` for anything else.
    """
    offset = classifier.label_offset
    count = classifier.num_classes - offset
    numbers, rule = _by_file(words, file, count) if file is not None else _by_words(words, count)
    behind = "" if offset == 0 else f" The network's {offset} background class is not counted."
    return Classes(numbers={word: number + offset for word, number in numbers.items()}, rule=rule + behind)


def _by_file(words: Sequence[str], file: Path, count: int) -> tuple[dict[str, int], str]:
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{file} cannot be read as a text file in UTF-8: {error}.") from None
    if lines and all(_WORDNET.fullmatch(line.split(maxsplit=1)[0]) for line in lines):
        lines = [line.split(maxsplit=1)[0] for line in lines]
    repeated = [line for line, times in Counter(lines).items() if times > 1]
    if repeated:
        raise InputError(f"{file} names {_some(repeated)} more than once; expected one line for each class.")
    if len(lines) != count:
        raise InputError(f"{file} names {len(lines)} classes, and the network has {count}; expected one line for each.")
    order = {line: number for number, line in enumerate(lines)}
    unknown = [word for word in words if word not in order]
    if unknown:
        raise InputError(f"{file} does not name {_some(unknown)}; expected every class of the images.")
    return {word: order[word] for word in words}, f"Classes are the lines of {file}, from 0."


def _by_words(words: Sequence[str], count: int) -> tuple[dict[str, int], str]:
    names = _imagenet(count)
    kinds: list[tuple[str, Callable[[str], bool]]] = [
        ("numbers", lambda word: word.isascii() and word.isdigit()),
        ("names of ImageNet's classes", lambda word: word in names),
    ]
    for kind, belongs in kinds:
        some = [word for word in words if belongs(word)]
        if some and len(some) < len(words):
            others = [word for word in words if word not in set(some)]
            raise InputError(
                f"{_some(some)} are {kind}, and {_some(others)} are none; expected words of one kind. Name the "
                "classes in order in a file: --classes FILE."
            )
        if some:
            return _numbered(words, count) if kind == "numbers" else _named(words, names)
    if len(words) == count:
        return {word: place for place, word in enumerate(sorted(words))}, (
            f"Classes are the {count} sorted names, from {min(words)} = 0 to {max(words)} = {count - 1}."
        )
    raise InputError(
        f"There are {len(words)} names of classes ({_some(words)}), and the network has {count} classes: nothing says "
        "which is which. Name all classes in order in a file: --classes FILE."
    )


def _numbered(words: Sequence[str], count: int) -> tuple[dict[str, int], str]:
    found = {word: int(word) for word in words}
    outside = [word for word, number in found.items() if number >= count]
    if outside:
        raise InputError(
            f"{_some(outside)} are no classes of a network that has {count}, numbered from 0 without its background. "
            "Numbers that begin with 1 need a file: --classes FILE."
        )
    repeated = [word for word, number in found.items() if list(found.values()).count(number) > 1]
    if repeated:
        raise InputError(f"{_some(repeated)} are the same numbers; expected one name for each class.")
    if 0 not in found.values():
        raise InputError(
            f"{_some(words)} are numbers without 0: nothing says whether the network's {count} classes count from 0 or "
            f"from 1. Name all in order, one a line, in a file: --classes FILE (0 to {count - 1}, or 1 to {count})."
        )
    return found, "Classes are numbers, from 0."


def _named(words: Sequence[str], names: Mapping[str, tuple[int, ...]]) -> tuple[dict[str, int], str]:
    unclear = [word for word in words if len(names[word]) > 1]
    if unclear:
        several = ", ".join(f"{word} ({' and '.join(map(str, names[word]))})" for word in unclear[:_SHOWN])
        raise InputError(f"Several of ImageNet's classes have these names: {several}. Use numbers, or --classes FILE.")
    found = {word: names[word][0] for word in words}
    repeated = [word for word, number in found.items() if list(found.values()).count(number) > 1]
    if repeated:
        raise InputError(f"{_some(repeated)} are names of the same class; expected one name for each class.")
    return found, "Classes are ImageNet's, by name."


def _imagenet(count: int) -> dict[str, tuple[int, ...]]:
    """The names of ImageNet's classes, whole and each of their words, where the network has these classes.

    Where one is the whole name of one class and one of the words of another, it is the first's.
    """
    names = imagenet_labels()
    if len(names) != count:
        return {}
    words, wholes = dict[str, tuple[int, ...]](), dict[str, tuple[int, ...]]()
    for number, whole in enumerate(names):
        wholes[whole] = (*wholes.get(whole, ()), number)
        for word in whole.split(", "):
            words[word] = (*words.get(word, ()), number)
    return words | wholes


def _some(words: Sequence[str]) -> str:
    rest = len(words) - _SHOWN
    return ", ".join(map(repr, words[:_SHOWN])) + (f" and {rest} more" if rest > 0 else "")
