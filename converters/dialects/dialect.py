"""What a dialect is: how one project names, shapes and understands the tensors of a network.

A dialect is data. Layer templates may use

- the fields of a block: `{index}` from 0 through the whole network, `{stage}` from 1 and `{stage_index}` from 0,
  `{repeat}` from 0 in the stage, `{letter}` a, b, ... for the repeat; outside blocks `{after_stages}`, one more than
  the last stage;
- counters of the blocks of its kind: `{nth}` from 0, and `{nth_of_three}` and `{next_of_three}`, which are 3 * nth + 1
  and 3 * nth + 2;
- counters of layers through the whole network: `{nth_layer}` from 0 and `{next_layer}` from 1 among all layers with
  weights, `{nth_of_sort}` from 0 among those of its sort (convolutions, depthwise ones, norms, dense ones);
- `{hidden}`, which counts the hidden layers between pooling and classifier from 0;
- `{scope}`, the name that stands before everything in a checkpoint.

`[...]` is left out where the counter in it is 0. The same data is read in both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from effnet_core import (
    RECIPES,
    Block,
    CondMBConv,
    Crop,
    Family,
    FusedMBConv,
    JpegDecoding,
    MBConv,
    NetworkSpec,
    Padding,
    Preprocessing,
    Resampling,
    Role,
)

Axes = tuple[int, ...]


class Ignorable(NamedTuple):
    """Tensors that a checkpoint may hold although no network needs them."""

    pattern: str
    """A regular expression for the whole name."""
    reason: str


class PixelRange(NamedTuple):
    """What a network does to pixels (0..255) before its first convolution: (pixel - mean) / scale.

    A number for each of RGB, or for each of other channels, as in `effnet_core.Preprocessing`.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @property
    def is_sensible(self) -> bool:
        """Whether float32 can compute so: means within a million, scales between a millionth and a million."""
        return all(abs(mean) < 1e6 for mean in self.mean) and all(1e-6 < scale < 1e6 for scale in self.scale)


IMAGENET = PixelRange(mean=RECIPES["baseline"].mean, scale=RECIPES["baseline"].scale)
"""By the mean and deviation of ImageNet's channels."""
HALF = PixelRange(mean=(127.5, 127.5, 127.5), scale=(127.5, 127.5, 127.5))
"""To -1..1."""


class Semantics(NamedTuple):
    """What the dialect's own network does with the numbers, whatever the checkpoint says."""

    padding: Padding
    epsilon: float
    """Of batch normalisation."""
    decay: float | None = None
    """Of batch normalisation, as in `effnet_core.Norm`; None: as the network's definition says."""
    normalises: PixelRange | None = None
    """Built into its model; None: the caller does it, or tensors of the file say it (`Dialect.normalisation`)."""
    normalising_layers: frozenset[str] = frozenset()
    """The layers of its model that do so and hold no tensors, by name without number."""
    expects: PixelRange | None = None
    """What the weights that its project publishes expect of the caller, assumed of a file that says nothing; None: what
    those of the network's definition expect."""
    maximum_pooling: str | None = None
    """With what its model is made to take the maximum, and not the average, before its classifier; None: with
    nothing."""
    first_block_adds: bool = True
    """Whether the first block of a stage adds its input where both of its ends are equally wide, as in the official
    code. They are in narrow networks alone."""
    remark: str | None = None
    """What somebody has to know who computes with that network; told when weights are written for it."""
    doubt: str | None = None
    """How its project may have made the network otherwise than is assumed here, which no weights tell; told when they
    are read, unless the configuration of the model is in the file."""
    family: Family | None = None
    """The family of which this is true; None: all that the dialect has."""
    variants: frozenset[str] | None = None
    """The networks of which this is true; None: all others."""

    def built(self, spec: NetworkSpec) -> NetworkSpec:
        """The definition with the residuals that its own network has."""
        return spec if self.first_block_adds else without_first_residuals(spec)


def without_first_residuals(spec: NetworkSpec) -> NetworkSpec:
    """The definition without a residual around the first block of any stage."""
    blocks = (replace(block, has_residual=block.has_residual and block.repeat > 0) for block in spec.blocks)
    return replace(spec, blocks=tuple(blocks))


class Evaluation(NamedTuple):
    """How a project evaluates the weights that it publishes of a network, apart from the normalisation."""

    resolution: int
    """In pixels."""
    crop: Crop
    resampling: Resampling
    jpeg: JpegDecoding

    def applied(self, rule: Preprocessing) -> Preprocessing:
        """The preprocessing with this in place of its own."""
        return replace(rule, resolution=self.resolution, crop=self.crop, resampling=self.resampling, jpeg=self.jpeg)


