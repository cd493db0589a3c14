"""A guest under the debugger: it stops at its calls to the hypervisor, and it is interrupted from here."""

import asyncio
import logging
from collections.abc import Mapping

from tgtcore_ibmvio.platform.hcall import Hcall
from tgtcore_ibmvio.platform.qemu_pseries.client import Client
from tgtcore_ibmvio.platform.qemu_pseries.debugger import Debugger
from tgtcore_ibmvio.platform.qemu_pseries.hypercalls import CALLS, Opcode, Order
from tgtcore_ibmvio.platform.qemu_pseries.kernel_image import Wrapper
from tgtcore_ibmvio.platform.qemu_pseries.registers import MSR, PC, Registers, assign
from tgtcore_ibmvio.platform.qemu_pseries.remembered import Remembered

_log = logging.getLogger(__name__)

_RESULT = 3
_CHANGED = (3, 4, 5, 6)
"""General registers in which a call of ours has its number and its arguments."""
_INIT = 0xC001 << 48
"""The first half of an element that QEMU's own virtual SCSI answers with one of its own and an interrupt."""
_AGAIN_S = 0.002
"""When to interrupt a guest again that was in its firmware or at the first steps of an exception."""
_INSTRUCTION_BYTES = 4
_STEPS_MAX = 100
"""How often a call is tried."""


class Machine:
    """One guest; what it calls is done by its clients, of which there is one for each adapter.

    :param wrapper: where its kernel calls.
    :param known: its adapters, by unit address, with what is known of each.
    :param memory: the guest's memory from real address 0 on.
    """

    def __init__(
        self,
        debugger: Debugger,
        wrapper: Wrapper,
        known: Mapping[int, Remembered],
        memory: memoryview,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.clients = {unit: Client(unit, memory, one, self.interrupt) for unit, one in known.items()}
        self._known = known
        self._debugger = debugger
        self._wrapper = wrapper
        self._loop = loop
        self._running = False
        self._leaving = False
        self._calling_msr = 0
        """The machine state register while the kernel calls, without leave for interrupts."""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Let the guest, which stands still, run and stop at its calls.

        :raises OSError: the machine is gone.
        """
        await self._debugger.ask(self._breakpoint(b"Z"))
        await self._debugger.go()
        self._running = True
        self._task = self._loop.create_task(self._serve())

    async def leave(self) -> None:
        """Let the guest run as if nobody had been there; its virtual SCSI is QEMU's again.

        One that uses an adapter stands still at its next call instead, until somebody attaches again.
        """
        self._leaving = True
        self.interrupt()
        if self._task is not None:
            await self._task
        await self._debugger.close()

    def interrupt(self) -> None:
        """Stop a guest that runs, for what is due."""
        if self._running:
            self._running = False
            self._debugger.interrupt()

    # ---- from stop to stop -----------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        try:
            while await self._stop():
                pass
        except (OSError, ValueError) as error:
            _log.warning("the guest is lost: %s", error)
            self._running = False
            for client in self.clients.values():
                client.fail()

    async def _stop(self) -> bool:
        """Wait for a stop, do what is to be done and let the guest run; False: we have left it."""
        await self._debugger.stopped()
        self._running = False
        registers = Registers((await self._debugger.ask(b"g"))[0])
        if registers.pc == self._wrapper.entry:
            requests = await self._at_call(registers)
        else:
            requests = await self._anywhere(registers)
        if self._leaving:
            await self._leave(requests)
            return False
        await self._debugger.go(*requests)
        self._running = True
        if self._leaving or any(client.due for client in self.clients.values()):
            self.interrupt()  # as nobody could, while it stood still
        return True

    async def _leave(self, requests: list[bytes]) -> None:
        if any(client.queue is not None for client in self.clients.values()):
            await self._debugger.go(*requests)
            return
        for one in self._known.values():
            one.forget()
        await self._debugger.ask(*requests, self._breakpoint(b"z"), b"D")

    async def _at_call(self, registers: Registers) -> list[bytes]:
        """The guest calls: what to change before it runs."""
        self._calling_msr = registers.without_interrupts
        opcode, unit, *arguments = registers.general[3:8]
        client, call = self.clients.get(unit), CALLS.get(opcode)
        result: int | None = None
        if client is not None and call is not None:
            given = arguments[: call.arguments]
            if call.order is Order.AFTER_QEMU:
                result = await self._perform(opcode, unit, *given)
            if not result:
                result = call.act(client, *given)
        called = await self._announce()
        if result is not None:
            return [assign(_RESULT, result), assign(PC, registers.lr)]
        # The first instruction does nothing, so it needs no step of its own.
        requests = [assign(PC, self._wrapper.entry + _INSTRUCTION_BYTES)]
        return requests + (_general(registers) if called else [])

    async def _anywhere(self, registers: Registers) -> list[bytes]:
        """The guest was interrupted: what to change before it runs."""
        if not registers.in_linux:
            self._loop.call_later(_AGAIN_S, self.interrupt)
            return []
        if not await self._announce(self._calling_msr if registers.in_user_mode else None):
            return []
        return [*_general(registers), assign(PC, registers.pc), assign(MSR, registers.msr)]

    # ---- calls of our own ------------------------------------------------------------------------------------------------

    async def _announce(self, msr: int | None = None) -> bool:
        """Have QEMU interrupt the guest for each client that has something new; whether there was any.

        QEMU's virtual SCSI is asked to shake hands: it puts its answer into the queue, from where it is taken away at once,
        and raises the interrupt.
        """
        called = False
        for client in self.clients.values():
            queue = client.due
            if queue is not None:
                with queue.reserved():
                    queue.announced = True
                    result = await self._perform(Opcode.SEND_CRQ, client.unit_address, _INIT, 0, msr=msr)
                called = True
                if result != Hcall.SUCCESS:
                    _log.warning("%#x: QEMU raises no interrupt: %d", client.unit_address, result)
        return called

    async def _perform(self, opcode: int, *arguments: int, msr: int | None = None) -> int:
        """Have the stopped guest do a call; its registers are not what they were."""
        requests = [assign(_RESULT + number, value) for number, value in enumerate((opcode, *arguments))]
        requests.append(assign(PC, self._wrapper.call))
        if msr is not None:
            requests.append(assign(MSR, msr))
        for _ in range(_STEPS_MAX):
            await self._debugger.step(*requests)
            pc, result = await self._debugger.ask(b"p%x" % PC, b"p%x" % _RESULT)
            if _number(pc) != self._wrapper.call:
                break
            requests = []  # it was stopped once more, by what had asked for the stop before, and has done nothing
        return _number(result, signed=True)

    def _breakpoint(self, request: bytes) -> bytes:
        return b"%b0,%x,4" % (request, self._wrapper.entry)


def _number(answer: bytes, *, signed: bool = False) -> int:
    """The value of a register."""
    return int.from_bytes(bytes.fromhex(answer.decode("ascii")), "little", signed=signed)


def _general(registers: Registers) -> list[bytes]:
    return [assign(number, registers.general[number]) for number in _CHANGED]
