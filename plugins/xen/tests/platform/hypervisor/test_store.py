"""The store's client, with a server that does what each test wants."""

import asyncio
import errno
import socket
import struct

import pytest
import pytest_asyncio
from tgtcore_xen.platform.hypervisor.store import ATTEMPTS, XenStore

READ, WATCH, START, END, WRITE, EVENT, ERROR = 2, 4, 6, 7, 11, 15, 16
OK = b"OK\0"


class Server:
    """The far end of the connection."""

    def __init__(self, far: socket.socket) -> None:
        self._far = far
        self._loop = asyncio.get_running_loop()

    async def next(self) -> tuple[int, int, int, bytes]:
        """Type, request, transaction and payload of what is asked next."""
        kind, request, transaction, length = struct.unpack("<IIII", await self._exactly(16))
        return kind, request, transaction, await self._exactly(length)

    async def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += await asyncio.wait_for(self._loop.sock_recv(self._far, count - len(data)), 10)
        return data

    async def send(self, kind: int, request: int, payload: bytes) -> None:
        await self._loop.sock_sendall(self._far, struct.pack("<IIII", kind, request, 0, len(payload)) + payload)

    async def quiet(self) -> bool:
        """Whether nothing is asked for a while."""
        try:
            await asyncio.wait_for(self._loop.sock_recv(self._far, 1), 0.05)
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        self._far.close()


@pytest.fixture
def at_once():
    return 1000


@pytest_asyncio.fixture
async def ends(at_once):
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    store, server = XenStore(near.detach(), asyncio.get_running_loop(), at_once), Server(far)
    yield store, server
    store.close()
    server.close()


async def failure(work) -> int:
    with pytest.raises(OSError) as info:
        await asyncio.wait_for(work, 10)
    return info.value.errno


@pytest.mark.asyncio
async def test_answers_find_their_questions_in_any_order(ends) -> None:
    store, server = ends
    tasks = [asyncio.create_task(store.read(f"/n{number}")) for number in range(20)]
    asked = [await server.next() for _ in tasks]
    assert len({request for _, request, _, _ in asked}) == 20
    for kind, request, transaction, payload in reversed(asked):
        assert (kind, transaction) == (READ, 0)
        await server.send(READ, request, payload[1:-1])
    assert await asyncio.gather(*tasks) == [f"n{number}" for number in range(20)]


@pytest.mark.asyncio
@pytest.mark.parametrize("at_once", [1])
async def test_one_question_at_a_time_where_no_more_are_taken(ends) -> None:
    store, server = ends
    tasks = [asyncio.create_task(store.read(f"/n{number}")) for number in range(3)]
    for number in range(3):
        _, request, _, payload = await server.next()
        assert payload == b"/n%d\0" % number
        assert await server.quiet()
        await server.send(READ, request, b"x")
    assert await asyncio.gather(*tasks) == ["x"] * 3


@pytest.mark.asyncio
async def test_more_is_written_than_the_server_takes_now(ends) -> None:
    store, server = ends
    tasks = [asyncio.create_task(store.write(f"/n{number}", "v" * 4000)) for number in range(300)]
    await asyncio.sleep(0)
    for number in range(300):
        kind, request, _, payload = await server.next()
        assert (kind, payload) == (WRITE, b"/n%d\0" % number + b"v" * 4000)
        await server.send(WRITE, request, OK)
    await asyncio.gather(*tasks)


