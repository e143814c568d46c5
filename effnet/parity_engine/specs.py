"""What two definitions differ in, and whether their intermediates can be compared at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from effnet.errors import IncomparableNetworks
from effnet_core import NetworkSpec, ending, endpoints, to_json, without_classifier, without_head

_SHAPING = frozenset(
    {"stride", "in_channels", "out_channels", "expanded_channels", "num_classes", "has_expansion", "squeeze_channels"}
)
"""Fields that decide which intermediates exist and how large they are."""
_LABELS = frozenset({"name", "family", "width", "depth", "stage", "repeat", "dropout_rate", "drop_connect_rate"})
"""Fields that do not act on what an evaluated network computes."""
_SHOWN = 12
_FOLDED = (
    "In {} alone the normalisations are folded into the convolutions: its weights were rounded once more when they "
    "were written, which float64 shows. Set a limit above that, such as 1e-6 for float32 weights (--float64-limit, "
    "--float32-limit 1e-5)."
)


def differences(a: NetworkSpec, b: NetworkSpec) -> dict[str, str]:
    """Fields that differ and act on the result, each with both values, in the order of the definition."""
    left, right = dict(_leaves(a)), dict(_leaves(b))
    paths = list(left) + [path for path in right if path not in left]
    return {
        path: f"{left.get(path, 'absent')} against {right.get(path, 'absent')}"
        for path in paths
        if left.get(path) != right.get(path) and path.rsplit(".", 1)[-1] not in _LABELS
    }


def check_comparable(a: NetworkSpec, b: NetworkSpec) -> tuple[str, ...]:
    """What the definitions differ in, one sentence each, where their intermediates can still be compared.

    A network that ends earlier than the other is compared up to its end. Raises `IncomparableNetworks`, listing the
    differences, where they cannot be compared.
    """
    (a, b), cut = up_to_common_end(a, b), _cut_note(a, b)
    found = differences(a, b)
    if len(a.blocks) != len(b.blocks):
        raise _incomparable(a, b, [f"number of blocks: {len(a.blocks)} against {len(b.blocks)}"])
    shaping = [f"{path}: {values}" for path, values in found.items() if path.rsplit(".", 1)[-1] in _SHAPING]
    if endpoints(a) != endpoints(b) or any("squeeze_channels" not in line for line in shaping):
        raise _incomparable(a, b, shaping or [f"a has {ending(a)}, b has {ending(b)}"])
    if (a.norm is None) is not (b.norm is None):
        found = {path: values for path, values in found.items() if path.split(".")[0] != "norm"}
        cut = (*cut, _FOLDED.format("a" if a.norm is None else "b"))
    return (*cut, *(f"The definitions differ in {path}: {values}." for path, values in found.items()))


def check_both_normalised(a: NetworkSpec, b: NetworkSpec, *, wanted: str) -> None:
    """Raise `IncomparableNetworks` where the normalisations of one alone are folded into its convolutions."""
    if (a.norm is None) is not (b.norm is None):
        raise IncomparableNetworks(
            f"In {'a' if a.norm is None else 'b'} alone the normalisations are folded into the convolutions, so that "
            f"it has other weights than the other one; {wanted} needs the same on both sides. Fold both or neither, or "
            "compare what they compute without --exact and --train."
        )


def common_endpoints(a: NetworkSpec, b: NetworkSpec) -> tuple[str, ...]:
    """The endpoints that both networks have, in forward order."""
    return endpoints(up_to_common_end(a, b)[0])


def up_to_common_end(a: NetworkSpec, b: NetworkSpec) -> tuple[NetworkSpec, NetworkSpec]:
    """Both definitions, cut where the shorter one ends."""
    if a.head is None or b.head is None:
        return without_head(a), without_head(b)
    if a.classifier is None or b.classifier is None:
        return without_classifier(a), without_classifier(b)
    return a, b


def _cut_note(a: NetworkSpec, b: NetworkSpec) -> tuple[str, ...]:
    last = common_endpoints(a, b)[-1]
    if endpoints(a)[-1] == endpoints(b)[-1] == last:
        return ()
    return (f"a has {ending(a)}, b has {ending(b)}: they are compared up to {last}.",)


def _incomparable(a: NetworkSpec, b: NetworkSpec, lines: list[str]) -> IncomparableNetworks:
    shown = "".join(f"\n  {line}" for line in lines[:_SHOWN])
    more = f"\n  and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return IncomparableNetworks(
        f"{a.name} and {b.name} have no common intermediates, so that their parity cannot be measured:{shown}{more}\n"
        "Compare two checkpoints of the same network; --a-arch and --b-arch name it where it was not recognised."
    )


def _leaves(spec: NetworkSpec) -> Iterator[tuple[str, Any]]:
    yield from _walk("", json.loads(to_json(spec))["network"])


def _walk(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield from _walk(f"{path}.{key}" if path else key, item)
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _walk(f"{path}.{index}", item)
    else:
        yield path, value
