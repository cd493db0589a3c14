"""Every breach that docs/reference/ring.md lists costs the driver its attachment, and what it says to be harmless does not."""

import asyncio
import os
import socket
from collections.abc import Callable

import pytest
from isolation.hostile import GEOMETRY, Hostile, joined

from tgtcore.isolation.attendant import Attendant
from tgtcore.limits import SOCKETS_PER_DRIVER_MAX
from tgtcore.ring import Event, Request, RingFunction
from tgtcore.testing.host import HELD, READY, TestHost, read, write

TARGET = "iqn.2025-01.example:breaches"
END = GEOMETRY.data_bytes
FREE_ID = 99
WAIT_S = 20
TURNS = 8
"""Turns of the loop in which everything that was begun has ended."""
Deed = Callable[[Hostile], object]


def command(**fields: int | bytes) -> Deed:
    """A TEST UNIT READY, but for some fields."""
    return lambda driver: driver.post(
        Request.COMMAND, **{"nexus": 1, "id": FREE_ID, "cdb_length": 6, "cdb": READY, **fields}
    )


def login(kind: Request = Request.NEXUS_OPEN, *parts: bytes, **fields: int) -> Deed:
    """A login, but for some words and fields; ADMIT has fewer of them."""
    given = (*parts, *(b"initiator", b"127.0.0.1", b"transport id", b"port")[len(parts) :])
    usual = {"nexus": 7, "relative_id": 1, "group": 1, "protocol": 5}
    return lambda driver: driver.post(kind, **{"id": FREE_ID, "target": 1, **usual, **driver.payload(*given), **fields})


def posted(kind: Request, **fields: int) -> Deed:
    """A request with these fields, the others 0."""
    return lambda driver: driver.post(kind, **{"id": FREE_ID, **fields})


def held(count: int) -> Deed:
    """So many commands that do not end."""

    def do(driver: Hostile) -> None:
        for number in range(count):
            command(id=1000 + number, cdb=HELD, cdb_length=10)(driver)

    return do


def telling(payload: bytes) -> Deed:
    """A signal."""
    return lambda driver: driver.post(Request.SIGNAL, id=FREE_ID, **driver.raw_payload(payload))


def wanting(driver: Hostile) -> None:
    """A command that asks for 512 bytes."""
    command(cdb=write(512), cdb_length=16, data_out_expected=512)(driver)


def passing_on(count: int, backlog: bool = True) -> Deed:
    """Sockets over the attachment."""

    def do(driver: Hostile) -> None:
        with socket.socket() as one:
            if backlog:
                one.listen()
            for _ in range(count):
                socket.send_fds(driver.attached.link, [b"here"], [one.fileno()])

    return do


def every(*deeds: Deed) -> Deed:
    """One after the other."""

    def do(driver: Hostile) -> None:
        for deed in deeds:
            deed(driver)

    return do


def count(number: int) -> Deed:
    """What comes through the doorbell."""
    return lambda driver: driver.ring(number)


