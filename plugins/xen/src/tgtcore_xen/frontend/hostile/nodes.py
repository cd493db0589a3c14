"""What a hostile guest does to its nodes in the store."""

from collections.abc import Iterator
from random import Random

from tgtcore_xen.platform.emulated import EmulatedGuest
from tgtcore_xen.platform.emulated.xenstore.permissions import Permissions, Right
from tgtcore_xen.xenbus import paths
from tgtcore_xen.xenbus.paths import HbaPaths

_NUMBERS = (b"", b"0", b"-1", b"3 ", b" 3", b"+3", b"0x3", b"3\0", b"1e3", b"9" * 30, b"4294967296", b"4294967295")
_NO_TEXT = (b"\xff\xfe\x00", "٣".encode(), b"3\n4", b"x" * 2048, b"\x1b[2J", b"%s%n", b"../../0/backend", b"/")
_DEVICES = ("dev-0", "dev-1", "dev-99999", "dev-", "dev--1", "dev-0x1", "no-device", "dev-" + "9" * 40, "state")


class HostileNodes:
    """The nodes of a front end, which its guest may change as it likes, and others, which it may not.

    :param number: of the virtual HBA.
    """

    def __init__(self, guest: EmulatedGuest, random: Random, number: int) -> None:
        self._guest = guest
        self._random = random
        self._number = number
        self.refused = 0
        """How often the store has said no."""

    @property
    def paths(self) -> HbaPaths:
        """Where they are."""
        return HbaPaths(0, self._guest.domid, self._number)

    def write(self, node: str, value: bytes | str) -> None:
        """Write a node below the front end's directory."""
        self._change("write", f"{self.paths.front}/{node}", value.encode() if isinstance(value, str) else value)

    def read(self, path: str) -> str:
        """What is there; empty: nothing for us."""
        try:
            return self._guest.machine.server.read(self._guest.domid, path).decode(errors="replace")
        except OSError:
            return ""

    def names(self, folder: str) -> list[str]:
        """Nodes below one; none: there are none for us."""
        try:
            return self._guest.machine.server.directory(self._guest.domid, folder)
        except OSError:
            return []

    def _change(self, operation: str, path: str, *arguments: object) -> None:
        try:
            getattr(self._guest.machine.server, operation)(self._guest.domid, path, *arguments)
        except OSError:
            self.refused += 1

    # ---- acts -------------------------------------------------------------------------------------------------------------

    def jump(self) -> None:
        """Be in some other state."""
        self.write(paths.STATE, str(self._random.randrange(10)))

    def lie(self) -> None:
        """Write what makes no sense, or the sense of others."""
        node = self._random.choice((*paths.FRONT_NODES, paths.device(0) + "/state", "feature-sg-grant"))
        self.write(node, self._random.choice((*_NUMBERS, *_NO_TEXT, *self._foreign())))

    def _foreign(self) -> Iterator[bytes]:
        yield b"/local/domain/0/backend/vscsi/0/0"
        yield f"/local/domain/0/backend/vscsi/{self._guest.domid + 1}/{self._number}".encode()
        yield f"{self._guest.home}/device/vscsi/{self._number}".encode()

    def vanish(self) -> None:
        """Remove a node, or all of them."""
        self._change(
            "remove",
            self._random.choice(
                (
                    *(f"{self.paths.front}/{node}" for node in paths.FRONT_NODES),
                    f"{self.paths.front}/{paths.DEVICES}",
                    self.paths.front,
                )
            ),
        )

    def name_devices(self) -> None:
        """Have devices that nobody knows of."""
        state = self._random.choice((b"4", b"6", b"1", *_NUMBERS))
        self.write(f"{paths.DEVICES}/{self._random.choice(_DEVICES)}/state", state)

    def crowd(self) -> None:
        """Have many nodes."""
        for _ in range(20):
            self.write(f"{paths.DEVICES}/dev-{self._random.randrange(2000)}/state", b"4")

    def shut_out(self) -> None:
        """Take all rights from others."""
        domid = self._guest.domid
        node = self._random.choice((paths.STATE, paths.RING_REF, paths.DEVICES))
        self._change("permit", f"{self.paths.front}/{node}", Permissions(domid, self._random.choice(list(Right))))

    def trespass(self) -> None:
        """Try what it has no right to."""
        path = self._random.choice(
            (
                f"{self.paths.back}/state",
                f"{self.paths.back}/{paths.DEVICES}/dev-0/state",
                self.paths.error,
                f"{self._guest.home}/name",
                f"/local/domain/{self._guest.domid - 1}/device/vscsi/0/state",
                "/local/domain/0/backend/vscsi/1/0/state",
            )
        )
        self._change(*self._random.choice((("write", path, b"6"), ("remove", path))))
