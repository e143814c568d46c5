from collections.abc import Callable

import pytest

from converters import Ema, EmaUnavailable, SourceOptions
from converters.formats.base import Array
from effnet_core import CheckpointMismatch, resolve
from tests.converters.memory import equal, in_dialect, opened
from tests.lively import lively_state

SPEC = resolve("b0", width=0.13, num_classes=10)
RAW, EMA = lively_state(SPEC, seed=1), lively_state(SPEC, seed=2)
SUFFIX = "/ExponentialMovingAverage"


def _variables() -> dict[str, Array]:
    return in_dialect("official", SPEC, RAW)


def _shadows() -> dict[str, Array]:
    return {name + SUFFIX: array for name, array in in_dialect("official", SPEC, EMA).items()}


def _partial() -> dict[str, Array]:
    shadows = _shadows()
    del shadows["efficientnet-b0/head/dense/bias" + SUFFIX]
    return shadows


CASES = {
    # what the file holds, what is asked for: what is taken
    ("both", Ema.AUTO): EMA,
    ("both", Ema.ALWAYS): EMA,
    ("both", Ema.NEVER): RAW,
    ("variables", Ema.AUTO): RAW,
    ("variables", Ema.NEVER): RAW,
    ("shadows", Ema.AUTO): EMA,
    ("shadows", Ema.ALWAYS): EMA,
    ("partial", Ema.AUTO): RAW,
    ("partial", Ema.NEVER): RAW,
}
FILES = {
    "both": lambda: _variables() | _shadows(),
    "variables": _variables,
    "shadows": _shadows,
    "partial": lambda: _variables() | _partial(),
    "partial shadows": _partial,
}


@pytest.mark.parametrize(("file", "policy"), CASES)
def test_the_policy_chooses_the_weights(file: str, policy: Ema) -> None:
    checkpoint = opened(FILES[file](), SourceOptions(ema=policy))
    expected, other = (EMA, RAW) if CASES[file, policy] is EMA else (RAW, EMA)
    assert equal(checkpoint.state(), expected)
    assert not equal(checkpoint.state(), other)
    assert checkpoint.uses_ema == (expected is EMA)


@pytest.mark.parametrize(
    ("file", "policy", "message"),
    [
        ("variables", Ema.ALWAYS, "holds no moving averages"),
        ("partial", Ema.ALWAYS, "without one: 1, such as efficientnet-b0/head/dense/bias"),
        ("shadows", Ema.NEVER, "none of the variables themselves"),
    ],
)
def test_a_set_that_is_not_there_is_refused(file: str, policy: Ema, message: str) -> None:
    with pytest.raises(EmaUnavailable, match=message):
        opened(FILES[file](), SourceOptions(ema=policy))


def test_shadows_alone_must_be_complete() -> None:
    with pytest.raises(CheckpointMismatch, match=r"head/dense/bias \(classifier\.bias\)\nThe file holds mov"):
        opened(FILES["partial shadows"]())


@pytest.mark.parametrize("is_average", [lambda name: "moving" not in name, lambda name: "blocks_1" in name])
def test_two_parts_are_no_whole(is_average: Callable[[str], bool]) -> None:
    averages = {name: array for name, array in _shadows().items() if is_average(name)}
    variables = {name: array for name, array in _variables().items() if name + SUFFIX not in averages}
    for policy in (Ema.AUTO, Ema.ALWAYS):
        with pytest.raises(EmaUnavailable, match=rf"found {len(variables)} variables .* and {len(averages)} averages"):
            opened(averages | variables, SourceOptions(ema=policy))


def test_the_choice_is_said() -> None:
    assert any("exponential moving averages" in note for note in opened(FILES["both"]()).notes)
    assert any("without a moving average, 1 of 311" in note for note in opened(FILES["partial"]()).notes)


@pytest.mark.parametrize("policy", list(Ema))
def test_words_stand_for_the_policies(policy: Ema) -> None:
    by_word, by_member = SourceOptions(ema=policy.value), SourceOptions(ema=policy)  # a caller without a type checker
    assert by_word == by_member
    assert equal(opened(FILES["both"](), by_word).state(), opened(FILES["both"](), by_member).state())


@pytest.mark.parametrize("word", ["sometimes", "", True, None])
def test_other_words_are_refused(word: object) -> None:
    with pytest.raises(EmaUnavailable, match="expected one of auto, always, never"):
        SourceOptions(ema=word)
