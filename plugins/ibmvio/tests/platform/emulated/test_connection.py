"""What an attached client partition may do, and what ends its attachment."""

import asyncio
import contextlib
import gc
import os
import socket
from typing import Any

import pytest
from tgtcore_ibmvio.platform.emulated.client import AsyncClientPartition, Call
from tgtcore_ibmvio.platform.emulated.queue_pair import ELEMENTS_PER_RING, ELEMENTS_PER_TURN
from tgtcore_ibmvio.platform.emulated.wire import CALL, CLIENT_WAITS, RETURN, SERVER_OPEN
from tgtcore_ibmvio.platform.hcall import Hcall

PAGE = 4096
ELEMENT = b"\x80" * 16
FAILED, DEREGISTERED, MIGRATED, SUSPEND, RESUME = (bytes((0xFF, code)) + bytes(14) for code in (1, 2, 6, 9, 10))


async def until_ended(bench: Any) -> None:
    await bench.until(lambda: bench.adapter.partner is None, "the end of the attachment")
    assert bench.heard.elements[-1] == FAILED
    await bench.attach()


# ---- calls ----------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_queue_is_registered_once(bench: Any) -> None:
    client = await bench.attach()
    assert await client.call(Call.H_REG_CRQ, bench.start, PAGE) is Hcall.RESOURCE
    assert await client.call(Call.H_FREE_CRQ) is Hcall.SUCCESS
    assert await client.call(Call.H_FREE_CRQ) is Hcall.SUCCESS
    assert bench.heard.elements == [DEREGISTERED]
    assert await client.call(Call.H_ENABLE_CRQ) is Hcall.PARAMETER


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("address", "length"),
    [(0, 0), (1, PAGE), (0, PAGE + 16), (-PAGE, PAGE), (31 * PAGE, 2 * PAGE), (5 * PAGE, 2 * PAGE), (7 * PAGE, PAGE)],
)
async def test_a_queue_that_can_not_be_there(bench: Any, address: int, length: int) -> None:
    client = await bench.attach()
    await client.call(Call.H_FREE_CRQ)
    client.map(bench.start + 6 * PAGE, 9 * PAGE, PAGE)
    client.unmap(bench.start + 7 * PAGE, PAGE)
    assert await client.call(Call.H_REG_CRQ, bench.start + address, length) is Hcall.PARAMETER
    assert bench.adapter.send(ELEMENT) is Hcall.CLOSED
    assert client.take() == []


@pytest.mark.asyncio
async def test_a_queue_is_empty_at_first(bench: Any) -> None:
    client = await bench.attach()
    assert bench.adapter.send(ELEMENT) is Hcall.SUCCESS
    await client.call(Call.H_FREE_CRQ)
    assert await client.call(Call.H_REG_CRQ, bench.start, PAGE) is Hcall.SUCCESS
    assert client.take() == []
    assert bench.adapter.send(b"\x81" * 16) is Hcall.SUCCESS
    assert client.take() == [b"\x81" * 16]


@pytest.mark.asyncio
async def test_nothing_goes_either_way_after_a_migration(bench: Any) -> None:
    client = await bench.attach()
    assert await client.call(Call.MIGRATE) is Hcall.SUCCESS
    assert await client.call(Call.MIGRATE) is Hcall.CLOSED
    assert client.send(ELEMENT) is Hcall.CLOSED
    assert bench.adapter.send(ELEMENT) is Hcall.CLOSED
    assert bench.adapter.free() is Hcall.SUCCESS
    assert bench.adapter.register(bench.heard) is Hcall.CLOSED
    assert client.send(ELEMENT) is Hcall.CLOSED
    assert await client.receive(20) == [MIGRATED]
    assert await client.call(Call.H_ENABLE_CRQ) is Hcall.SUCCESS
    assert client.send(ELEMENT) is Hcall.SUCCESS
    assert bench.adapter.send(ELEMENT) is Hcall.SUCCESS
    await client.call(Call.H_FREE_CRQ)
    assert await client.call(Call.MIGRATE) is Hcall.CLOSED
    assert bench.heard.elements == [MIGRATED, ELEMENT, DEREGISTERED]


