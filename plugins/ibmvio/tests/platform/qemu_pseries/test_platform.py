"""A guest's calls and the server's, with QEMU's debugger between them."""

import asyncio

import pytest
from tgtcore_ibmvio.platform import Hcall, Partner
from tgtcore_ibmvio.platform.qemu_pseries import QemuPseries
from tgtcore_ibmvio.platform.qemu_pseries.hypercalls import Opcode

INIT = bytes.fromhex("c001") + bytes(14)
ELEMENT = bytes(range(0x80, 0x90))
HIGH, LOW = int.from_bytes(ELEMENT[:8], "big"), int.from_bytes(ELEMENT[8:], "big")
FAILED, DEREGISTERED = (bytes([0xFF, code]) + bytes(14) for code in (1, 2))
USER_MSR, EXCEPTION_MSR = 0x800000000000D033, 0x8000000000001001
SUCCESS, CLOSED, PARAMETER = 0, 2, -4

pytestmark = pytest.mark.asyncio


class TestTheQueues:
    async def test_a_client_without_a_server_finds_it_closed(self, attached):
        async with attached() as (guest, adapter):
            assert await guest.register() == CLOSED
            assert await guest.call(Opcode.SEND_CRQ, HIGH, LOW) == CLOSED
            assert adapter.partner == Partner(1, "guest")

    async def test_a_server_without_a_client_finds_it_closed(self, attached, listener):
        async with attached() as (guest, adapter):
            assert adapter.register(listener) == Hcall.CLOSED
            assert adapter.send(INIT) == Hcall.CLOSED
            assert await guest.register() == SUCCESS

    async def test_a_server_registers_once(self, attached, listener):
        async with attached() as (guest, adapter):
            await guest.register()
            assert adapter.register(listener) == Hcall.SUCCESS
            assert adapter.register(listener) == Hcall.RESOURCE
            assert adapter.enable() == Hcall.SUCCESS

    async def test_what_qemu_refuses_is_refused(self, attached, listener):
        async with attached() as (guest, adapter):
            adapter.register(listener)
            assert await guest.call(Opcode.REG_CRQ, 0x123, 0x1000) == PARAMETER
            assert adapter.send(INIT) == Hcall.CLOSED

    async def test_an_element_goes_to_the_server_and_its_answer_comes_with_an_interrupt(self, attached, listener):
        async with attached() as (guest, adapter):
            adapter.register(listener)
            listener.react = lambda element: adapter.send(INIT)
            await guest.register()
            assert await guest.call(Opcode.SEND_CRQ, HIGH, LOW) == SUCCESS
            assert listener.elements == [ELEMENT]
            assert guest.take(0) == INIT
            assert guest.interrupts == 1

    async def test_a_guest_that_has_taken_the_answer_is_left_alone(self, attached, listener):
        async with attached() as (guest, adapter):
            adapter.register(listener)
            await guest.register()
            adapter.send(INIT)
            assert guest.take(0) == INIT
            assert await guest.call(Opcode.SEND_CRQ, HIGH, LOW) == SUCCESS
            assert guest.interrupts == 0

    async def test_elements_keep_their_order_whatever_qemu_puts_between(self, attached, listener):
        async with attached() as (guest, adapter):
            adapter.register(listener)
            await guest.register()
            for number in range(2 * guest.queue_slots):
                adapter.send(bytes([0x80, 1]) + number.to_bytes(14, "big"))
                await guest.interrupted(number + 1)
                assert guest.take(number % guest.queue_slots)[2:] == number.to_bytes(14, "big")

    async def test_a_full_queue_drops(self, attached, listener):
        async with attached() as (guest, adapter):
            adapter.register(listener)
            await guest.register()
            answers = [adapter.send(ELEMENT) for _ in range(guest.queue_slots + 1)]
            assert answers == [Hcall.SUCCESS] * guest.queue_slots + [Hcall.DROPPED]
            assert guest.take(0) == ELEMENT
            assert adapter.send(INIT) == Hcall.SUCCESS
            assert guest.slot(0) == INIT

    async def test_several_elements_cost_one_interrupt(self, attached, listener):
        async with attached() as (guest, adapter):
            adapter.register(listener)
            await guest.register()
            for _ in range(3):
                adapter.send(ELEMENT)
            await guest.interrupted(1)
            assert await guest.call(Opcode.SEND_CRQ, HIGH, LOW) == SUCCESS
            assert guest.interrupts == 1

    async def test_a_guest_that_wants_no_interrupts_gets_none(self, attached, listener):
        async with attached() as (guest, adapter):
            adapter.register(listener)
            await guest.register()
            await guest.call(Opcode.VIO_SIGNAL, 0)
            stops = guest.stops
            adapter.send(ELEMENT)
            await guest.call(Opcode.VIO_SIGNAL, 1)
            assert guest.slot(0) == ELEMENT
            assert (guest.interrupts, guest.stops) == (0, stops + 1)
            adapter.send(ELEMENT)
            await guest.interrupted(1)

    async def test_a_new_queue_interrupts_as_the_old_one_did(self, attached, listener):
        async with attached() as (guest, adapter):
            adapter.register(listener)
            await guest.register()
            await guest.call(Opcode.FREE_CRQ)
            await guest.call(Opcode.REG_CRQ, 0x4000, 0x100)
            adapter.send(ELEMENT)
            await guest.interrupted(1)


