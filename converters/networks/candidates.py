"""Networks that a checkpoint might belong to, built so that they agree with what the file shows.

Published variants come first, then networks of other width and depth coefficients. A number of blocks fits one set of
repeats only, since no repeat falls as depth grows; every width that gives the channels of the file gives the same
network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import islice

from converters.names.matching import Recognised
from converters.names.naming import Entry, Unnamed, entries, entry_of, table
from converters.names.patterns import pattern
from converters.networks.wish import Wish
from effnet_core import (
    FAMILIES,
    VARIANTS,
    Family,
    NetworkSpec,
    Role,
    Rounding,
    Variant,
    block_count,
    parameters,
    resolve,
    round_channels,
    without_classifier,
    without_head,
)
from effnet_core.parameters import head_parameters

Shapes = Mapping[str, tuple[int, ...]]
_FIRST = 40
"""Tensors that are compared before all are."""


_MOST = 8
"""The largest coefficient that is tried."""


@cache
def _few_digits_first(*parts: int) -> tuple[float, ...]:
    """Coefficients up to the largest in steps of each of these parts of 1."""
    found = {count / part for part in parts for count in range(1, _MOST * part + 1)}
    return tuple(sorted(found, key=lambda x: (len(repr(x)), x)))


class Candidates:
    """Networks with the classes and input channels of a file; `shapes` are foreign, by variable name."""

    def __init__(self, recognised: Recognised, shapes: Shapes, wish: Wish) -> None:
        self._recognised = recognised
        self._shapes = shapes
        self._wish = wish
        self._families = recognised.dialect.families or frozenset(Family)
        probe = resolve(next(name for name, variant in VARIANTS.items() if variant.family in self._families))
        self._is_folded = self._observed(replace(probe, norm=None), "stem.conv", Role.BIAS, axis=0) is not None
        self._in_channels = self._observed(probe, "stem.conv", Role.CONV, axis=2) or 3
        self._num_classes = (
            wish.num_classes
            or self._observed(probe, "classifier", Role.BIAS, axis=0)
            or self._observed(probe, "classifier", Role.DENSE, axis=1)
        )

    def build(
        self, name: str, *, width: float | None, depth: float | None, rounding: Rounding | None = None
    ) -> NetworkSpec:
        """The variant with these coefficients and this rule (None: as published), ending where the file ends."""
        spec = resolve(
            name,
            width=width,
            depth=depth,
            num_classes=self._num_classes,
            in_channels=self._in_channels,
            recipe=self._wish.recipe,
            rounding=rounding,
        )
        if self._is_folded:
            spec = replace(spec, norm=None)
        # A user who says how many classes there are says that there is a classifier.
        if self._wish.num_classes is not None or self._holds(spec, "classifier"):
            return spec
        return without_classifier(spec) if self._holds(spec, "head.conv", "head.norm") else without_head(spec)

    def all(self, names: Iterable[str]) -> Iterator[NetworkSpec]:
        """Every candidate with as many blocks as the file has: published variants in this order, then others."""
        order = [name for name in names if VARIANTS[name].family in self._families]
        width, depth = self._wish.width, self._wish.depth
        same_depth = [
            name for name in order if self._has_blocks(name, VARIANTS[name].depth if depth is None else depth)
        ]
        yield from (self.build(name, width=width, depth=depth) for name in same_depth)
        other_rule = [(name, Rounding.NEAREST) for name in same_depth if VARIANTS[name].family is Family.V1]
        yield from (self.build(name, width=width, depth=depth, rounding=rule) for name, rule in other_rule)
        for name in _first_of_each_table(order):
            for found in self._depths(name):
                yield self._of_best_width(self.build(name, width=width, depth=found))

    def _depths(self, name: str) -> list[float]:
        wished = self._wish.depth
        grid = [VARIANTS[name].depth, *_few_digits_first(20, 16)] if wished is None else [wished]
        if self._recognised.num_blocks is None:  # as many tensors, then
            by_count = {block_count(name, depth=depth): depth for depth in reversed(grid)}
            grid = [depth for depth in by_count.values() if self._has_tensors(name, depth)]
        return [depth for depth in grid if self._has_blocks(name, depth)][:1]

    def _has_tensors(self, name: str, depth: float) -> bool:
        return len(parameters(self.build(name, width=self._wish.width, depth=depth))) == len(self._shapes)

    def _has_blocks(self, name: str, depth: float) -> bool:
        return self._recognised.num_blocks in (None, block_count(name, depth=depth))

    def _of_best_width(self, spec: NetworkSpec) -> NetworkSpec:
        """The same network at the width that gives most of the file's channels."""
        if self._wish.width is not None:
            return spec
        variant, family = VARIANTS[spec.name], FAMILIES[spec.family]
        firsts = [index for index, block in enumerate(spec.blocks) if block.repeat == 0]
        leaf, role = ("conv", Role.BIAS) if self._is_folded else ("norm", Role.GAMMA)
        wanted = [self._observed(spec, f"project.{leaf}", role, axis=0, block=index) for index in firsts]
        unscaled = [stage.out_channels for stage in variant.stages]
        if family.scales_ends:
            wanted += [self._observed(spec, f"{part}.{leaf}", role, axis=0) for part in ("stem", "head")]
            unscaled += [variant.stem_channels, family.head_channels]

        def agreement(width: float) -> int:
            found = (round_channels(channels, width=width, rounding=spec.rounding) for channels in unscaled)
            return sum(one == other for one, other in zip(found, wanted, strict=True))

        return self.build(spec.name, width=max(_few_digits_first(100, 16), key=agreement), depth=spec.depth)

    def _observed(self, spec: NetworkSpec, part: str, role: Role, *, axis: int, block: int | None = None) -> int | None:
        """The size of a canonical axis of a tensor as the file has it, None where the file has no such tensor."""
        for parameter in parameters(spec):
            if (parameter.part, parameter.role, parameter.block) == (part, role, block):
                try:
                    entry = entry_of(self._recognised.dialect, spec, parameter, scope=self._recognised.scope)
                except Unnamed:
                    return None
                shape = self._shapes.get(entry.name, ())
                return shape[entry.axes.index(axis)] or None if len(shape) == len(entry.axes) else None
        return None

    def _holds(self, spec: NetworkSpec, *parts: str) -> bool:
        """Whether the file has any tensor of these parts outside blocks."""
        recognised = self._recognised
        return any(
            entry_of(recognised.dialect, spec, parameter, scope=recognised.scope).name in self._shapes
            for parameter in head_parameters(spec)
            if parameter.part in parts
        )

    def _entries(self, spec: NetworkSpec) -> Iterator[Entry]:
        """The table of names, ending where the dialect has no name."""
        with suppress(Unnamed):
            yield from entries(self._recognised.dialect, spec, scope=self._recognised.scope)

    def fits(self, spec: NetworkSpec) -> bool:
        """True when every tensor of the network is there in its shape, and none that the dialect knows is left over."""
        # Most networks differ in their first tensors; the table of one that does not is needed again, and is kept.
        if not all(self._shapes.get(entry.name) == entry.shape for entry in islice(self._entries(spec), _FIRST)):
            return False
        try:
            names = table(self._recognised.dialect, spec, scope=self._recognised.scope)
        except Unnamed:
            return False
        if any(self._shapes.get(entry.name) != entry.shape for entry in names):
            return False
        known = {entry.name for entry in names}
        expression = pattern(self._recognised.dialect)
        left = [name for name in self._shapes if name not in known and expression.fullmatch(name)]
        return not left

    def leading(self, spec: NetworkSpec) -> int | None:
        """How many tensors from the first on are there in their shapes; None if others that the dialect knows are."""
        names = list(self._entries(spec))
        present = [self._shapes.get(entry.name) == entry.shape for entry in names]
        count = present.index(False) if False in present else len(present)
        known = {entry.name for entry in names[:count]}
        expression = pattern(self._recognised.dialect)
        others = any(name not in known and expression.fullmatch(name) for name in self._shapes)
        return None if count == 0 or others else count

    def likeness(self, spec: NetworkSpec) -> float:
        """The share of the tensors of the file, or of the network if it has more, that is there in its shape."""
        return self.score(spec) / max(len(self._shapes), len(parameters(spec)))

    def differences(self, spec: NetworkSpec) -> list[str]:
        """What is not as the network has it, a phrase for each of its tensors."""
        return [
            f"{entry.name} {'is not there' if (found := self._shapes.get(entry.name)) is None else f'is {found}'}, "
            f"expected {entry.shape}"
            for entry in self._entries(spec)
            if self._shapes.get(entry.name) != entry.shape
        ]

    @property
    def names(self) -> list[str]:
        """Every variant that the dialect has names for."""
        return [name for name, variant in VARIANTS.items() if variant.family in self._families]

    def score(self, spec: NetworkSpec) -> int:
        """How many tensors of the network are there in their shapes."""
        return sum(self._shapes.get(entry.name) == entry.shape for entry in self._entries(spec))


def _first_of_each_table(names: Iterable[str]) -> list[str]:
    """One name for each table of stages, the first."""
    first: dict[object, str] = {}
    for name in names:
        first.setdefault(_table_of(VARIANTS[name]), name)
    return list(first.values())


def _table_of(variant: Variant) -> object:
    return variant.family, variant.stages, variant.num_experts