@pytest.mark.asyncio
async def test_a_partition_is_suspended_and_goes_on(bench: Any) -> None:
    client = await bench.attach()
    assert await client.call(Call.SUSPEND) is Hcall.PARAMETER
    assert await client.call(Call.PREPARE_FOR_SUSPEND) is Hcall.SUCCESS
    assert await client.call(Call.SUSPEND) is Hcall.BUSY
    assert bench.adapter.ready_for_suspend() is Hcall.SUCCESS
    assert await client.call(Call.SUSPEND) is Hcall.SUCCESS
    assert await client.call(Call.RESUME) is Hcall.SUCCESS
    assert bench.heard.elements == [SUSPEND, RESUME]
    bench.adapter.free()
    for call in (Call.PREPARE_FOR_SUSPEND, Call.SUSPEND, Call.RESUME):
        assert await client.call(call) is Hcall.CLOSED
    client.close()
    await bench.until(lambda: bench.adapter.partner is None, "the end of the attachment")
    assert bench.adapter.ready_for_suspend() is Hcall.PARAMETER


@pytest.mark.asyncio
async def test_the_server_has_to_have_a_queue_to_enable_it(bench: Any) -> None:
    assert bench.adapter.enable() is Hcall.SUCCESS
    bench.adapter.free()
    assert bench.adapter.enable() is Hcall.PARAMETER


@pytest.mark.asyncio
@pytest.mark.parametrize("element", [b"", b"\x80" * 15, b"\x80" * 17, bytes(16), b"\x7f" * 16, b"\xff" * 16])
async def test_what_is_no_element_is_not_sent(bench: Any, element: bytes) -> None:
    client = await bench.attach()
    assert client.send(element) is Hcall.PARAMETER
    assert bench.adapter.send(element) is Hcall.PARAMETER
    assert client.take() == []


@pytest.mark.asyncio
async def test_an_event_has_a_place_in_a_full_queue(bench: Any) -> None:
    client = await bench.attach()
    sent = 0
    while bench.adapter.send(ELEMENT) is Hcall.SUCCESS:
        sent += 1
    assert sent == 255
    for _ in range(2):
        bench.adapter.free()
        bench.adapter.register(bench.heard)
    assert bench.adapter.send(ELEMENT) is Hcall.DROPPED
    assert client.take(1000) == [ELEMENT] * 255 + [DEREGISTERED]
    assert bench.adapter.send(ELEMENT) is Hcall.SUCCESS


# ---- breaches -------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_call_that_nobody_knows(bench: Any) -> None:
    client = await bench.attach()
    client._link.send(CALL.pack(0x12345678, 9, 1, 2))
    assert RETURN.unpack(await bench.answer(client._link)) == (0x12345678, Hcall.PARAMETER)
    assert bench.adapter.partner is not None


@pytest.mark.asyncio
@pytest.mark.parametrize("packet", [b"x", bytes(CALL.size - 1), bytes(CALL.size + 1), bytes(60_000)])
async def test_a_call_of_another_length_ends_it(bench: Any, packet: bytes) -> None:
    client = await bench.attach()
    client._link.send(packet)
    await until_ended(bench)
    assert FAILED in await client.receive(20)


@pytest.mark.asyncio
async def test_descriptors_that_come_with_a_call_are_closed(bench: Any) -> None:
    client = await bench.attach()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        socket.send_fds(client._link, [CALL.pack(Call.H_FREE_CRQ, 0, 0, 0)], [0] * 50)
    await bench.until(lambda: DEREGISTERED in bench.heard.elements, "the call")
    await bench.until(lambda: len(os.listdir("/proc/self/fd")) <= before, "the end of the descriptors")
    assert bench.adapter.partner is not None