BREACHES: dict[str, tuple[Deed, str]] = {
    "a count of 0": (count(0), "the doorbell announces 0 requests"),
    "too many requests": (count(GEOMETRY.slots + 1), "the doorbell announces 517 requests, the ring has 516 slots"),
    "half a count": (
        lambda driver: os.write(driver.attached.request_bell, bytes(4)),
        "4 bytes came through the doorbell",
    ),
    "words over the attachment": (lambda driver: driver.attached.link.send(b"x"), "that is no socket"),
    "a descriptor of no socket": (
        lambda driver: socket.send_fds(driver.attached.link, [b"x"], [driver.attached.request_bell]),
        "that is no socket",
    ),
    "a socket that does not listen": (passing_on(1, backlog=False), "that does not listen"),
    "an unknown type": (lambda driver: driver.slot().__setitem__(0, 200), "there is no request of type 200"),
    "an id in use": (every(held(1), command(id=1000)), "request id 0x3e8 is in use"),
    "too many unanswered": (held(GEOMETRY.depth + 1), f"more than {GEOMETRY.depth} requests are unanswered"),
    "too many unanswered of all kinds": (
        every(held(GEOMETRY.depth), login(Request.ADMIT)),
        f"more than {GEOMETRY.depth} requests are unanswered",
    ),
    "a place outside": (
        command(data_in_offset=END, data_in_room=1, data_in_expected=1),
        "do not lie within the data area",
    ),
    "data-out outside": (command(data_out_offset=END, data_out_length=1, data_out_expected=1), "do not lie within"),
    "a payload outside": (login(offset=END), "do not lie within"),
    "a long payload": (login(length=4097), "a payload of 4097 bytes, expected at most 4096"),
    "words that do not end": (login(length=9), "ends within its words"),
    "a text that is none": (login(Request.NEXUS_OPEN, b"\xff"), "no UTF-8"),
    "no such nexus": (command(nexus=5), "a command for nexus 5, which is not open"),
    "a long CDB": (command(cdb_length=261), "a CDB of 261 bytes"),
    "more data-out than expected": (command(data_out_length=1), "lengths that can't be"),
    "more room than expected": (command(data_in_room=1), "lengths that can't be"),
    "data that nobody wants": (every(held(1), posted(Request.DATA, id=1000, length=1)), "DATA of 1 bytes"),
    "data of another length": (every(wanting, posted(Request.DATA, length=511)), "DATA of 511 bytes"),
    "a function on no nexus": (posted(Request.TASK_MANAGEMENT, nexus=5, function=1), "for nexus 5, which is not open"),
    "no such function": (posted(Request.TASK_MANAGEMENT, nexus=1, function=12), "no task management function 12"),
    "a nexus twice": (login(nexus=1), "nexus 1 is open already"),
    "an initiator without a name": (login(Request.NEXUS_OPEN, b""), "can't be"),
    "an unprintable name": (login(Request.NEXUS_OPEN, b"a\nb"), "can't be"),
    "a long name": (login(Request.NEXUS_OPEN, b"x" * 224), "can't be"),
    "a long address": (login(Request.NEXUS_OPEN, b"i", b"x" * 224), "can't be"),
    "no TransportID": (login(Request.NEXUS_OPEN, b"i", b"", b""), "a TransportID of 0 bytes"),
    "a long TransportID": (login(Request.NEXUS_OPEN, b"i", b"", b"x" * 257), "a TransportID of 257 bytes"),
    "a port without a name": (login(Request.NEXUS_OPEN, b"i", b"", b"x", b""), "no target port"),
    "a long name of a port": (login(Request.NEXUS_OPEN, b"i", b"", b"x", b"x" * 233), "no target port"),
    "an unprintable name of a port": (login(Request.NEXUS_OPEN, b"i", b"", b"x", b"a\nb"), "no target port"),
    "port number 0": (login(relative_id=0), "no target port"),
    "group 0": (login(group=0), "no target port"),
    "group 65536": (login(group=65536), "no target port"),
    "protocol 16": (login(protocol=16), "no target port"),
    "admittance of nobody": (login(Request.ADMIT, b""), "can't be"),
    "a nexus that is not open": (posted(Request.NEXUS_CLOSE, nexus=5), "nexus 5 is closed, but is not open"),
    "a nexus closed twice": (
        every(held(1), posted(Request.NEXUS_CLOSE, nexus=1), posted(Request.NEXUS_CLOSE, nexus=1, id=98)),
        "nexus 1 is closed, but is not open",
    ),
    "a signal of the core's": (telling(b'{"signal": "lu_removed"}'), "a signal that no driver emits: lu_removed"),
    "a signal without its news": (
        telling(b'{"signal": "limit_reached"}'),
        "a signal that can't be: limit: Field required",
    ),
    "a signal that is no JSON": (telling(b"{"), "a signal that can't be"),
    "an event that there is not": (posted(Request.ACKNOWLEDGE, id=77), "event 77 is acknowledged, but there is none"),
    "an unknown status": (posted(Request.ACKNOWLEDGE, id=1, status=3), "an answer with status 3"),
    "a long answer": (posted(Request.ACKNOWLEDGE, id=1, length=4097), "4097 bytes, expected at most 4096"),
}

