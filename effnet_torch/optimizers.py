"""The optimisers of the published recipes, with their arithmetic, for any training in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from effnet_core import InvalidOption, LearningRate, RmsProp, Sgd, Slot

_MEAN_SQUARE = "mean_square"
_MOMENTUM = "momentum"
_SGD_BUFFER = "momentum_buffer"
"""torch's own name in the state of its SGD."""


class TfRMSprop(Optimizer):
    """RMSProp as tf.train.RMSPropOptimizer does it, by which the published networks were trained.

    It differs from torch.optim.RMSprop: epsilon is added to the mean square inside the root, the mean square starts at
    one, and the learning rate goes into the momentum, so that a change of the rate acts on new gradients only.

    Source: `effnet_core.RmsProp`.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float,
        decay: float = 0.9,
        momentum: float = 0.9,
        eps: float = 1e-3,
        initial_mean_square: float = 1.0,
    ) -> None:
        if lr < 0 or not 0 <= decay < 1 or not 0 <= momentum < 1 or eps < 0 or initial_mean_square < 0:
            raise InvalidOption(
                f"RMSProp has lr {lr}, decay {decay}, momentum {momentum}, eps {eps} and initial_mean_square "
                f"{initial_mean_square}; expected none below 0, and decay and momentum below 1."
            )
        defaults = {
            "lr": lr,
            "decay": decay,
            "momentum": momentum,
            "eps": eps,
            "initial_mean_square": initial_mean_square,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient; gives what `closure` gives."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step(parameter, group)
        return loss

    def _step(self, parameter: Tensor, group: dict[str, Any]) -> None:
        if parameter.grad is None:
            return
        slots = _started(self, parameter, group)
        mean_square, momentum = slots[_MEAN_SQUARE], slots[_MOMENTUM]
        gradient = parameter.grad
        mean_square.add_((gradient * gradient - mean_square) * (1 - group["decay"]))
        momentum.mul_(group["momentum"]).add_(gradient * group["lr"] / (mean_square + group["eps"]).sqrt())
        parameter.sub_(momentum)


def create_optimizer(rule: Sgd | RmsProp, params: Iterable[Tensor], *, lr: float) -> Optimizer:
    """The optimiser of a recipe. SGD is torch's own, whose arithmetic is that of tf.train.MomentumOptimizer."""
    match rule:
        case RmsProp():
            return TfRMSprop(
                params,
                lr=lr,
                decay=rule.decay,
                momentum=rule.momentum,
                eps=rule.epsilon,
                initial_mean_square=rule.initial_mean_square,
            )
        case Sgd():
            return SGD(params, lr=lr, momentum=rule.momentum)


def create_schedule(optimizer: Optimizer, rate: LearningRate) -> LambdaLR:
    """A scheduler for a learning rate: call its `step()` after each step of the optimiser, not after each epoch.

    The optimiser must have been made with `lr=rate.peak`, of which every rate is a part.
    """
    return LambdaLR(optimizer, lambda step: rate.at(step) / rate.peak)


def read_slots(optimizer: Optimizer, parameter: Tensor) -> dict[Slot, Tensor]:
    """What the optimiser keeps for a parameter; where it has not made a step, what it will start with.

    Empty for an optimiser of another kind.
    """
    if isinstance(optimizer, TfRMSprop):
        slots = _started(optimizer, parameter, _group(optimizer, parameter))
        return {Slot.MEAN_SQUARE: slots[_MEAN_SQUARE], Slot.MOMENTUM: slots[_MOMENTUM]}
    if isinstance(optimizer, SGD):
        slots = optimizer.state[parameter]
        if slots.get(_SGD_BUFFER) is None:
            slots[_SGD_BUFFER] = torch.zeros_like(parameter)
        return {Slot.ACCUMULATED: slots[_SGD_BUFFER]}
    return {}


def _started(optimizer: Optimizer, parameter: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
    slots = cast("dict[str, Tensor]", optimizer.state[parameter])
    if not slots:
        slots[_MEAN_SQUARE] = torch.full_like(parameter, group["initial_mean_square"])
        slots[_MOMENTUM] = torch.zeros_like(parameter)
    return slots


def _group(optimizer: Optimizer, parameter: Tensor) -> dict[str, Any]:
    return next(group for group in optimizer.param_groups if any(each is parameter for each in group["params"]))
