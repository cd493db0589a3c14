"""A plugin whose transport misbehaves in its process as its options say; see :func:`install`."""

import asyncio
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from tgtcore import Host, Options, PortalInfo, SessionInfo, Target, TargetPort, Transport, hookimpl, signals

TGTCORE_API = 1
NAME = "wayward"
_HERE = Path(__file__).parent


def install(folder: Path) -> str:
    """Make the plugin known; returns the PYTHONPATH with which it is found."""
    metadata = folder / "site" / f"{NAME}-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(f"[tgtcore.plugins]\n{NAME} = isolation.{NAME}\n")
    return os.pathsep.join(filter(None, (str(folder / "site"), str(_HERE.parent), os.environ.get("PYTHONPATH"))))


class WaywardOptions(Options):
    start: str = ""
    """What it does at its start: a method's name."""
    change: str = ""
    """What it does when it gets other options."""
    hangs_when: str = ""
    """A file: it hangs as soon as that is there."""
    lie: str = ""
    """What it tells wrongly."""
    marker: str = ""
    """A file: what it does at its start, it does only when that is there."""


class Wayward(Transport):
    """Listens, but knows no protocol."""

    Options: ClassVar[type[BaseModel]] = WaywardOptions
    protocol: ClassVar[int] = 5

    def __init__(self, host: Host, options: BaseModel) -> None:
        super().__init__(host, options)
        self._listening: socket.socket | None = None

    def _misbehave(self, how: str) -> None:
        marker = getattr(self.options, "marker", "")
        if how and (not marker or Path(marker).exists()):
            getattr(self, f"_{how}")()

    def _refuse(self) -> None:
        raise OSError(98, "the portal is taken")

    def _die(self) -> None:
        print("these are my last words", file=sys.stderr)
        os._exit(3)

    def _hang(self) -> None:
        time.sleep(3600)

    def _shout(self) -> None:
        signals.emit(signals.limit_reached, self, limit="voice", value=3)

    def _chatter(self) -> None:
        for number in range(100_000):
            os.write(2, f'[50, "forged", "line\\u000a2026 {number} \\u001b[2J"]\n'.encode())

    async def start(self) -> None:
        self._misbehave(self.options.start)  # type: ignore[attr-defined]
        self._listening = self.host.inherited("here") or socket.create_server(("127.0.0.1", 0))

        if self.options.hangs_when:  # type: ignore[attr-defined]
            self._hang_on_demand()

    def _hang_on_demand(self) -> None:
        if Path(self.options.hangs_when).exists():  # type: ignore[attr-defined]
            self._hang()
        self.host.loop.call_later(0.02, self._hang_on_demand)

    async def stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    async def apply_options(self, options: BaseModel) -> None:
        self._misbehave(options.change)  # type: ignore[attr-defined]
        self.options = options

    async def drop_target(self, target: Target) -> None:
        await asyncio.sleep(0)

    async def drop_session(self, session_id: str) -> bool:
        return False

    async def close(self) -> None:
        await self.stop_listening()

    def listening_sockets(self) -> list[tuple[str, socket.socket]]:
        return [("here", self._listening)] if self._listening is not None else []

    def portals(self) -> list[PortalInfo]:
        if self._listening is None:
            return []
        one = PortalInfo(f"127.0.0.1:{self._listening.getsockname()[1]}", 1)
        return [one] * 257 if self.options.lie == "portals" else [one]  # type: ignore[attr-defined]

    def sessions(self) -> list[SessionInfo]:
        return _SESSIONS.get(self.options.lie, [])  # type: ignore[attr-defined]

    def statistics(self) -> Any:
        return ["no", "mapping"] if self.options.lie == "statistics" else {}  # type: ignore[attr-defined]

    def target_ports(self, target: Target) -> list[TargetPort]:
        number = 0 if self.options.lie == "ports" else 1  # type: ignore[attr-defined]
        count = 257 if self.options.lie == "many ports" else 1  # type: ignore[attr-defined]
        return [TargetPort(f"{target.name},1", number + more, 1, 5) for more in range(count)]


class _Endless(list[SessionInfo]):
    """From any of them on there is one more, about which there is much to say."""

    def __getitem__(self, _: Any) -> Any:
        return [SessionInfo("1", "t", "i", "a", 0, {"more": "x" * 1_000_000})]


class _Dawdling(list[SessionInfo]):
    """There is always one more to tell of, after a while."""

    def __getitem__(self, _: Any) -> Any:
        time.sleep(0.05)
        return [SessionInfo("1", "t", "i", "a", 0)]


_SESSIONS = {
    "sessions": [SessionInfo("1", "t", "i", "a", 0)] * 1_000_000,
    "endless": _Endless(),
    "dawdling": _Dawdling(),
}
"""What it tells, by its lie."""


@hookimpl
def tgt_register_transports(registry: Any) -> None:
    registry.transport(NAME, Wayward)
