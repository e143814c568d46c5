"""`assert_parity`: any Keras model against any PyTorch module, or two of one framework."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from effnet.choices import Device, Layout, Precision
from effnet.errors import IncomparableNetworks, InputError
from effnet.parity_engine.compare import Limits, Outputs, check_limit, compare
from effnet.testing.result import ParityError, ParityResult
from effnet.testing.sides import IMAGE_AXES, Array, Recorded, Side, as_given, side_of
from effnet_core import InvalidOption

Names = Mapping[str, str] | Sequence[tuple[str, str]]
_BATCH_AND_MORE = 2

_ALONE = {Precision.FLOAT32: 1e-5, Precision.FLOAT64: 1e-11}
"""Allowed where one precision is compared alone, which leaves no measure of rounding: a part of the largest value."""


def assert_parity(
    a: Any,
    b: Any,
    *,
    inputs: NDArray[Any] | tuple[int, ...],
    seed: int = 0,
    names: Names | None = None,
    tolerance: Limits | float | None = None,
    precision: Precision | str | None = None,
    device: Device | str = Device.CPU,
    a_layout: Layout | str | None = None,
    b_layout: Layout | str | None = None,
    not_images: Collection[str] = (),
) -> ParityResult:
    """Fail unless two models compute the same function of the same input, in inference mode.

    `a` and `b` are Keras models, PyTorch modules or `Elsewhere`. `inputs` is an array, or the shape of seeded N(0, 1)
    numbers; images have the shape (N, H, W, C) for either framework and reach PyTorch as (N, C, H, W). `a_layout` and
    `b_layout` say otherwise for a model ("channels_first", "channels_last"). Results with four axes count as images
    too; `not_images` names those that are none, such as attention maps (N, heads, T, T), by `a`'s name or "output.KEY":
    they are compared as both models give them.

    `names` maps what `a` calls a layer to what `b` calls it: names of Keras layers (`inner/conv` for a layer of a model
    within), paths of PyTorch modules. These results are compared in forward order of `a`, then the outputs, and the
    failure names the first that differs. Two EfficientNets of this project have names by themselves.

    Float64 decides whether two results are the same function, and float32 has to agree but for rounding, as in
    `effnet.parity`. `tolerance` allows more: a part of the largest value of each result, for both precisions or as
    `Limits`. `precision` compares in one alone, for models that cannot be converted; without a measure of its rounding
    1e-5 is allowed in float32 and 1e-11 in float64. The models are copied: their weights, modes and types, and random
    numbers stay as they are.

    Raises `ParityError`, an AssertionError with the table around the first difference; `UnusableModel`,
    `IncomparableNetworks` for results that do not fit each other, `InputError`, `InvalidOption`, `DeviceUnavailable`
    and `SeparateProcessFailed`. Warns where outputs agree and are constant or the same for every image: that proves
    little.
    """
    __tracebackhide__ = True
    sides = side_of(a, _layout(a_layout)), side_of(b, _layout(b_layout))
    array, description = _input(inputs, seed)
    precisions = tuple(Precision) if precision is None else (Precision(precision),)
    limits = _limits(tolerance, precisions)
    pairs = _pairs(sides, names)
    where = Device(device)
    ran = [
        side.run(array, list(dict.fromkeys(own)), precisions=precisions, device=where)
        for side, own in zip(sides, zip(*pairs.values(), strict=True) if pairs else ((), ()), strict=True)
    ]
    matched = {chosen: _matched(ran[0][chosen], ran[1][chosen], pairs, not_images) for chosen in precisions}
    result = ParityResult(
        a=sides[0].title,
        b=sides[1].title,
        input=description,
        device=where,
        precisions=precisions,
        names={name: pairs.get(name, (name, name)) for name in matched[precisions[0]][0]},
        comparison=compare(*_outputs(matched), limits=limits),
    )
    if not result.agrees:
        raise ParityError(result)
    dull = [layer for layer in result.comparison.layers if layer.remarks]
    if dull:
        words = f"{dull[0].name} is {dull[0].remarks[0].value}"
        warnings.warn(f"The models agree, but {words}. Give them lively weights and other input.", stacklevel=2)
    return result


def _layout(given: Layout | str | None) -> Layout | None:
    return None if given is None else Layout(given)


def _input(given: NDArray[Any] | tuple[int, ...], seed: int) -> tuple[Array, str]:
    if isinstance(given, np.ndarray):
        if given.ndim < _BATCH_AND_MORE or 0 in given.shape or given.dtype.kind not in "fiu":
            raise InputError(
                f"The input has the shape {given.shape} and the type {given.dtype}; expected numbers, the batch first."
            )
        if not np.isfinite(given).all():
            raise InputError("The input holds NaN or Inf; expected finite numbers.")
        return given, f"an array of shape {given.shape}"
    untyped: Any = given
    shape = tuple(cast("Sequence[Any]", untyped)) if isinstance(untyped, list | tuple) else ()
    if len(shape) < _BATCH_AND_MORE or not all(isinstance(side, int) and side > 0 for side in shape):
        raise InputError(f"The input is {given!r}; expected an array or a shape, such as (2, 64, 48, 3).")
    values = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    return values, f"random N(0, 1) of shape {shape} from seed {seed}"


def _pairs(sides: tuple[Side, Side], names: Names | None) -> dict[str, tuple[str, str]]:
    """What the table calls a result -> what each side calls it."""
    if names is not None:
        given = _listed(names)
        several = sorted({left for left, _ in given if sum(left == other for other, _ in given) > 1})
        if several:
            raise InvalidOption(
                f"names has {', '.join(several)} more than once; expected each result of A once. Compare the other "
                "pairs in a second call."
            )
        return {left: (left, right) for left, right in given}
    own = [side.endpoints() for side in sides]
    return {name: (own[0][name], own[1][name]) for name in own[0] if name in own[1]}


def _listed(names: Names) -> list[tuple[str, str]]:
    untyped: Any = names
    items: list[Any] = list(untyped.items()) if isinstance(names, Mapping) else list(untyped)
    for item in items:
        parts = cast("Sequence[Any]", item) if isinstance(item, list | tuple) else ()
        if len(parts) != 2 or not all(isinstance(part, str) for part in parts):
            raise InvalidOption(
                f"names has {item!r}; expected {{'layer of A': 'module of B'}}, or pairs of two such names."
            )
    return [(left, right) for left, right in items]


def _matched(
    a: Recorded, b: Recorded, pairs: Mapping[str, tuple[str, str]], not_images: Collection[str]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """The results of both under the names of the table, in forward order of `a`, in one shape."""
    order = {name: index for index, name in enumerate(a.values)}
    found = {
        name: (a.values[left], b.values[right])
        for name, (left, right) in sorted(pairs.items(), key=lambda pair: order[pair[1][0]])
    }
    if set(a.outputs) != set(b.outputs):
        raise IncomparableNetworks(
            f"The models give other outputs: {', '.join(a.outputs)} against {', '.join(b.outputs)}. Compare models "
            "that give the same ones under the same names, wrapped if need be."
        )
    # A layer may be called "output" too.
    found |= {
        f"{name} of the model" if name in found else name: (a.outputs[name], b.outputs[name]) for name in a.outputs
    }
    unknown = sorted(set(not_images) - set(found))
    if unknown:
        raise InvalidOption(
            f"not_images names {', '.join(unknown)}, which is not compared; expected some of {', '.join(found)}."
        )
    layouts = a.layout, b.layout
    for name in not_images:
        left, right = found[name]
        found[name] = as_given(left, layouts[0]), as_given(right, layouts[1])
    fitted = {name: _fitted(name, *both, layouts=layouts) for name, both in found.items()}
    return {name: both[0] for name, both in fitted.items()}, {name: both[1] for name, both in fitted.items()}


def _fitted(name: str, a: Array, b: Array, *, layouts: tuple[Layout, Layout]) -> tuple[Array, Array]:
    """Both in one shape: a result without image axes, or one that keeps the channels last, may be there."""
    if a.shape == b.shape:
        return a, b
    # With as many axes on both sides, height and width would be mixed up.
    if a.ndim != b.ndim and [side for side in a.shape if side > 1] == [side for side in b.shape if side > 1]:
        return a, b.reshape(a.shape)  # (N, 1, 1, C) against (N, C)
    hint = ""
    if a.ndim == b.ndim == IMAGE_AXES and sorted(a.shape) == sorted(b.shape):
        hint = " Say where a model has its channels: a_layout, b_layout."
        if as_given(a, layouts[0]).shape == as_given(b, layouts[1]).shape:
            hint = f" Both models give it in one shape; if it is no image, compare it so: not_images=[{name!r}]."
    raise IncomparableNetworks(
        f"{name} has the shape {a.shape} in A and {b.shape} in B (images channels last), so that there is nothing to "
        f"compare. Name results that hold the same.{hint}"
    )


def _outputs(matched: Mapping[Precision, tuple[dict[str, Array], dict[str, Array]]]) -> tuple[Outputs, Outputs]:
    single = next(iter(matched.values()))
    float32, float64 = matched.get(Precision.FLOAT32, single), matched.get(Precision.FLOAT64, single)
    return Outputs(float32=float32[0], float64=float64[0]), Outputs(float32=float32[1], float64=float64[1])


def _limits(tolerance: Limits | float | None, precisions: tuple[Precision, ...]) -> Limits:
    limits = Limits() if tolerance is None else tolerance
    if not isinstance(limits, Limits):
        check_limit(limits, "tolerance")
        limits = Limits(float64=limits, float32=limits)
    if len(precisions) > 1:
        return limits
    only = next(iter(precisions))
    named = limits.float32 if only is Precision.FLOAT32 else limits.float64
    one = _ALONE[only] if named is None else named
    return Limits(float64=one, float32=one)