HARMLESS: dict[str, Deed] = {
    "offset of the end without length": command(data_in_offset=END, data_out_offset=END),
    "lengths that the initiator may say": command(data_out_expected=512, cdb=read(0), cdb_length=16),
    "reserved attributes and LUNs": command(attribute=255, lun=2**64 - 1),
    "the longest CDB": command(cdb=b"\x7f" * 32, cdb_length=260, cdb_offset=END - 260),
    "as many as there are credits": held(GEOMETRY.depth),
    "data that crosses the end": posted(Request.DATA, length=4096),
    "a full ring at once": lambda driver: [command(id=number)(driver) for number in range(GEOMETRY.depth)],
    "a function for a command that there is not": posted(Request.TASK_MANAGEMENT, nexus=1, function=1, referenced=5),
    "a target that there is not": every(login(target=9), login(Request.ADMIT, target=9, id=98)),
    "a command after NEXUS_CLOSE": every(held(1), posted(Request.NEXUS_CLOSE, nexus=1), command(id=98)),
    "an account that there is not": posted(Request.ACCOUNT, length=0),
    "a signal": telling(b'{"signal": "portal_opened", "sender": "here"}'),
    "an event that is not supported": posted(Request.ACKNOWLEDGE, id=1, status=1),
    "sockets that listen": passing_on(2),
    "every function": lambda driver: (
        [posted(Request.TASK_MANAGEMENT, nexus=1, id=10 + one, function=one)(driver) for one in RingFunction]
    ),
}


async def some_turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def reason_after(deed: Deed) -> list[str]:
    """Why a driver is dropped that has logged in once and was told an event."""
    host = TestHost(asyncio.get_running_loop(), "breaches", TARGET)
    reasons: list[str] = []
    ours, theirs = joined()
    attendant = Attendant(host, ours, lambda _: None, reasons.append)
    attendant.targets[host.target.tid] = host.target
    attendant.events.post(Event.SHOW, payload=b"statistics")
    driver = Hostile(theirs, 1, wildness=0)
    driver.open(1)
    driver.ring(1)
    await some_turns()
    before = driver.posted
    deed(driver)
    if driver.posted > before:
        driver.ring(driver.posted - before)
    async with asyncio.timeout(WAIT_S):
        # how many are taken in one turn depends on how long they take
        while attendant.end.taken < driver.posted and not attendant.end.closed:  # noqa: ASYNC110
            await asyncio.sleep(0)
    await some_turns()
    attendant.close()
    host.device(0).release()
    driver.leave()
    host.check_quiet()
    return reasons


@pytest.mark.asyncio
@pytest.mark.parametrize(("deed", "reason"), BREACHES.values(), ids=BREACHES)
async def test_a_breach_has_its_reason(deed: Deed, reason: str) -> None:
    (said,) = await reason_after(deed)
    assert reason in said


@pytest.mark.asyncio
@pytest.mark.parametrize("deed", HARMLESS.values(), ids=HARMLESS)
async def test_what_is_no_breach_has_no_consequence(deed: Deed) -> None:
    assert await reason_after(deed) == []


@pytest.mark.asyncio
async def test_there_is_an_end_to_sockets() -> None:
    host = TestHost(asyncio.get_running_loop(), "breaches", TARGET)
    reasons: list[str] = []
    ours, theirs = joined()
    attendant = Attendant(host, ours, lambda _: None, reasons.append)
    driver = Hostile(theirs, 1, wildness=0)
    for _ in range(SOCKETS_PER_DRIVER_MAX + 1):
        passing_on(1)(driver)
        attendant.link_readable()
    driver.leave()
    assert reasons == [f"it passes on more than {SOCKETS_PER_DRIVER_MAX} sockets"]
    host.check_quiet()
