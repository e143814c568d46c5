"""Errors that a user can cause. Every message says what was expected, what was found, and what to do."""


class EffnetError(Exception):
    """The parent of every error of this project that is about the user's input."""


class UnknownVariant(EffnetError):
    """No variant of that name exists."""


class InvalidSpec(EffnetError):
    """A network definition contradicts itself, or its JSON cannot be read."""


class InvalidOption(EffnetError):
    """An option has a value that it cannot have, or asks for what the network does not have."""
