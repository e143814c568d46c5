"""What the user says about a checkpoint that is to be read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from effnet_core import Activation, EffnetError, InvalidOption, NetworkSpec

NO_ACTIVATION = "none"


class Ema(StrEnum):
    """What to do about moving averages."""

    AUTO = "auto"
    """Take them when every variable has one, or where the file holds nothing else. Where only a part of the variables
    has one, take all variables and no average, and say how many are without."""
    ALWAYS = "always"
    """Take them, or fail."""
    NEVER = "never"
    """Take the variables themselves, or fail."""


class EmaUnavailable(EffnetError):
    """The set of weights that was asked for is not in the file."""


def check_classes(num_classes: int | None) -> None:
    """Raise `InvalidOption` for a classifier of no class."""
    if num_classes is not None and num_classes < 1:
        raise InvalidOption(
            f"The number of classes (--num-classes, num_classes=...) is {num_classes}; a classifier needs at least 1. "
            "To leave the classifier out, convert with --drop-head, in Python Adaptation(drop_head=True)."
        )


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """What the user says about a checkpoint; None: find it out from the file."""

    format: str | None = None
    dialect: str | None = None
    arch: str | None = None
    width: float | None = None
    depth: float | None = None
    num_classes: int | None = None
    recipe: str | None = None
    prefix: str | None = None
    """What stands before the names of the network, where a file holds several or more than it."""
    ema: Ema = Ema.AUTO
    head_activation: str | None = None
    """What stands between the dense layers of a small head, of which weights tell nothing: the name of an activation,
    or `none`."""
    accept_different_logits: bool = False
    """Whether to take a network without the layers that were inserted into it, or one that pads odd sides otherwise."""
    spec: NetworkSpec | None = None
    """The whole definition, for a network that is no variant; width, depth and the others above are not looked at."""

    def __post_init__(self) -> None:
        """Take the words of `Ema` for its members.

        Raises `EmaUnavailable` for any other word, `InvalidOption` for an activation that there is not and for a
        classifier of no class.
        """
        check_classes(self.num_classes)
        if self.ema not in list(Ema):
            raise EmaUnavailable(f"ema is {self.ema!r}; expected one of {', '.join(Ema)}.")
        if self.head_activation not in (None, NO_ACTIVATION, *Activation):
            raise InvalidOption(
                f"The activation of hidden layers (--head-activation) is {self.head_activation!r}; expected "
                f"{NO_ACTIVATION} or one of {', '.join(Activation)}."
            )
        object.__setattr__(self, "ema", Ema(self.ema))


def accepting(options: SourceOptions | None, *, accept_different_logits: bool) -> SourceOptions | None:
    """The options, with what was accepted of the conversion as a whole."""
    if not accept_different_logits:
        return options
    return replace(options or SourceOptions(), accept_different_logits=True)
