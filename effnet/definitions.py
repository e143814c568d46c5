"""Definitions of networks in files of their own."""

from __future__ import annotations

from pathlib import Path

from effnet.errors import InputError
from effnet.files import check_regular
from effnet_core import InvalidSpec, NetworkSpec, from_json


def read_definition(path: Path) -> NetworkSpec:
    """The definition in a file that holds what `effnet_core.to_json` gives, as `effnet info --json` prints it.

    Raises `InputError` where the file cannot be read and `InvalidSpec` where it holds something else.
    """
    try:
        check_regular(path)
        return from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(
            f"{path} cannot be read: {reason}. Expected a definition, as `effnet info NETWORK --json` prints it."
        ) from None
    except InvalidSpec as error:
        raise InvalidSpec(f"{path}: {error}") from None