@pytest.mark.asyncio
async def test_who_does_not_read_what_its_calls_return_is_dropped(bench: Any) -> None:
    client = await bench.attach()
    bench.loop.remove_reader(client._link)
    while bench.adapter.partner is not None:
        try:
            client._link.send(CALL.pack(0, 0, 0, 0))
        except OSError:
            await asyncio.sleep(0)
    await until_ended(bench)


@pytest.mark.asyncio
async def test_a_forged_transport_event_ends_it(bench: Any) -> None:
    client = await bench.attach()
    assert client.send(ELEMENT) is Hcall.SUCCESS
    assert client._outgoing.put(MIGRATED)
    assert client.send(ELEMENT) is Hcall.SUCCESS
    await until_ended(bench)
    assert bench.heard.elements == [ELEMENT, FAILED]


@pytest.mark.asyncio
async def test_what_a_partition_without_a_queue_writes_all_the_same_is_never_heard(bench: Any) -> None:
    """The server would begin something with a partner of whose end nobody tells."""
    client = await bench.attach()
    await client.call(Call.H_FREE_CRQ)
    for _ in range(3):
        assert client._outgoing.put(ELEMENT)
    os.write(client._rung, b"x")
    assert await client.call(Call.H_FREE_CRQ) is Hcall.SUCCESS
    assert bench.heard.elements == [DEREGISTERED]
    assert await client.call(Call.H_REG_CRQ, bench.start, PAGE) is Hcall.SUCCESS
    assert client.send(ELEMENT) is Hcall.SUCCESS
    await bench.until(lambda: len(bench.heard.elements) > 1, "an element")
    assert bench.heard.elements == [DEREGISTERED, ELEMENT]


@pytest.mark.asyncio
async def test_a_doorbell_that_is_closed_costs_only_its_own_elements(bench: Any) -> None:
    client = await bench.attach()
    null = os.open("/dev/null", os.O_WRONLY)
    os.dup2(null, client._rung)
    os.close(null)
    client.send(ELEMENT)
    await client.call(Call.H_FREE_CRQ)
    assert bench.heard.elements == [ELEMENT, DEREGISTERED]
    assert bench.adapter.partner is not None


@pytest.mark.asyncio
async def test_a_doorbell_that_is_flooded_is_heard_a_piece_at_a_time(bench: Any) -> None:
    client = await bench.attach()
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(client._rung, bytes(4096))
    client.send(ELEMENT)
    await bench.until(lambda: bench.heard.elements == [ELEMENT], "an element")
    assert await client.call(Call.H_FREE_CRQ) is Hcall.SUCCESS


@pytest.mark.asyncio
async def test_a_doorbell_that_nobody_hears_stops_nobody(bench: Any) -> None:
    client = await bench.attach()
    bench.loop.remove_reader(client._heard)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(bench.adapter.connection._rung, bytes(4096))
    client._incoming.doze()
    assert bench.adapter.send(ELEMENT) is Hcall.SUCCESS
    await bench.until(lambda: not client._shared.words[CLIENT_WAITS], "the end of the turn")
    assert client.take() == [ELEMENT]
    assert bench.adapter.partner is not None


class Echo:
    """Sends back what it hears."""

    def __init__(self, bench: Any) -> None:
        self._send = bench.adapter.send
        bench.adapter.free()
        bench.adapter.register(self)

    def element(self, element: bytes) -> None:
        assert element == FAILED or self._send(element) is Hcall.SUCCESS


@pytest.mark.asyncio
async def test_a_client_is_rung_once_for_all_that_it_is_sent_in_a_turn(bench: Any) -> None:
    client = await bench.attach()
    Echo(bench)
    bench.loop.remove_reader(client._heard)
    client.take()
    client._incoming.doze()
    elements = [bytes([0x80 + number]) * 16 for number in range(5)]
    for element in elements:
        client.send(element)
    await bench.until(lambda: not client._shared.words[CLIENT_WAITS], "a ring")
    assert client.take() == elements
    assert os.read(client._heard, 100) == b"\1"


