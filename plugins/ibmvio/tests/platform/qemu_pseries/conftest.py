"""A QEMU for tests: its debugger's stub on a socket, its virtual SCSI, and a guest that calls when the test says so."""

import asyncio
import os
import re
import struct
from contextlib import asynccontextmanager

import pytest
from tgtcore_ibmvio.platform.qemu_pseries import QemuPseries, QemuPseriesOptions
from tgtcore_ibmvio.platform.qemu_pseries.hypercalls import Opcode
from tgtcore_ibmvio.platform.qemu_pseries.memory import GuestMemory
from tgtcore_ibmvio.platform.qemu_pseries.packets import PacketDecoder, encode

UNIT = 0x71000003
ENTRY = 0xC000000000000808
CALL = ENTRY + 16
CODE = struct.pack("<5I", 0x7C421378, 0x7C000026, 0x90010008, 0x60000000, 0x44000022)
RAM_BYTES = 1 << 20
KERNEL_MSR = 0x8000000000009033
USER_MSR = KERNEL_MSR | 0x4000
EXCEPTION_MSR = 0x8000000000001001
LR = 0xC000000000009000
QUEUE_REAL, QUEUE_ADDRESS, QUEUE_BYTES = 0x10000, 0x4000, 0x100
SUCCESS, CLOSED, PARAMETER = 0, 2, -4


def elf(symbols, code=CODE, address=ENTRY - 8, machine=21):
    """An ELF file with one section of code, at 8 bytes before the local entry, and symbols at its beginning."""
    text = bytes(8) + code + struct.pack("<I", 0x4E800020) + bytes(128)
    strings = b"\0" + b"\0".join(name.encode() for name in symbols) + b"\0"
    table = b"".join(
        struct.pack("<IBBHQQ", strings.index(name.encode() + b"\0"), 0x12, 0x60, 1, address, 0) for name in symbols
    )
    sections, content = [bytes(64)], b""
    for kind, at, data, link in ((1, address, text, 0), (2, 0, table, 3), (3, 0, strings, 0)):
        sections.append(struct.pack("<IIQQQQIIQQ", 0, kind, 0, at, 64 + len(content), len(data), link, 0, 0, 0))
        content += data
    header = b"\x7fELF\x02\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 2, machine, 1, 0, 0, 64 + len(content), 0, 64, 0, 0, 64, len(sections), 0
    )
    return header + content + b"".join(sections)


