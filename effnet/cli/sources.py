"""The options that say what a checkpoint is: the same in every command, with a prefix where there are two files.

A command takes them as one parameter of type `SourceFlags`, or of type `SourcePair` where there are two files;
`with_source_flags` spells that parameter out as one option for each field.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from converters import SourceOptions
    from effnet_core import NetworkSpec


class SourceFlags(NamedTuple):
    """What the user said about a checkpoint; None: find it out from the file."""

    format: str | None = None
    dialect: str | None = None
    arch: str | None = None
    width: float | None = None
    depth: float | None = None
    num_classes: int | None = None
    recipe: str | None = None
    prefix: str | None = None
    ema: str | None = None
    head_activation: str | None = None
    spec: str | None = None

    def over(self, other: "SourceFlags") -> "SourceFlags":
        """These, and where they are silent, those of `other`."""
        return other._replace(**{name: value for name, value in self._asdict().items() if value is not None})

    def options(self) -> "SourceOptions":
        """What the converter takes.

        Raises `InputError` for an unknown way to treat moving averages, for a definition that cannot be read and for
        options that contradict it, and `InvalidSpec` for a file that holds no definition.
        """
        from converters import Ema, SourceOptions

        ema = "auto" if self.ema is None else self.ema
        if ema not in list(Ema):
            from effnet.errors import InputError

            raise InputError(f"--ema is {ema!r}; expected one of {', '.join(Ema)}.")
        return SourceOptions(
            format=self.format,
            dialect=self.dialect,
            arch=self.arch,
            width=self.width,
            depth=self.depth,
            num_classes=self.num_classes,
            recipe=self.recipe,
            prefix=self.prefix,
            ema=Ema(ema),
            head_activation=self.head_activation,
            spec=self._definition(),
        )

    def _definition(self) -> "NetworkSpec | None":
        if self.spec is None:
            return None
        from effnet.definitions import read_definition
        from effnet.errors import InputError

        said = [f"--{flag.flag}" for flag in _FLAGS if flag.field in _IN_SPEC and getattr(self, flag.field) is not None]
        if said:
            raise InputError(
                f"The definition in {self.spec} says everything about the network; leave out {', '.join(said)}, or "
                "change the definition."
            )
        return read_definition(Path(self.spec))


class SourcePair(NamedTuple):
    """What the user said about each of two checkpoints: options with a prefix are for one, those without for both."""

    a: SourceFlags
    b: SourceFlags


class _Flag(NamedTuple):
    field: str
    flag: str
    kind: Any
    metavar: str
    help: str


DIALECT_NAMES = (
    "native, effnet-torch, effnet-keras, official, official-object, efficientnet-pytorch, timm, timm-symmetric, "
    "torchvision, huggingface, deep-learning-for-image-processing, keras-applications, keras-applications-v2, qubvel, "
    "keras-order, keras-hub"
)
"""For the help; the registry itself is not loaded for it."""
_FLAGS = (
    _Flag(
        field="format",
        flag="format",
        kind=str,
        metavar="NAME",
        help="Format of the file: tensor-bundle, safetensors, hf-folder, npz, pth, saved-model, keras-weights, "
        "keras-h5, keras.",
    ),
    _Flag(
        field="dialect",
        flag="from",
        kind=str,
        metavar="DIALECT",
        help=f"Naming of its tensors: {DIALECT_NAMES}.",
    ),
    _Flag(field="arch", flag="arch", kind=str, metavar="VARIANT", help="The network, such as b0 or lite0."),
    _Flag(field="width", flag="width", kind=float, metavar="X", help="Width coefficient of a network of other width."),
    _Flag(field="depth", flag="depth", kind=float, metavar="X", help="Depth coefficient of a network of other depth."),
    _Flag(field="num_classes", flag="num-classes", kind=int, metavar="N", help="Number of classes."),
    _Flag(
        field="recipe",
        flag="recipe",
        kind=str,
        metavar="NAME",
        help="Training recipe, which says how images are normalised: autoaugment, advprop, lite, ...",
    ),
    _Flag(
        field="prefix",
        flag="prefix",
        kind=str,
        metavar="TEXT",
        help="What stands before the names of the network in a file that holds several, such as 'backbone.'.",
    ),
    _Flag(
        field="ema",
        flag="ema",
        kind=str,
        metavar="auto|always|never",
        help="Take the exponential moving averages of the weights; auto: when they are complete, else none of them.",
    ),
    _Flag(
        field="head_activation",
        flag="head-activation",
        kind=str,
        metavar="NAME",
        help="Between dense layers behind the network, where the file does not tell: none, relu, swish, ...",
    ),
    _Flag(
        field="spec",
        flag="spec",
        kind=str,
        metavar="FILE.json",
        help="The whole definition of the network, as `effnet info NETWORK --json` prints it.",
    ),
)

_IN_SPEC = frozenset({"arch", "width", "depth", "num_classes", "recipe", "head_activation"})
"""Fields that a whole definition says too."""

SOURCE = "What the source is, where it is not recognised"
"""Heading of these options in the help."""
_PREFIXES: dict[object, tuple[str, ...]] = {SourceFlags: ("",), SourcePair: ("", "a_", "b_")}


def with_source_flags(command: Callable[..., None]) -> Callable[..., None]:
    """The command with its parameter of type `SourceFlags` or `SourcePair` spelled out as options."""
    signature = inspect.signature(command)
    [group] = [parameter for parameter in signature.parameters.values() if parameter.annotation in _PREFIXES]
    prefixes = _PREFIXES[group.annotation]

    def run(**values: Any) -> None:
        given = {
            prefix: SourceFlags(**{flag.field: values.pop(prefix + flag.field) for flag in _FLAGS})
            for prefix in prefixes
        }
        both = given[""]
        pair = SourcePair(a=given["a_"].over(both), b=given["b_"].over(both)) if len(prefixes) > 1 else None
        command(**values, **{group.name: both if pair is None else pair})

    spelled: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if parameter is group:
            spelled += [_option(prefix, flag) for prefix in prefixes for flag in _FLAGS]
        else:
            spelled.append(parameter)
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    # Typer reads both.
    run.__dict__["__signature__"] = signature.replace(parameters=spelled)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in spelled}
    return run


def _option(prefix: str, flag: _Flag) -> inspect.Parameter:
    side = prefix.removesuffix("_")
    name = f"--{side}-{flag.flag}" if side else f"--{flag.flag}"
    text = f"As --{flag.flag}, for {side.upper()} alone." if side else flag.help
    option = typer.Option(name, metavar=flag.metavar, help=text, show_default=False, rich_help_panel=SOURCE)
    return inspect.Parameter(
        prefix + flag.field,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[flag.kind | None, option],
    )