@pytest.mark.asyncio
async def test_a_client_that_has_sent_much_is_rung_while_the_rest_is_heard(bench: Any) -> None:
    client = await bench.attach()

    awake: list[bool] = []

    class Watching(Echo):
        def element(self, element: bytes) -> None:
            awake.append(not client._shared.words[CLIENT_WAITS])
            super().element(element)

    Watching(bench)
    bench.loop.remove_reader(client._heard)
    client.take()
    client._incoming.doze()
    for number in range(ELEMENTS_PER_TURN):
        client._outgoing.add(bytes([0x80 + number]) * 16)
    client._outgoing.wake()
    await bench.until(lambda: len(awake) == ELEMENTS_PER_TURN, "all elements")
    assert awake == [False] * ELEMENTS_PER_RING + [True] * (ELEMENTS_PER_TURN - ELEMENTS_PER_RING)
    assert len(client.take()) == ELEMENTS_PER_TURN


@pytest.mark.asyncio
async def test_a_client_is_rung_for_what_is_sent_when_it_has_sent_nothing(bench: Any) -> None:
    client = await bench.attach()
    client._incoming.doze()
    assert bench.adapter.send(ELEMENT) is Hcall.SUCCESS
    assert await client.receive(10) == [ELEMENT]


@pytest.mark.asyncio
async def test_the_end_is_noticed_though_the_queue_never_gets_empty(bench: Any) -> None:
    client = await bench.attach()

    class Refilled:
        elements = 0

        def element(self, element: bytes) -> None:
            self.elements += 1
            if element == FAILED:
                self.elements = -1
            else:
                client._outgoing.put(ELEMENT)

    refilled = Refilled()
    bench.adapter.free()
    bench.adapter.register(refilled)
    for _ in range(256):
        client._outgoing.put(ELEMENT)
    client._outgoing._ring = lambda: None
    client._link.shutdown(socket.SHUT_RDWR)
    await bench.until(lambda: bench.adapter.partner is None, "the end")
    assert refilled.elements == -1


@pytest.mark.asyncio
async def test_what_was_sent_while_the_server_was_away_is_not_heard_later(bench: Any) -> None:
    client = await bench.attach()
    bench.adapter.free()
    client._shared.words[SERVER_OPEN] = 1
    for number in range(3):
        assert client.send(bytes([0x80 + number]) * 16) is Hcall.SUCCESS
    bench.adapter.register(bench.heard)
    assert client.send(ELEMENT) is Hcall.SUCCESS
    await bench.until(lambda: bool(bench.heard.elements), "an element")
    assert bench.heard.elements == [ELEMENT]


@pytest.mark.asyncio
async def test_a_listener_that_fails_hears_the_next_element(bench: Any) -> None:
    class Failing:
        elements = 0

        def element(self, element: bytes) -> None:
            self.elements += 1
            raise ValueError("as the test wants")

    failing = Failing()
    client = await bench.attach()
    bench.adapter.free()
    bench.adapter.register(failing)
    client.send(ELEMENT)
    client.send(ELEMENT)
    await bench.until(lambda: failing.elements == 2, "the second element")
    assert [str(context["exception"]) for context in bench.mishaps] == ["as the test wants"] * 2
    bench.mishaps.clear()
    bench.adapter.free()
    bench.adapter.register(bench.heard)


@pytest.mark.asyncio
async def test_memory_outlives_its_partition_while_somebody_has_a_view_of_it(bench: Any) -> None:
    def mappings() -> int:
        with open("/proc/self/maps") as maps:
            return sum("tgtcore-partition" in line for line in maps)

    gc.collect()
    others = mappings()
    client = await AsyncClientPartition.attach(bench.path, bench.hello)
    client.map(bench.start, 0, PAGE)
    (view,) = bench.adapter.views(bench.start, PAGE, writable=True)
    client.close()
    del client
    await bench.until(lambda: bench.adapter.partner is None, "the end")
    view[:] = bytes(PAGE)
    assert mappings() == others + 1
    del view
    assert mappings() == others
