"""A plugin for a daemon under test: the transport ``xen`` on an emulated machine whose guests a test commands through a socket.

The machine is in the process that the transport runs in, so the socket is too: ``lab.sock`` beside the folder of the journals.
"""

import asyncio
import json
import select
import socket
from pathlib import Path
from typing import Any

from tgtcore_xen import tgt_check_config, tgt_register_admin
from tgtcore_xen.frontend import FrontEnd
from tgtcore_xen.platform.emulated import EmulatedXen
from tgtcore_xen.transport import XenTransport

from tgtcore import hookimpl

__all__ = ["NAME", "TGTCORE_API", "Lab", "tgt_check_config", "tgt_register_admin", "tgt_register_transports"]

TGTCORE_API = 1
NAME = "xenlab"
SOCKET = "lab.sock"
_LINE_BYTES = 16 << 20


class LabTransport(XenTransport):
    """The transport, with a socket for the test."""

    _lab: "_Lab | None" = None

    async def start(self) -> None:
        """Start, and take commands."""
        await super().start()
        if self._lab is None:
            assert self.options.journal is not None
            assert self.options.emulated is not None
            self._lab = _Lab(EmulatedXen.named(self.options.emulated.machine, self.host.loop))
            path = self.options.journal.parent / SOCKET
            path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._lab.serve, path, limit=_LINE_BYTES)

    async def close(self) -> None:
        """Close, and take none."""
        await super().close()
        if self._lab is not None:
            self._server.close()
            self._lab = None


class _Lab:
    """Guests and their front ends, by name."""

    def __init__(self, machine: EmulatedXen) -> None:
        self._machine = machine
        self._fronts: dict[str, FrontEnd] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Do what a test asks for, line by line."""
        while line := await reader.readline():
            call, arguments = json.loads(line)
            try:
                answer = {"result": await getattr(self, f"do_{call}")(**arguments)}
            except Exception as error:
                answer = {"error": repr(error)}
            writer.write(json.dumps(answer).encode() + b"\n")
        writer.close()

    async def do_create(self, name: str) -> int:
        """Make a guest; its domid."""
        return self._machine.create(name).domid

    async def do_destroy(self, name: str) -> None:
        """End a guest."""
        guest = self._machine.find(name)
        assert guest is not None
        guest.destroy()

    async def do_connect(self, name: str, number: int = 0) -> None:
        """Load the driver of a guest."""
        guest = self._machine.find(name)
        assert guest is not None
        front = self._fronts[name] = FrontEnd(guest, number)
        await front.connect(5)

    async def do_devices(self, name: str) -> list[int]:
        """The LUNs that a guest has found."""
        return sorted(lun for _, _, lun in self._fronts[name].devices.values())

    async def do_execute(self, name: str, lun: int, cdb: str, data: str, room: int) -> list[Any]:
        """Run a command."""
        outcome = await self._fronts[name].execute(
            (0, 0, lun), bytes.fromhex(cdb), data_out=bytes.fromhex(data), room=room
        )
        return [outcome.host, outcome.status, outcome.data.hex(), outcome.sense.hex()]

    async def do_in_use(self) -> list[int]:
        """Pages that are mapped, event channels that are bound."""
        return list(self._machine.in_use()[:2])

    async def do_read(self, path: str) -> str | None:
        """A node."""
        return await self._machine.store.read(path)


class Lab:
    """The other end, in the test."""

    def __init__(self, folder: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(str(folder / SOCKET))
        self._lines = self._socket.makefile("rb")

    def begin(self, call: str, **arguments: Any) -> None:
        """Ask for something."""
        self._socket.sendall(json.dumps([call, arguments]).encode() + b"\n")

    def has_answered(self, within_s: float) -> bool:
        """Whether something has come of it, or does so soon."""
        return bool(select.select([self._socket], [], [], within_s)[0])

    def end(self) -> Any:
        """What came of it."""
        answer = json.loads(self._lines.readline())
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["result"]

    def __call__(self, call: str, **arguments: Any) -> Any:
        """Have something done."""
        self.begin(call, **arguments)
        return self.end()

    def close(self) -> None:
        """Ask no more."""
        self._lines.close()
        self._socket.close()


@hookimpl
def tgt_register_transports(registry: Any) -> None:
    """Offer the transport."""
    registry.transport("xen", LabTransport)
