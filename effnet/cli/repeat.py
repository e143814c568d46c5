"""The command that was given, as a line for a shell."""

import shlex
from collections.abc import Collection, Iterator
from enum import Enum
from typing import Any, cast

import typer


def command_line(context: typer.Context, *, leave_out: Collection[str] = ()) -> str:
    """The command with every option that has another value than its default; `leave_out` names parameters."""
    words = ["effnet", str(context.info_name)]
    options: list[str] = []
    for parameter in context.command.params:
        value = context.params.get(str(parameter.name))
        if parameter.name in leave_out or value is None or value == parameter.get_default(context):
            continue
        if parameter.param_type_name == "argument":
            words += _texts(value)
        elif value is True:
            options.append(parameter.opts[0])
        elif value is False:
            options.append(parameter.secondary_opts[0])
        else:
            options += [word for text in _texts(value) for word in (parameter.opts[0], text)]
    return shlex.join([*words, *options])


def _texts(value: Any) -> Iterator[str]:
    several = cast("list[Any]", value) if isinstance(value, list | tuple) else [value]
    for one in several:
        yield str(one.value) if isinstance(one, Enum) else str(one)
