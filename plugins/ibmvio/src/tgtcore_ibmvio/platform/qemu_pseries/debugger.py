"""A connection to QEMU's GDB stub: one request after another while the machine stands still, and the wait for the next stop."""

import asyncio
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Self

from tgtcore_ibmvio.platform.qemu_pseries.packets import BrokenPacket, PacketDecoder, encode

ANSWER_S = 10.0
"""How long an answer may take."""

_READ_BYTES = 1 << 16
_INTERRUPT = b"\x03"
_STOPPED = (b"T", b"S")
_FEATURES = b"qSupported:xmlRegisters=powerpc"
_REGISTERS = b"qXfer:features:read:target.xml:0,ffb"
# Timers go on while one instruction is done, or a processor that sleeps would never wake up to do it.
_STEP_WITHOUT_INTERRUPTS = b"Qqemu.sstep=3"


class Debugger:
    """One user's connection: nobody else may call while a call waits."""

    def __init__(self, path: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._path = path
        self._reader = reader
        self._writer = writer
        self._decoder = PacketDecoder()
        self._payloads: deque[bytes] = deque()
        self._console: list[bytes] = []

    @classmethod
    async def connect(cls, path: Path) -> Self:
        """Stop the machine behind a UNIX socket and make ready to debug it.

        :raises OSError: nobody is there, or no stub of QEMU's; the message names the socket.
        """
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError as error:
            raise OSError(error.errno, f"QEMU's debugger can't be reached: {error.strerror}", str(path)) from error
        debugger = cls(path, reader, writer)
        try:
            await debugger._greet()
        except BaseException:
            writer.close()
            raise
        return debugger

    async def _greet(self) -> None:
        self._write(_FEATURES)
        # A machine that was running says first that it has stopped.
        while (answer := await self._answer()).startswith(_STOPPED):
            pass
        if b"qXfer:features:read+" not in answer:
            raise BrokenPacket(
                f"{self._path}: no debugger's stub of QEMU's: it offers {answer.decode(errors='replace')}"
            )
        # Before it is asked for, it counts registers in another way.
        registers, _ = await self.ask(_REGISTERS, _STEP_WITHOUT_INTERRUPTS)
        if b"powerpc:common64" not in registers:
            raise BrokenPacket(f"{self._path}: the machine has no 64-bit POWER processor")

    # ---- the machine stands still ----------------------------------------------------------------------------------------

    async def ask(self, *requests: bytes) -> list[bytes]:
        """The answers to some requests.

        :raises OSError: a request was refused, or the machine is gone.
        """
        self._write(*requests)
        answers = [await self._answer() for _ in requests]
        for request, answer in zip(requests, answers, strict=True):
            if answer.startswith(b"E") or not answer:
                raise BrokenPacket(f"{self._path}: the debugger's stub refuses {request.decode()}: {answer.decode()}")
        return answers

    async def monitor(self, command: str) -> str:
        """What QEMU's monitor prints to a command."""
        self._console.clear()
        await self.ask(b"qRcmd,%b" % command.encode().hex().encode())
        return b"".join(self._console).decode(errors="replace")

    async def go(self, *requests: bytes) -> None:
        """Let the machine run after some requests."""
        self._write(*requests, b"c")
        for _ in requests:
            await self._answer()

    async def step(self, *requests: bytes) -> None:
        """Let it do a single instruction after some requests, without interrupts."""
        self._write(*requests, b"s")
        for _ in requests:
            await self._answer()
        await self.stopped()

    # ---- it runs ---------------------------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Stop it."""
        self._writer.write(_INTERRUPT)

    async def stopped(self) -> None:
        """Wait until it stands still."""
        while not (await self._next()).startswith(_STOPPED):
            pass

    async def abandon(self) -> None:
        """Let a machine that stands still run without us, if it is still there, and hang up."""
        with suppress(OSError):
            await self.ask(b"D")
        await self.close()

    async def close(self) -> None:
        """Hang up; the machine stays as it is."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    def _write(self, *requests: bytes) -> None:
        self._writer.write(b"".join(map(encode, requests)))

    async def _answer(self) -> bytes:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._next()
        except TimeoutError:
            raise TimeoutError(f"{self._path}: QEMU's debugger does not answer; is it in use?") from None

    async def _next(self) -> bytes:
        while True:
            while not self._payloads:
                data = await self._reader.read(_READ_BYTES)
                if not data:
                    raise ConnectionResetError(f"{self._path}: QEMU has ended")
                self._payloads.extend(self._decoder.feed(data))
            payload = self._payloads.popleft()
            if payload.startswith(b"O") and payload != b"OK":
                self._console.append(bytes.fromhex(payload[1:].decode("ascii")))
            else:
                return payload
