"""Many initiators at once, in one thread: as light as they can be, so that the daemon is what is measured."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from itertools import count
from struct import Struct
from typing import Self

from tgtcore_iscsi.digest import padded
from tgtcore_iscsi.initiator.pdu import login_request, scsi_command
from tgtcore_iscsi.pdu.codes import DATA_IN_STATUS, FINAL, NO_TAG, Opcode
from tgtcore_iscsi.text import encode_pairs

from tgtcore.scsi.lun import encode_lun

TEST_UNIT_READY = bytes(16)
_READ_10 = Struct(">BBIBHB6x").pack
_NOP_OUT = Struct(">BB6xQIIII16x").pack
_BLOCK_BYTES = 512
_LOGINS_AT_ONCE = 32
_SECURITY_TO_OPERATIONAL, _OPERATIONAL_TO_FULL_FEATURE = 0x81, 0x87
_READ, _SIMPLE = 0x40, 0x01


def read_10(lba: int, blocks: int) -> bytes:
    """The CDB of a READ (10)."""
    return _READ_10(0x28, 0, lba, 0, blocks, 0)


class Member:
    """One session; use :meth:`log_in`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._tags = count(1)
        self._cmd_sn = 1

    @classmethod
    async def log_in(cls, portal: tuple[str, int], target: str, name: str) -> Self:
        """A session of an initiator with a target."""
        made = cls(*await asyncio.open_connection(*portal))
        names = [("InitiatorName", name), ("SessionType", "Normal"), ("TargetName", target), ("AuthMethod", "None")]
        for pairs, flags in ((names, _SECURITY_TO_OPERATIONAL), ([], _OPERATIONAL_TO_FULL_FEATURE)):
            made._writer.write(login_request(encode_pairs(pairs), flags=flags, cmd_sn=made._cmd_sn, exp_stat_sn=0))
            header, _ = await made._receive()
            assert header[36:38] == b"\0\0", f"{name}: login status {header[36:38].hex()}"
        return made

    def send(self, cdb: bytes, lun: int = 0, room: int = 0) -> None:
        """Begin a command."""
        request = scsi_command(
            cdb,
            flags=FINAL | _SIMPLE | (_READ if room else 0),
            lun=int.from_bytes(encode_lun(lun), "big"),
            itt=next(self._tags),
            expected_length=room,
            cmd_sn=self._cmd_sn,
            exp_stat_sn=0,
            data=b"",
        )
        self._cmd_sn += 1
        self._writer.write(request)

    async def answer(self) -> tuple[int, bytes]:
        """Status and data of the next command that ends."""
        data = b""
        while True:
            header, piece = await self._receive()
            data += piece
            opcode = header[0] & 0x3F
            if opcode == Opcode.SCSI_RESPONSE or (opcode == Opcode.DATA_IN and header[1] & DATA_IN_STATUS):
                return header[3], data
            if opcode == Opcode.NOP_IN and header[20:24] != b"\xff" * 4:
                ttt = int.from_bytes(header[20:24], "big")
                self._writer.write(_NOP_OUT(0x40 | Opcode.NOP_OUT, FINAL, 0, NO_TAG, ttt, self._cmd_sn, 0))

    async def execute(self, cdb: bytes, lun: int = 0, room: int = 0) -> tuple[int, bytes]:
        """Run one command."""
        self.send(cdb, lun, room)
        return await self.answer()

    async def greet(self, luns: Iterable[int]) -> None:
        """Take the unit attention of power on of LUNs, so that they are ready."""
        for lun in luns:
            statuses = [(await self.execute(TEST_UNIT_READY, lun))[0] for _ in range(2)]
            assert statuses == [2, 0], f"LUN {lun}: {statuses}"

    async def read(self, luns: Iterable[int], depth: int) -> int:
        """Read 4 KiB from each LUN, so many at a time; returns how many commands it was."""
        sent = ended = 0
        for lun in luns:
            self.send(read_10(sent % 64 * 8, 8), lun, 8 * _BLOCK_BYTES)
            sent += 1
            if sent - ended == depth:
                for _ in range(depth):
                    assert (await self.answer())[0] == 0
                ended = sent
        for _ in range(sent - ended):
            assert (await self.answer())[0] == 0
        return sent

    async def leave(self) -> None:
        """Break the connection; idempotent."""
        self._writer.transport.abort()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _receive(self) -> tuple[bytes, bytes]:
        header = await self._reader.readexactly(48)
        length = padded(int.from_bytes(header[5:8], "big"))
        return header, await self._reader.readexactly(length) if length else b""


@asynccontextmanager
async def crowd(portal: tuple[str, int], targets: list[str], size: int) -> AsyncIterator[list[Member]]:
    """So many initiators, spread over targets, logged in; in the end they break their connections."""
    turnstile = asyncio.Semaphore(_LOGINS_AT_ONCE)

    async def one(number: int) -> Member:
        async with turnstile:
            name = f"iqn.2025-01.example.crowd:{number}"
            return await Member.log_in(portal, targets[number % len(targets)], name)

    members = list(await asyncio.gather(*map(one, range(size))))
    try:
        yield members
    finally:
        await asyncio.gather(*(member.leave() for member in members))