class Qemu:
    """QEMU's own part, as much as is relied on."""

    unit_address = UNIT

    def __init__(self, path, ram, memory_bytes=RAM_BYTES, queue_bytes=QUEUE_BYTES):
        self.queue_bytes = queue_bytes
        self.queue_slots = queue_bytes // 16
        self.path = path
        self.ram = ram
        self.memory_bytes = memory_bytes
        self.registers = dict.fromkeys(range(70), 0) | {64: 0x1000, 65: KERNEL_MSR, 67: LR}
        self.running = asyncio.Event()
        self.running.set()
        self.breakpoints = []
        self.stops = 0
        self.stops_in_vain = 0
        """How many steps are stopped before their instruction."""
        self.interrupts = 0
        self.interrupts_wanted = False
        self.queue = None
        self.next_slot = 0
        self.detached = False
        self.halted_at = []
        self._writer = None

    @asynccontextmanager
    async def listening(self):
        server = await asyncio.start_unix_server(self._serve, self.path)
        try:
            yield self
        finally:
            self.end()
            server.close()

    def end(self):
        if self._writer is not None:
            self._writer.close()

    # ---- the guest ----

    async def call(self, opcode, *arguments):
        """What a call of the guest's kernel returns; the registers that its functions may rely on are as they were."""
        await self.until(self.running.is_set)
        registers = dict(zip(range(3, 8), (opcode, UNIT, *arguments), strict=False))
        self.registers |= registers | {64: ENTRY, 65: KERNEL_MSR}
        if ENTRY not in self.breakpoints:
            return self._hypercall()
        self._stop()
        await self.until(self.running.is_set)
        if self.registers[64] == LR:
            return self._result()
        assert self.registers[64] == ENTRY + 4
        assert {number: self.registers[number] for number in registers} == registers
        return self._hypercall()

    async def map(self, address, real, access=3):
        assert await self.call(Opcode.PUT_TCE, address, real | access) == SUCCESS

    async def register(self):
        """Do what a client does to begin."""
        await self.map(QUEUE_ADDRESS, QUEUE_REAL)
        result = await self.call(Opcode.REG_CRQ, QUEUE_ADDRESS, self.queue_bytes)
        await self.call(Opcode.VIO_SIGNAL, 1)
        return result

    async def until(self, true):
        async with asyncio.timeout(5):
            while True:
                if true():
                    return
                await asyncio.sleep(0)

    async def interrupted(self, times):
        """Wait until the guest runs and has been interrupted so often."""
        await self.until(lambda: self.interrupts == times and self.running.is_set())

    def slot(self, number):
        at = QUEUE_REAL + 16 * number
        return bytes(self.ram[at : at + 16])

    def take(self, number):
        """Take an element out of the queue, as a client does."""
        element = self.slot(number)
        self.ram[QUEUE_REAL + 16 * number] = 0
        return element

    # ---- the hypervisor ----

    def _result(self):
        return int.from_bytes(self.registers[3].to_bytes(8, "little"), "little", signed=True)

    def _hypercall(self):
        opcode, unit, first, _ = (self.registers[number] for number in range(3, 7))
        assert unit == UNIT
        result = SUCCESS
        if opcode == Opcode.REG_CRQ:
            result = SUCCESS if first % 0x1000 == 0 else PARAMETER
            self.queue, self.next_slot = QUEUE_REAL, 0
        elif opcode == Opcode.FREE_CRQ:
            self.queue = None
        elif opcode == Opcode.VIO_SIGNAL:
            self.interrupts_wanted = bool(first)
        elif opcode == Opcode.SEND_CRQ:
            assert first >> 48 == 0xC001
            result = self._shake_hands()
        self.registers[3] = result & 0xFFFFFFFFFFFFFFFF
        return result

    def _shake_hands(self):
        if self.queue is None:
            return CLOSED
        at = self.queue + self.next_slot * 16
        if self.ram[at] == 0:
            self.ram[at : at + 16] = b"\xc0\x02".ljust(16, b"\0")
            self.next_slot = (self.next_slot + 1) % self.queue_slots
            self.interrupts += self.interrupts_wanted
        return SUCCESS

    # ---- the debugger's stub ----

    async def _serve(self, reader, writer):
        self._writer = writer
        decoder = PacketDecoder()
        if self.running.is_set():
            self._stop(b"T02thread:01;")
        while data := await reader.read(65536):
            for piece in re.split(rb"(\x03)", data):
                if piece == b"\x03":
                    self._interrupt()
                for payload in decoder.feed(piece.replace(b"\x03", b"")):
                    assert not self.running.is_set()
                    writer.write(b"+" + b"".join(map(encode, self._answers(payload))))

    def _interrupt(self):
        if self.running.is_set():
            self.registers |= self.halted_at.pop(0) if self.halted_at else {}
            self._stop(b"T02thread:01;")

    def _stop(self, reason=b"T05thread:01;"):
        self.stops += 1
        self.running.clear()
        self._writer.write(encode(reason))

    def _answers(self, payload):
        name, rest = payload[:1], payload[1:]
        return self._WORDS[next(word for word in self._WORDS if payload.startswith(word))](self, name, rest)

    def _monitor(self, name, rest):
        command = bytes.fromhex(rest[5:].decode())
        printed = {
            b"info qtree": b'  dev: spapr-vscsi, id "vs"\r\n    reg = %d (%#x)\r\n  dev: spapr-vty, id ""\r\n    reg = 5\r\n'
            % (UNIT, UNIT),
            b"info memory_size_summary": b"base memory: %d\r\nplugged memory: 0\r\n" % self.memory_bytes,
        }[command]
        return [*(b"O" + line.hex().encode() for line in printed.splitlines(keepends=True)), b"OK"]

    def _general(self, name, rest):
        values = [self.registers[number] for number in (*range(32), 64, 65, 66, 67, 68, 69)]
        return [struct.pack("<34QIQQI", *values).hex().encode()]

    def _assign(self, name, rest):
        number, value = rest.split(b"=")
        self.registers[int(number, 16)] = int.from_bytes(bytes.fromhex(value.decode()), "little")
        return [b"OK"]

    def _memory(self, name, rest):
        at, length = (int(part, 16) for part in rest.split(b","))
        at &= (1 << 60) - 1
        return [bytes(self.ram[at : at + length]).hex().encode()] if at < RAM_BYTES else [b"E14"]

    def _breakpoint(self, name, rest):
        address = int(rest.split(b",")[1], 16)
        (self.breakpoints.append if name == b"Z" else self.breakpoints.remove)(address)
        return [b"OK"]

    def _step(self, name, rest):
        assert self.registers[64] == CALL
        if self.stops_in_vain:
            self.stops_in_vain -= 1
            return [b"T02thread:01;"]
        assert self.registers[65] & 0x4000 == 0
        self._hypercall()
        self.registers[64] += 4
        return [b"T05thread:01;"]

    def _go(self, name, rest):
        self.running.set()
        return []

    def _detach(self, name, rest):
        self.breakpoints.clear()
        self.detached = True
        self.running.set()
        return [b"OK"]

    _WORDS = {
        b"qSupported": lambda *_: [b"PacketSize=1000;qXfer:features:read+;multiprocess+"],
        b"qXfer": lambda *_: [b"l<target><architecture>powerpc:common64</architecture></target>"],
        b"Qqemu.sstep=3": lambda *_: [b"OK"],
        b"qRcmd": _monitor,
        b"g": _general,
        b"P": _assign,
        b"p": lambda self, name, rest: [self.registers[int(rest, 16)].to_bytes(8, "little").hex().encode()],
        b"m": _memory,
        b"Z": _breakpoint,
        b"z": _breakpoint,
        b"s": _step,
        b"c": _go,
        b"D": _detach,
    }