@dataclass(frozen=True, kw_only=True)
class StoredNormalisation:
    """Tensors, one number for each input channel, by which a network itself normalises x = pixel / 255:
    (x - mean) / sqrt(variance).
    """

    mean: str
    variance: str
    count: str
    """An integer scalar beside them, of which inference makes no use; written as zero."""
    families: frozenset[Family] | None = None
    """Families whose networks have them; None: all of the dialect."""


class Configured(NamedTuple):
    """A network with what text files beside its weights say about it."""

    spec: NetworkSpec
    pixels: PixelRange | None = None
    """What they say of the input normalisation, None where they say nothing."""
    notes: tuple[str, ...] = ()
    """What was found, a sentence each."""
    refusal: str | None = None
    """Why no definition computes what they say; None where one does."""
    way_out: str = ""
    """What to do then, a sentence or two; empty where the reason says it."""
    weights: str = ""
    """Which published weights they name, and where, if these tell how images are prepared: the preprocessing of `spec`
    is then theirs, but for the normalisation where `pixels` has another one. Empty where they do not."""
    remark: str = ""
    """How the project itself prepares images for what they name, a sentence; empty: as said, or nothing is known."""


class BlockKind(NamedTuple):
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
    """Canonical part (`stem.conv`, `head.norm`, `classifier`) to the template of the foreign layer, outside blocks.

    `hidden` has one template for every hidden layer, where the dialect has names for them."""
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
    is_written: bool = True
    """False for names that stand in files of others alone and say less than another dialect's: they are only read."""
    families: frozenset[Family] | None = None
    """Families of networks that the dialect's project has; None: all."""
    has_folded: bool = False
    """Whether its networks may have their normalisations folded into the convolutions."""
    omissible: str | None = None
    """What some files leave out where names begin with it; read, always written."""
    depthwise_alternative: str | None = None
    """A second leaf that some files have for depthwise kernels; read, never written."""
    ignorable: tuple[Ignorable, ...] = ()
    shadow_suffix: str | None = None
    """What follows a variable's name in the name of its moving average, None where the dialect has none."""
    norm_counter: str | None = None
    """An integer scalar that every normalisation carries and no network uses, written as zero."""
    companions: Callable[[NetworkSpec], Mapping[str, str]] | None = None
    """The text files, by name, that the project keeps beside the weights of a network in a folder; None: it keeps none.
    Raises an `EffnetError` for a network that they cannot describe."""
    configured: Callable[[NetworkSpec, Mapping[str, str]], Configured] | None = None
    """The network with what the project's own text files say, given by name; None: it keeps none. Raises nothing: what
    makes no sense there is passed over."""
    hint: Callable[[Mapping[str, str]], bool] | None = None
    """Whether texts beside the tensors, by name, tell a file of the dialect from those of another one with the same
    names."""
    objection: Callable[[Mapping[str, str]], str | None] | None = None
    """Why the network of a file in these names is none that has a definition, as texts beside its tensors say: a
    sentence with the way out; None where they do not."""
    evaluations: Mapping[str, Evaluation] = field(default_factory=lambda: MappingProxyType({}))
    """By network, how its project evaluates published weights; assumed of a file that says nothing."""
    caution: str | None = None
    """What a user has to know whose file was taken for this dialect although its names fit another one too."""
    normalisation: StoredNormalisation | None = None
    """None where no tensors normalise the input."""
    semantics: tuple[Semantics, ...] = ()
    """The first that names the network's family and variant or names none holds. Empty: the network is built from the
    definition, so whatever that says holds."""

    @property
    def names_modules(self) -> bool:
        """Whether names are paths of PyTorch's modules, which stand inside each other, and not of layers in a scope."""
        return self.separator == "."

    @cached_property
    def has_scope(self) -> bool:
        """Whether a scope stands before every name."""
        return any(template.startswith("{scope}") for template in self.layers.values())

    def meaning(self, variant: str, family: Family) -> Semantics | None:
        """What the dialect's own network of that variant, which is of that family, does; None: what the definition
        says.
        """
        rows = (row for row in self.semantics if row.family in (None, family))
        return next((row for row in rows if row.variants is None or variant in row.variants), None)


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
TORCH_IGNORABLE = (
    Ignorable(pattern=r".*\.num_batches_tracked", reason="a training counter of torch's norms"),
    Ignorable(pattern=r"(?:.*\.)?total_(?:ops|params)", reason="a count of operations or parameters (thop)"),
    Ignorable(
        pattern=r"(?:.*\.)?activation_post_process(?:_[0-9]+)?\.(?:eps|histogram|(?:min|max)_vals?)",
        reason="what an observer for quantisation has seen",
    ),
)
"""What PyTorch and programs that measure networks leave in any of them."""
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
