"""The guest's open-iscsi, driven as an administrator drives it."""

from collections.abc import Iterator
from contextlib import contextmanager

from guest.lab.guest import Guest

NAME = "iqn.2025-01.example.guest:initiator"
_NODE = {
    "header_digest": "node.conn[0].iscsi.HeaderDigest",
    "data_digest": "node.conn[0].iscsi.DataDigest",
    "auth": "node.session.auth.authmethod",
    "user": "node.session.auth.username",
    "secret": "node.session.auth.password",
    "user_in": "node.session.auth.username_in",
    "secret_in": "node.session.auth.password_in",
    "chap_algorithms": "node.session.auth.chap_algs",
    "replacement_timeout": "node.session.timeo.replacement_timeout",
    "noop_interval": "node.conn[0].timeo.noop_out_interval",
    "noop_timeout": "node.conn[0].timeo.noop_out_timeout",
}
_DISCOVERY = {
    option: _NODE[option].replace("node.session", "discovery.sendtargets")
    for option in ("auth", "user", "secret", "user_in", "secret_in", "chap_algorithms")
}


class Initiator:
    """Sessions of one guest; iscsid is started with it.

    :param interface: for a second one with a name of its own: what open-iscsi calls that.
    """

    def __init__(self, guest: Guest, name: str = NAME, interface: str = "") -> None:
        self.guest = guest
        self._interface = f" -I {interface}" if interface else ""
        if interface:
            record = f"iscsiadm -m iface -I {interface}"
            guest.run(f"{record} -o new && {record} -o update -n iface.initiatorname -v {name}")
        else:
            guest.run(f"start_iscsid {name}")

    def discover(self, portal: tuple[str, int], **options: str) -> list[tuple[str, str]]:
        """(portal with group tag, target name) of each target offered there; AssertionError where it fails."""
        record = f"iscsiadm -m discoverydb -t st -p {_address(portal)}"
        self.guest.run(f"{record} -o delete >/dev/null 2>&1; {record} -o new{_updates(record, _DISCOVERY, options)}")
        lines = self.guest.text(f"{record} --discover", timeout_s=90).splitlines()
        return [(words[0], words[1]) for words in map(str.split, lines)]

    def record(self, portal: tuple[str, int], target: str, **options: str) -> str:
        """Make the node record anew with these options (names: see the table); returns what selects it."""
        node = f"-m node -T {target} -p {_address(portal)}{self._interface}"
        updates = _updates(f"iscsiadm {node}", _NODE, options)
        self.guest.run(f"iscsiadm {node} -o delete >/dev/null 2>&1; iscsiadm {node} -o new{updates}")
        return node

    def login(self, portal: tuple[str, int], target: str, **options: str) -> int:
        """Log in; returns the number of the session."""
        before = self.sessions()
        self.guest.run(f"iscsiadm {self.record(portal, target, **options)} --login", timeout_s=90)
        (number,) = self.sessions() - before
        return number

    @contextmanager
    def session(self, portal: tuple[str, int], target: str, **options: str) -> Iterator[int]:
        """A session for the time of a with block; what is left of it afterwards is logged out."""
        number = self.login(portal, target, **options)
        try:
            yield number
        finally:
            if number in self.sessions():
                self.logout(number)

    def refused(self, portal: tuple[str, int], target: str, **options: str) -> str:
        """What iscsiadm says when the login fails, as it must."""
        result = self.guest.run(f"iscsiadm {self.record(portal, target, **options)} --login", check=False, timeout_s=90)
        assert result.status != 0, result.text
        return result.text

    def sessions(self) -> set[int]:
        """The numbers of all sessions."""
        names = self.guest.text("ls /sys/class/iscsi_session 2>/dev/null; true").split()
        return {int(name.removeprefix("session")) for name in names}

    def disk(self, session: int, lun: int) -> str:
        """The path of a disk's device, which is waited for."""
        return self.guest.text(f"disk {session} {lun}")

    def logout(self, session: int) -> None:
        """End one session."""
        self.guest.run(f"timeout 80 iscsiadm -m session -r {session} -u", timeout_s=90)


def _updates(record: str, names: dict[str, str], options: dict[str, str]) -> str:
    return "".join(f" && {record} -o update -n '{names[option]}' -v '{value}'" for option, value in options.items())


def _address(portal: tuple[str, int]) -> str:
    return f"{portal[0]}:{portal[1]}"
