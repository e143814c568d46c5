"""What can be wrong with what is asked of the front door."""

from __future__ import annotations

from effnet_core import EffnetError


def install_command(*extras: str) -> str:
    """How what the package's extras name is installed, to be run in the checkout."""
    return f"pip install -c constraints.txt -e '.[{','.join(extras)}]'"


class MissingFramework(EffnetError):
    """A framework or library that the request needs is not installed."""


class DeviceUnavailable(EffnetError):
    """The framework sees no such device."""


class InputError(EffnetError):
    """An image or an array cannot be given to the network."""


class NotFiniteLogits(EffnetError):
    """A network gave NaN or infinite logits, which say nothing about the image."""


class IncomparableNetworks(EffnetError):
    """Two networks have no common intermediates, so that no parity can be measured."""


class DownloadError(EffnetError):
    """A file cannot be downloaded, or cannot be kept."""


class ChangedFile(EffnetError):
    """A file is not the one that was fetched under its name before."""


class SeparateProcessFailed(EffnetError):
    """The process that should run a network crashed, ended with an error, took too long or could not be started."""


class InvalidCertificate(EffnetError):
    """A certificate cannot be read, is damaged, or is of another version."""


class UnverifiedResult(EffnetError):
    """A file was converted and is in place, but could not be run to verify it."""


class InexactNetwork(EffnetError):
    """A network cannot run in exact arithmetic: a sum needs too many bits, or a number is not finite."""


class UnusableModel(EffnetError):
    """A model cannot be copied, converted to a precision, or run as a comparison needs it."""


class WrongExport(EffnetError):
    """An export gives other results than the network that it was made from."""