@pytest.mark.asyncio
async def test_when_the_server_goes_everybody_is_told(ends) -> None:
    store, server = ends
    told: list[str] = []
    watching = asyncio.create_task(store.watch("/w", told.append))
    kind, request, _, payload = await server.next()
    assert (kind, payload[:3]) == (WATCH, b"/w\0")
    await server.send(WATCH, request, OK)
    watch = await watching
    tasks = [asyncio.create_task(failure(store.read("/n"))) for _ in range(3)]
    await asyncio.sleep(0)
    server.close()
    assert await asyncio.gather(*tasks) == [errno.ECONNRESET] * 3
    assert told == ["/w"]
    assert await failure(store.write("/n", "1")) == errno.ECONNRESET
    assert await failure(store.transact(lambda transaction: transaction.write("/n", "1"))) == errno.ECONNRESET
    await watch.end()
    store.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "answer",
    [
        struct.pack("<IIII", READ, 0xFFFF_FFFF, 0, 0),  # nobody has asked
        struct.pack("<IIII", WRITE, 1, 0, 0),  # another answer than to the question
        struct.pack("<IIII", READ, 1, 0, 4097),
        struct.pack("<IIII", EVENT, 0, 0, 2) + b"a\0",
    ],
)
async def test_a_server_that_talks_nonsense_is_left(ends, answer: bytes) -> None:
    store, server = ends
    task = asyncio.create_task(failure(store.read("/n")))
    await server.next()
    await asyncio.get_running_loop().sock_sendall(server._far, answer)
    assert await task == errno.EPROTO


@pytest.mark.asyncio
async def test_an_answer_that_nobody_waits_for_any_more(ends) -> None:
    store, server = ends
    task = asyncio.create_task(store.read("/n"))
    _, request, _, _ = await server.next()
    task.cancel()
    await asyncio.sleep(0)
    await server.send(READ, request, b"late")
    task = asyncio.create_task(store.read("/m"))
    _, other, _, payload = await server.next()
    assert (other != request, payload) == (True, b"/m\0")
    await server.send(READ, other, b"now")
    assert await task == "now"


@pytest.mark.asyncio
async def test_a_transaction_is_not_tried_for_ever(ends) -> None:
    store, server = ends

    async def work(transaction) -> None:
        pass

    task = asyncio.create_task(failure(store.transact(work)))
    for number in range(ATTEMPTS):
        kind, request, _, _ = await server.next()
        assert kind == START
        await server.send(START, request, b"%d\0" % (number + 5))
        kind, request, transaction, payload = await server.next()
        assert (kind, transaction, payload) == (END, number + 5, b"T\0")
        await server.send(ERROR, request, b"EAGAIN\0")
    assert await task == errno.EAGAIN


@pytest.mark.asyncio
@pytest.mark.parametrize("begun", [False, True])
async def test_a_transaction_whose_work_is_cancelled_is_ended(ends, begun: bool) -> None:
    store, server = ends

    async def work(transaction) -> None:
        await transaction.write("/a", "1")

    task = asyncio.create_task(store.transact(work))
    _, request, _, _ = await server.next()
    if begun:
        await server.send(START, request, b"9\0")
        assert (await server.next())[2] == 9
        task.cancel()
    else:
        task.cancel()
        await asyncio.sleep(0)
        await server.send(START, request, b"9\0")
    kind, _, transaction, payload = await server.next()
    assert (kind, transaction, payload) == (END, 9, b"F\0")
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.asyncio
async def test_events_that_come_before_the_answer_and_after_the_end(ends) -> None:
    store, server = ends
    told: list[str] = []
    task = asyncio.create_task(store.watch("/w", told.append))
    _, request, _, payload = await server.next()
    token = payload.split(b"\0")[1]
    await server.send(EVENT, 0, b"/w\0" + token + b"\0")
    await server.send(WATCH, request, OK)
    watch = await task
    assert told == ["/w"]
    ending = asyncio.create_task(watch.end())
    kind, request, _, payload = await server.next()
    assert payload == b"/w\0" + token + b"\0"
    await server.send(EVENT, 0, b"/w/late\0" + token + b"\0")
    await server.send(kind, request, OK)
    await ending
    assert told == ["/w"]


@pytest.mark.asyncio
async def test_a_list_that_changes_while_it_is_read_in_parts(ends) -> None:
    store, server = ends
    task = asyncio.create_task(store.list("/d"))
    kind, request, _, _ = await server.next()
    await server.send(ERROR, request, b"E2BIG\0")
    parts = [(b"0", b"1\0a\0b\0"), (b"4", b"2\0c\0\0"), (b"0", b"2\0a\0x\0"), (b"4", b"2\0c\0\0")]
    for offset, part in parts:
        kind, request, _, payload = await server.next()
        assert (kind, payload) == (22, b"/d\0" + offset + b"\0")
        await server.send(kind, request, part)
    assert await task == ["a", "x", "c"]
