"""Checkpoints of training programs that keep moving averages as a second set of weights under names of their own.

timm (`state_dict_ema`), torchvision's references (`model_ema`), torch.optim.swa_utils (`module.` beside `n_averaged`),
and modules that hold an averaged copy of themselves (`ema.`, `ema_model.`). Here one of the two sets is chosen before
anything else looks at the names, so that the rest of a conversion sees one network.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from converters.averages.ema import left_reason
from converters.errors import counted
from converters.formats.around import ReaderAround
from converters.formats.base import Reader
from converters.formats.training_keys import AVERAGED, COUNTERS
from converters.options import Ema, EmaUnavailable, SourceOptions

WORDS = (*AVERAGED, "averaged_model", "average_model", "swa_model", "ema_net", "net_ema")
"""What stands before the names of averages, followed by a full stop."""
_WRAPPER = "module."
_COUNTER = "n_averaged"
_MOST_PLACES = 32


class Averages(NamedTuple):
    """The names of averages in a file, and of the weights that they are averages of."""

    by_variable: Mapping[str, str]
    """Name of the weight to the name of its average. Where the file has only averages, their names without wrapper."""
    raw: tuple[str, ...]
    """The weights themselves: every name that stands where those do that have averages. Empty: only averages."""
    counters: tuple[str, ...]


def find_averages(names: Iterable[str]) -> Averages | None:
    """The averages among the names of a file; None where there are none."""
    every = list(names)
    known = set(every)
    if _COUNTER in known and all(name.startswith(_WRAPPER) for name in every if name != _COUNTER):
        wrapped = {name.removeprefix(_WRAPPER): name for name in every if name != _COUNTER}
        return Averages(by_variable=wrapped, raw=(), counters=(_COUNTER,)) if wrapped else None
    starts = {name[: name.find(".") + 1] for name in every}
    word = next((f"{word}." for word in WORDS if f"{word}." in starts), None)
    if word is None:
        return None
    counters = tuple(name for name in every if name.startswith(word) and name.removeprefix(word) in COUNTERS)
    averages = {name.removeprefix(word): name for name in every if name.startswith(word) and name not in counters}
    if not averages:
        return None
    others = [name for name in every if not name.startswith(word)]
    averages, place = _matched(averages, others)
    if place is None:
        return Averages(by_variable=averages, raw=(), counters=counters)
    return Averages(
        by_variable={place + name: average for name, average in averages.items()},
        raw=tuple(name for name in others if name.startswith(place)),
        counters=counters,
    )


def _matched(averages: dict[str, str], others: list[str]) -> tuple[dict[str, str], str | None]:
    """The averages by the names that the weights have behind their place, and that place; None where there are none.

    What stands before all names of averages is what wraps the averaged copy (`module.`, `_orig_mod.`): the weights may
    have it or not.
    """
    if all(name.startswith(_WRAPPER) for name in averages):
        averages = _without(averages, _WRAPPER)
    place = _place(others, averages)
    if place is None:
        inner = _without(averages, _common_wrapper(averages))
        place = _place(others, inner)
        averages = averages if place is None else inner
    return averages, place


def _common_wrapper(names: Collection[str]) -> str:
    """The modules, up to a full stop, that stand before every name."""
    first, last = min(names), max(names)
    same = [one == other for one, other in zip(first, last, strict=False)]
    length = same.index(False) if False in same else len(same)
    return first[: first.rfind(".", 0, length) + 1]


def _without(averages: Mapping[str, str], wrapper: str) -> dict[str, str]:
    return {name.removeprefix(wrapper): average for name, average in averages.items()}


def _place(names: list[str], averages: Mapping[str, str]) -> str | None:
    """What stands before the weights themselves, found by the names that both have; None where there are none."""
    known = set(names)
    # Any one may be missing among the weights; of a few that are not there, one is.
    for wanted in list(averages)[:8]:
        places = [name.removesuffix(wanted) for name in names if name.endswith(wanted)]
        whole = [place for place in places if place == "" or place.endswith(".")]
        if whole:
            return max(whole[:_MOST_PLACES], key=lambda place: sum(place + name in known for name in averages))
    return None


class Chosen(NamedTuple):
    """What the rest of a conversion looks at."""

    hidden: Mapping[str, str]
    """Names of the tensors of the other set and of counters, each with the reason why it is not looked at."""
    options: SourceOptions
    has_averages: bool
    uses_averages: bool
    only_averages: bool
    """Whether the file has averages and nothing else."""
    averages: frozenset[str]
    """The names of the averages that are taken, if they are."""
    notes: tuple[str, ...]


def choose_set(reader: Reader, options: SourceOptions) -> Chosen:
    """One of the two sets of weights of a file, by the policy in `options`; nothing is hidden where there is one set.

    Where `options.prefix` says where the network stands, so it is.

    Raises `EmaUnavailable` when the policy names a set that the file does not hold.
    """
    found = None if options.prefix is not None else find_averages(reader.tensors)
    if found is None:
        return Chosen(
            hidden={},
            options=options,
            has_averages=False,
            uses_averages=False,
            only_averages=False,
            averages=frozenset(),
            notes=(),
        )
    variables = [name for name in found.raw if _counts(reader, name)]
    absent = [name for name in variables if not _fits(reader, found, name)]
    _check_policy(options.ema, found, variables, absent)
    takes = not found.raw or options.ema is Ema.ALWAYS or (options.ema is Ema.AUTO and not absent)
    left = found.raw if takes else found.by_variable.values()
    return Chosen(
        hidden=dict.fromkeys(left, left_reason(takes_averages=takes))
        | dict.fromkeys(found.counters, "a counter of the averaging"),
        # The choice is made: what follows finds one set.
        options=replace(options, ema=Ema.AUTO),
        has_averages=True,
        uses_averages=takes,
        only_averages=reader.tensors.keys() <= {*found.by_variable.values(), *found.counters},
        averages=frozenset(found.by_variable.values()) if takes else frozenset(),
        notes=(_note(found, variables, absent, takes=takes),),
    )


def _counts(reader: Reader, name: str) -> bool:
    """Whether a tensor is a weight: averages of counters are kept by some, and not by others."""
    return reader.tensors[name].dtype.kind not in "iub"


def _fits(reader: Reader, found: Averages, name: str) -> bool:
    average = found.by_variable.get(name)
    return average is not None and reader.tensors[average].shape == reader.tensors[name].shape


def _check_policy(policy: Ema, found: Averages, variables: list[str], absent: list[str]) -> None:
    if policy is Ema.ALWAYS and absent:
        raise EmaUnavailable(
            f"Expected a moving average of each of the {len(variables)} variables; without one of their shape: "
            f"{len(absent)} of {len(variables)}, such as {absent[0]}. Use --ema never (ema='never') to take the "
            "variables."
        )
    if policy is Ema.NEVER and not found.raw:
        raise EmaUnavailable(
            f"The file holds {counted(len(found.by_variable), 'moving average')} and none of the variables themselves. "
            "Use --ema auto (ema='auto') to take the moving averages."
        )


def _note(found: Averages, variables: list[str], absent: list[str], *, takes: bool) -> str:
    average = next(iter(found.by_variable.values()))
    if takes:
        return f"Took the moving averages, such as {average}."
    if absent:
        return f"Took the variables: without a moving average, {len(absent)} of {len(variables)}, such as {absent[0]}."
    return f"Took the variables, not their moving averages, such as {average}."


class PartOfReader(ReaderAround):
    """A reader that does not show some of the tensors in a file."""

    def __init__(self, reader: Reader, *, hidden: Collection[str]) -> None:
        super().__init__(reader)
        self.tensors = {name: info for name, info in reader.tensors.items() if name not in hidden}