class TestInterruptions:
    @pytest.mark.parametrize("msr", [USER_MSR, 0x8000000000009033])
    async def test_a_program_that_is_interrupted_finds_its_registers_as_they_were(self, attached, listener, msr):
        async with attached() as (guest, adapter):
            adapter.register(listener)
            await guest.register()
            was = {number: number * 1000 for number in range(70)} | {64: 0x10000, 65: msr, 66: 1, 69: 2}
            guest.halted_at.append(was)
            adapter.send(ELEMENT)
            await guest.interrupted(1)
            assert guest.registers == was

    async def test_a_step_that_ends_before_it_has_begun_is_done_again(self, attached, listener, caplog):
        """QEMU stops a machine twice when a breakpoint and a request to stop meet."""
        async with attached() as (guest, adapter):
            adapter.register(listener)
            await guest.register()
            guest.stops_in_vain = 3
            adapter.send(ELEMENT)
            await guest.interrupted(1)
            assert guest.stops_in_vain == 0
        assert caplog.messages == []

    async def test_an_exception_in_its_first_steps_is_let_go_on(self, attached, listener):
        async with attached() as (guest, adapter):
            adapter.register(listener)
            await guest.register()
            stops = guest.stops
            guest.halted_at += [{65: EXCEPTION_MSR}, {65: EXCEPTION_MSR}, {65: USER_MSR}]
            adapter.send(ELEMENT)
            await guest.interrupted(1)
            assert guest.stops == stops + 3

    async def test_calls_that_concern_nothing_here_pass(self, attached):
        async with attached() as (guest, _):
            assert await guest.call(0x58, 1, 2, 3) == SUCCESS


class TestLoss:
    async def test_a_client_that_frees_its_queue_is_told_of(self, attached, listener):
        async with attached() as (guest, adapter):
            adapter.register(listener)
            await guest.register()
            assert await guest.call(Opcode.FREE_CRQ) == SUCCESS
            assert listener.elements == [DEREGISTERED]
            assert adapter.send(INIT) == Hcall.CLOSED
            assert await guest.call(Opcode.FREE_CRQ) == SUCCESS
            assert listener.elements == [DEREGISTERED]

    async def test_a_client_that_registers_anew_without_a_word_has_failed(self, attached, listener):
        async with attached() as (guest, adapter):
            adapter.register(listener)
            await guest.register()
            adapter.send(ELEMENT)
            guest.ram[0x10000] = 0
            assert await guest.register() == SUCCESS
            assert listener.elements == [FAILED]
            adapter.send(INIT)
            assert guest.slot(0) == INIT

    async def test_a_server_that_goes_is_told_of_and_comes_back(self, attached, listener):
        async with attached() as (guest, adapter):
            adapter.register(listener)
            await guest.register()
            assert adapter.free() == adapter.free() == Hcall.SUCCESS
            await guest.interrupted(1)
            assert guest.take(0) == DEREGISTERED
            assert guest.slot(1) == bytes(16)
            assert await guest.call(Opcode.SEND_CRQ, HIGH, LOW) == CLOSED
            assert adapter.register(listener) == Hcall.SUCCESS
            assert await guest.call(Opcode.SEND_CRQ, HIGH, LOW) == SUCCESS
            assert listener.elements == [ELEMENT]

    async def test_a_qemu_that_ends_has_failed(self, attached, listener):
        async with attached() as (guest, adapter):
            adapter.register(listener)
            await guest.register()
            guest.end()
            await guest.until(lambda: listener.elements == [FAILED])
            assert adapter.send(INIT) == Hcall.CLOSED
            assert adapter.write(0x4000, b"late") == Hcall.PERMISSION
            assert adapter.partner is None

    async def test_a_listener_that_raises_does_not_stop_the_guest(self, attached, listener, caplog):
        async with attached() as (guest, adapter):
            adapter.register(listener)
            await guest.register()
            listener.react = lambda element: 1 / 0
            assert await guest.call(Opcode.SEND_CRQ, HIGH, LOW) == SUCCESS
            assert await guest.call(Opcode.VIO_SIGNAL, 0) == SUCCESS
            assert "no good listener" in caplog.text

    async def test_after_the_end_a_guest_that_uses_nothing_is_qemus(self, attached, options):
        async with attached() as (guest, _):
            await guest.register()
            await guest.call(Opcode.FREE_CRQ)
        assert (guest.breakpoints, guest.detached) == ([], True)
        assert guest.running.is_set()
        assert not options.ram.with_name("ram.71000003").exists()

    async def test_a_guest_that_uses_an_adapter_waits_for_another_server(self, options, qemu, listener):
        async with qemu() as guest:
            first = QemuPseries(options, asyncio.get_running_loop())
            adapter = await first.open(guest.unit_address)
            adapter.register(listener)
            await guest.register()
            await guest.map(0x8000, 0x21000)
            await first.close()
            assert not guest.detached
            calling = asyncio.create_task(guest.call(Opcode.SEND_CRQ, HIGH, LOW))
            await guest.until(lambda: not guest.running.is_set())

            second = QemuPseries(options, asyncio.get_running_loop())
            adapter = await second.open(guest.unit_address)
            assert adapter.register(listener) == Hcall.SUCCESS
            assert await calling == SUCCESS
            await guest.interrupted(1)
            assert (listener.elements, guest.slot(0)) == ([ELEMENT], FAILED)
            assert adapter.write(0x8000, b"again") == Hcall.SUCCESS
            await guest.call(Opcode.FREE_CRQ)
            await second.close()

    async def test_what_was_known_of_another_run_of_qemu_is_forgotten(self, options, qemu, listener):
        for _ in range(2):
            async with qemu() as guest:
                platform = QemuPseries(options, asyncio.get_running_loop())
                adapter = await platform.open(guest.unit_address)
                assert adapter.register(listener) == Hcall.CLOSED
                await guest.register()
                await platform.close()
            options.gdb.unlink(missing_ok=True)


