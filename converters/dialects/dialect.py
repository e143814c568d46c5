"""What a dialect is: how one project names, shapes and understands the tensors of a network.

A dialect is data. Layer templates may use the fields of a block (`{index}` from 0 through the whole network, `{stage}`
from 1, `{repeat}` from 0 in the stage, `{letter}` a, b, ... for the repeat), counters of the blocks of its kind
(`{nth}` from 0, and `{nth_of_three}` and `{next_of_three}`, which are 3 * nth + 1 and 3 * nth + 2), and `{scope}`, the
name that stands before everything in a checkpoint. `[...]` is left out for the first block of a kind. The same data is
read in both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from effnet_core import Block, CondMBConv, FusedMBConv, MBConv, NetworkSpec, Padding, Role

Axes = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Ignorable:
    """Tensors that a checkpoint may hold although no network needs them."""

    pattern: str
    """A regular expression for the whole name."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class Semantics:
    """What the dialect's own network does with the numbers, whatever the checkpoint says."""

    padding: Padding
    epsilon: float


@dataclass(frozen=True, kw_only=True)
class BlockKind:
    """A kind of block as far as names depend on it."""

    type: type[Block]
    has_expansion: bool = True


MBCONV = BlockKind(type=MBConv)
MBCONV_PLAIN = BlockKind(type=MBConv, has_expansion=False)
FUSED = BlockKind(type=FusedMBConv)
FUSED_PLAIN = BlockKind(type=FusedMBConv, has_expansion=False)
COND = BlockKind(type=CondMBConv)


@dataclass(frozen=True, kw_only=True, eq=False)
class Dialect:
    """One project's names and layouts."""

    name: str
    title: str
    layers: Mapping[str, str]
    """Canonical part (`stem.conv`, `head.norm`, `classifier`) to the template of the foreign layer, outside blocks."""
    blocks: Mapping[BlockKind, Mapping[str, str]]
    """The same for the parts of each kind of block that the dialect has names for."""
    alternatives: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Part outside blocks to a second template that some files have in place of the first; read, never written."""
    separator: str
    """Between layer and leaf."""
    leaves: Mapping[Role, str]
    axes: Mapping[Role, Axes]
    """Per role the axes of the canonical array in the order in which the foreign one has them; absent: the same. Of
    experts' kernels, those of one kernel before it is flattened."""
    prefixes: tuple[str, ...] = ()
    """What wrappers put before every name."""
    ignorable: tuple[Ignorable, ...] = ()
    shadow_suffix: str | None = None
    """What follows a variable's name in the name of its moving average, None where the dialect has none."""
    norm_counter: str | None = None
    """An integer scalar that every normalisation carries and no network uses, written as zero."""
    companions: Callable[[NetworkSpec], Mapping[str, str]] | None = None
    """The text files, by name, that the project keeps beside the weights of a network in a folder; None: it keeps none.
    Raises an `EffnetError` for a network that they cannot describe."""
    semantics: Semantics | None = None
    """None: the network is built from the definition, so whatever that says holds."""


TORCH_LEAVES: Mapping[Role, str] = MappingProxyType(
    {
        Role.CONV: "weight",
        Role.DEPTHWISE: "weight",
        Role.DENSE: "weight",
        Role.ROUTING: "weight",
        Role.EXPERTS: "weight",
        Role.DEPTHWISE_EXPERTS: "weight",
        Role.BIAS: "bias",
        Role.GAMMA: "weight",
        Role.BETA: "bias",
        Role.MEAN: "running_mean",
        Role.VARIANCE: "running_var",
    }
)
TORCH_AXES: Mapping[Role, Axes] = MappingProxyType(
    {
        Role.CONV: (3, 2, 0, 1),  # HWIO -> OIHW
        Role.DEPTHWISE: (2, 3, 0, 1),  # HWCM -> CMHW
        Role.EXPERTS: (3, 2, 0, 1),  # HWIO -> OIHW in every row
        Role.DEPTHWISE_EXPERTS: (2, 3, 0, 1),  # HWCM -> CMHW in every row
        Role.DENSE: (1, 0),  # IO -> OI
        Role.ROUTING: (1, 0),  # IE -> EI
    }
)
TORCH_PREFIXES = ("module.", "_orig_mod.")
"""Of torch.nn.DataParallel and of torch.compile."""
