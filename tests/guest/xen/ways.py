"""Where the two ends of the virtual HBA of a test are."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Way:
    """One of the combinations.

    :param in_domu: whether the front end is in a guest made with ``xl``; otherwise domain 0 serves itself.
    :param isolated: whether the back end is in a process of its own.
    """

    in_domu: bool = False
    isolated: bool = False

    def __str__(self) -> str:
        return ("domu" if self.in_domu else "dom0") + "-isolated" * self.isolated

    @property
    def guest(self) -> str:
        """Name of the domain with the front end."""
        return "web" if self.in_domu else "Domain-0"


WAYS = tuple(Way(in_domu, isolated) for in_domu in (False, True) for isolated in (False, True))
