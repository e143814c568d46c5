"""What training programs keep beside a network, told by its names."""

from __future__ import annotations

import re

OPTIMISER = "of an optimiser"
_HOLDER = r"optim(?:i[sz]ers?)?(?:_states?|_state_dict|_weights)?"
"""What programs call an optimiser, as a key or as a part of a name."""
_SLOTS = frozenset({"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "momentum_buffer", "square_avg", "acc_delta"})
"""Last parts of names: what the optimisers of PyTorch keep for each weight."""
_PARTS = r"[./]"


def is_optimiser(key: str) -> bool:
    """Whether a key is what programs call the state of an optimiser."""
    return re.fullmatch(_HOLDER, key, re.IGNORECASE) is not None


def is_of_optimiser(name: str) -> bool:
    """Whether a tensor that is none of the network is an optimiser's: a slot, a step, a learning rate."""
    *holders, last = re.split(_PARTS, name)
    return last in _SLOTS or any(map(is_optimiser, holders))
