"""The exceptions that users and plugin authors meet, chosen by what the catcher does next.

Every message says which thing (by the name its user gave it), what is wrong, what was expected, and where.
"""

from collections.abc import Iterable
from pathlib import Path


class TgtError(Exception):
    """Base of all errors that tgtcore raises on purpose; anything else is a defect."""


class ConfigError(TgtError):
    """The configuration cannot be used: fix the file or the command line.

    :param problems: every problem found, one sentence each; they are shown together.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class PluginError(TgtError):
    """A plugin cannot be used: fix the installation.  The message names distribution and version.

    :param problems: every problem found, one sentence each; they are shown together.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StoreError(TgtError):
    """A store cannot be opened or used; an ``OSError`` from a store's method is just as good."""


class Unsupported(StoreError):
    """The store does not offer this operation, so the operation must not be advertised."""


class ReadOnly(StoreError):
    """The store takes no writes."""


class ProvokedError(OSError):
    """An error of the system that a filter makes up: commands end with it as with any other one, and nobody logs each of them.

    Who makes them up counts them, and may log the first.
    """


class NotThere(TgtError):
    """There is no such thing, or not any more."""


class Draining(TgtError):
    """The thing is going away and takes no new users."""


class NexusInUse(Draining):
    """Commands that an initiator port sent before its nexus was lost have not ended; a new nexus would let it overtake them."""


class Crowded(TgtError):
    """There are too many of a kind already."""


class InUse(TgtError):
    """The thing has users, for whom this would be bad news."""


class DrainTimeout(TgtError):
    """The thing still has users after the time allowed.

    :param holders: each holder still there, with its age.
    """

    def __init__(self, message: str, holders: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.holders = tuple(holders)


class RingError(TgtError):
    """The other side of a ring broke its rules, or is gone; the ring cannot be used any more."""


class CheckCondition(TgtError):
    """Ends a task with CHECK CONDITION; a device type raises it, the logical unit turns it into sense data.

    :param key: sense key, see :class:`tgtcore.scsi.sense.SenseKey`.
    :param code: additional sense code and qualifier, such as ``(0x24, 0x00)``.
    :param field: the field at fault as (byte, bit); bit ``None`` means the whole byte.
    :param in_cdb: whether ``field`` counts from the start of the CDB or of the parameter list.
    :param information: the INFORMATION field, for example the LBA that could not be read.
    :param command_specific: the COMMAND-SPECIFIC INFORMATION field.
    """

    def __init__(
        self,
        key: int,
        code: tuple[int, int],
        *,
        field: tuple[int, int | None] | None = None,
        in_cdb: bool = True,
        information: int | None = None,
        command_specific: int | None = None,
    ) -> None:
        super().__init__(f"sense key {key:X}h, additional sense {code[0]:02X}h/{code[1]:02X}h")
        self.key = key
        self.code = code
        self.field = field
        self.in_cdb = in_cdb
        self.information = information
        self.command_specific = command_specific


class ReservationConflict(TgtError):
    """Ends a task with RESERVATION CONFLICT."""


def describe(error: BaseException) -> str:
    """An error of the operating system in our style; any other one in its own words."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{Path(error.filename)}: " if isinstance(error.filename, str) else ""
        text = error.strerror
        return f"{where}{text[:1].lower()}{text[1:]}"
    return str(error) or type(error).__name__