class TestMemory:
    async def test_data_go_both_ways(self, attached):
        async with attached() as (guest, adapter):
            await guest.map(0x8000, 0x21000)
            await guest.map(0x9000, 0x20000)
            data = bytes(range(256)) * 16
            assert adapter.write(0x8800, data) == Hcall.SUCCESS
            assert bytes(guest.ram[0x21800:0x22000]) + bytes(guest.ram[0x20000:0x20800]) == data
            back = bytearray(4096)
            assert adapter.read(0x8800, memoryview(back)) == Hcall.SUCCESS
            assert back == data
            first, second = adapter.views(0x8800, 4096, writable=True)
            assert bytes(first) + bytes(second) == data

    async def test_what_is_not_mapped_for_it_is_refused(self, attached):
        async with attached() as (guest, adapter):
            await guest.map(0x8000, 0x21000, access=1)
            assert adapter.write(0x8000, b"x") == Hcall.PERMISSION
            assert adapter.views(0x8000, 1, writable=True) is None
            assert adapter.views(0x8000, 1, writable=False) is not None
            assert adapter.read(0x8FFF, memoryview(bytearray(2))) == Hcall.PERMISSION

    async def test_views_outlive_the_platform(self, attached):
        async with attached() as (guest, adapter):
            await guest.map(0x8000, 0x21000)
            (view,) = adapter.views(0x8000, 4, writable=True)
        view[:] = b"late"
        assert bytes(view) == b"late"


class TestAttaching:
    async def refused(self, options, kind, message):
        platform = QemuPseries(options, asyncio.get_running_loop())
        with pytest.raises(kind, match=message):
            await platform.open(0x71000003)
        await platform.close()

    async def test_nobody_listens(self, options):
        await self.refused(options, FileNotFoundError, "debugger can't be reached.*gdb")

    async def test_there_is_no_memory(self, options, qemu):
        async with qemu():
            options.ram.unlink()
            await self.refused(options, FileNotFoundError, "ram")

    async def test_the_memory_is_another_size(self, options, qemu):
        async with qemu(memory_bytes=2 << 20) as guest:
            await self.refused(options, OSError, r"1048576 bytes; the guest's memory has 2097152 bytes.*ram")
            assert guest.running.is_set()

    async def test_the_memory_is_anothers(self, options, qemu, tmp_path):
        async with qemu() as guest:
            (tmp_path / "other").write_bytes(bytes(1 << 20))
            await self.refused(
                options.model_copy(update={"ram": tmp_path / "other"}), OSError, "not the guest's memory"
            )
            assert guest.running.is_set()

    async def test_the_kernel_is_elsewhere(self, options, qemu):
        async with qemu() as guest:
            guest.ram[0x808] ^= 1
            await self.refused(options, OSError, "another kernel.*nokaslr")
            assert guest.running.is_set()

    async def test_a_kernel_that_is_not_up_yet_is_none_of_its_business(self, options, qemu):
        async with qemu() as guest:
            guest.registers[65] = EXCEPTION_MSR
            guest.ram[0x808] ^= 1
            platform = QemuPseries(options, asyncio.get_running_loop())
            adapter = await platform.open(guest.unit_address)
            assert adapter.unit_address == guest.unit_address
            await platform.close()

    async def test_a_device_that_is_not_there_or_in_use(self, options, qemu):
        async with qemu() as guest:
            platform = QemuPseries(options, asyncio.get_running_loop())
            with pytest.raises(OSError, match=r"no spapr-vscsi at 0x71000009 \(it has 0x71000003\)"):
                await platform.open(0x71000009)
            adapter = await platform.open(guest.unit_address)
            with pytest.raises(OSError, match="0x71000003 is in use"):
                await platform.open(guest.unit_address)
            await platform.release(adapter)
            assert await platform.open(guest.unit_address)
            await platform.close()