class GuestWithQemu(QemuPseries):
    """The platform, and the QEMU behind it, on a loop that does not run yet."""

    def __init__(self, options, loop, queue_bytes):
        super().__init__(options, loop)
        self._memory_of_qemu = GuestMemory(options.ram)
        ram = self._memory_of_qemu.view
        self.qemu = Qemu(options.gdb, ram, len(ram), queue_bytes)
        self._listening = self.qemu.listening()
        loop.run_until_complete(self._listening.__aenter__())

    async def close(self):
        await super().close()
        await self._listening.__aexit__(None, None, None)
        self._memory_of_qemu.close()


class Listener:
    def __init__(self):
        self.elements = []
        self.react = lambda element: None

    def element(self, element):
        self.elements.append(element)
        self.react(element)


@pytest.fixture
def kernel_file(tmp_path):
    """Makes an ELF file."""

    def made(symbols=("xplpar_hcall_norets", "plpar_hcall_norets"), **contents):
        path = tmp_path / "kernel"
        path.write_bytes(elf(symbols, **contents))
        return path

    return made


@pytest.fixture
def options(tmp_path, kernel_file):
    ram = bytearray(RAM_BYTES)
    ram[0x808 : 0x808 + len(CODE)] = CODE
    (tmp_path / "ram").write_bytes(ram)
    kernel_file()
    return QemuPseriesOptions(gdb=tmp_path / "gdb", ram=tmp_path / "ram", kernel=tmp_path / "kernel")


@pytest.fixture
def guest_with_qemu(options):
    """Makes the platform of a guest with more memory, and whose queue has as many bytes as is said."""

    def made(loop, ram_bytes, queue_bytes):
        os.truncate(options.ram, ram_bytes)
        return GuestWithQemu(options, loop, queue_bytes)

    return made


@pytest.fixture
def qemu(options):
    """Makes a QEMU whose memory is the file, and that listens."""

    @asynccontextmanager
    async def made(**settings):
        memory = GuestMemory(options.ram)
        try:
            async with Qemu(options.gdb, memory.view, **settings).listening() as machine:
                yield machine
        finally:
            memory.close()

    return made


@pytest.fixture
def attached(options, qemu):
    """A guest, and the adapter of its device."""

    @asynccontextmanager
    async def made():
        async with qemu() as machine:
            platform = QemuPseries(options, asyncio.get_running_loop())
            adapter = await platform.open(UNIT)
            try:
                yield machine, adapter
            finally:
                await platform.release(adapter)
                await platform.close()

    return made


@pytest.fixture
def listener():
    return Listener()
