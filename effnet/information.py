"""The facts of a network that is named, or that a checkpoint holds."""

from __future__ import annotations

from pathlib import Path

from converters import SourceOptions, open_checkpoint
from effnet.catalogue import NetworkInfo, network_info
from effnet.errors import InputError
from effnet.sources import find_source, is_official
from effnet_core import UnknownVariant, canonical_name, resolve


def info(network: str | Path, *, options: SourceOptions | None = None) -> NetworkInfo:
    """The definition and the counts of a variant (`b0`) or of a checkpoint's network; reads no weights.

    `official:NAME` is fetched first. A variant's name comes before a file of that name: write `./b0` for the file. With
    a variant's name, `options` may change width, depth, classes and recipe. Raises `UnknownVariant` for what is
    neither, `InputError` for a variant's name together with a definition, and what `open_checkpoint` raises.
    """
    options = options or SourceOptions()
    if isinstance(network, str) and _is_variant(network):
        if options.spec is not None:
            raise InputError(
                f"{network} names a network, and the definition that was given describes another; give one of them."
            )
        spec = resolve(
            network,
            width=options.width,
            depth=options.depth,
            num_classes=options.num_classes,
            recipe=options.recipe,
        )
        return network_info(spec)
    if isinstance(network, str) and not is_official(network) and not _looks_like_a_file(network):
        canonical_name(network)  # raises, naming what is near
    source = find_source(network, options)
    with open_checkpoint(source.path, source.options) as checkpoint:
        return network_info(checkpoint.spec, notes=(*source.notes, *checkpoint.notes))


def _is_variant(name: str) -> bool:
    try:
        canonical_name(name)
    except UnknownVariant:
        return False
    return "/" not in name


def _looks_like_a_file(name: str) -> bool:
    path = Path(name)
    return "/" in name or path.exists() or path.suffix != "" or Path(f"{name}.index").exists()
