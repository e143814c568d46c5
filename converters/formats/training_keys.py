"""Keys under which programs that train with PyTorch keep weights, and moving averages of them."""

from __future__ import annotations

from collections.abc import Mapping

from converters.errors import some_of

NESTED = (
    "state_dict",
    "model",
    "model_state_dict",
    "net",
    "network",
    "weights",
    "params",
    "model_state",
    "net_state",
    "net_state_dict",
    "network_state_dict",
    "best_state_dict",
    "best_model_state_dict",
    "module",
)
"""Keys under which training programs keep the state dict; where several hold tensors, the first of this order is taken.
Without any of them, the checkpoint itself is the state dict."""
AVERAGED = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema_model",
    "ema",
    "model_ema_state_dict",
    "ema_model_state_dict",
    "params_ema",
    "shadow",
    "shadow_params",
)
"""Keys under which they keep its moving averages beside it. Of the first that holds tensors these are given too, with
the key and a full stop before their names."""
HOLDERS = ("shadow", "shadow_params", "module", "ema_model", "model", "state_dict", "params")
"""Keys inside those, one level below, where a class for averages keeps them beside its own counters."""
COUNTERS = frozenset({"n_averaged", "num_updates", "decay", "initted", "step"})
"""Scalars that the classes for averages keep beside them."""
UNREAD_AVERAGES = "what looks like moving averages and is not read"
"""How the reason begins for what stands under a key of averages, but cannot be told which weights they belong to."""


def unread_averages(skipped: Mapping[str, str]) -> list[str]:
    """The names of what was left out of a file and looks like moving averages."""
    return [name for name, reason in skipped.items() if reason.startswith(UNREAD_AVERAGES)]


def note_on_unread(skipped: Mapping[str, str]) -> tuple[str, ...]:
    """A sentence for a file of which these were not read, where nothing else of it is averages."""
    found = unread_averages(skipped)
    if not found:
        return ()
    return (
        f"What is under {some_of(map(repr, found))} looks like moving averages and is not read; took the variables.",
    )
