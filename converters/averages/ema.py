"""Which of the two sets of weights in a training checkpoint to take.

The official code keeps an exponential moving average ("shadow") of every variable, moving statistics included, and
evaluates with the shadows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from converters.errors import counted, some_of
from converters.options import Ema, EmaUnavailable


class EmaChoice(NamedTuple):
    """Whether the moving averages are taken, and the sentence that says so to the user."""

    uses_ema: bool
    note: str | None


def choose_ema(
    policy: Ema,
    wanted: Collection[str],
    *,
    raw: Collection[str],
    shadows: Mapping[str, str],
    unread: Collection[str],
    dialect: str,
) -> EmaChoice:
    """Choose between the variables in `raw` and the moving averages in `shadows` (both by variable name).

    `unread` is what else in the file looks like averages, and is not read.

    Raises `EmaUnavailable` when the policy names a set that the file does not hold, and where each weight is in one of
    the two sets and neither set is whole.
    """
    absent = [name for name in wanted if name not in shadows]
    lacking = [name for name in wanted if name not in raw]
    if absent and lacking and raw and set(absent).isdisjoint(lacking):
        raise EmaUnavailable(
            f"Expected {len(wanted)} variables or a moving average of each; found {len(wanted) - len(lacking)} "
            f"variables (none of {lacking[0]}) and {len(wanted) - len(absent)} averages (none of {absent[0]}). Neither "
            "set is whole, and weights of the two do not belong together. Convert a checkpoint that has one of them "
            "whole."
        )
    if policy is Ema.ALWAYS and absent:
        raise EmaUnavailable(_no_shadows(wanted, absent, shadows, unread, dialect))
    if policy is Ema.NEVER and shadows and not any(name in raw for name in wanted):
        raise EmaUnavailable(
            f"The file holds {counted(len(shadows), 'moving average')} and none of the variables themselves. "
            "Use --ema auto (ema='auto') to take the moving averages."
        )
    if policy is Ema.NEVER or not shadows:
        return EmaChoice(uses_ema=False, note="Took the variables, not their moving averages." if shadows else None)
    if not absent or not any(name in raw for name in wanted):
        return EmaChoice(
            uses_ema=True, note="Took the exponential moving averages, which the official evaluation uses too."
        )
    return EmaChoice(
        uses_ema=False,
        note=f"Took the variables: without a moving average, {len(absent)} of {len(wanted)}, such as {absent[0]}.",
    )


def left_reason(*, takes_averages: bool) -> str:
    """Why the other one of a variable and its moving average is left out."""
    if takes_averages:
        return "the variable itself; its moving average was taken"
    return "the moving average; not taken"


def _no_shadows(
    wanted: Collection[str], absent: list[str], shadows: Mapping[str, str], unread: Collection[str], dialect: str
) -> str:
    if unread and not shadows:
        return (
            f"What the file holds under {some_of(map(repr, unread))} looks like moving averages and is not read: "
            "expected a dict of names to tensors there. Save one with torch.save, or use --ema auto (ema='auto') to "
            "take the weights that it has."
        )
    if not shadows:
        return (
            f"The file holds no moving averages (its names are those of {dialect}). "
            "Use --ema auto (ema='auto') to take the weights that it has."
        )
    return (
        f"Expected a moving average of each of the {len(wanted)} variables; without one: {len(absent)}, such "
        f"as {absent[0]}. Use --ema never (ema='never') to take the variables."
    )
