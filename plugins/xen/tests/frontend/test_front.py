"""The front end does what Linux's xen-scsifront does, and minds what a back end does wrong."""

import asyncio

import pytest
from tgtcore_xen.frontend import BlockingFrontEnd, Broken
from tgtcore_xen.vscsiif.layout import Act, Direction
from tgtcore_xen.vscsiif.response import Response
from tgtcore_xen.vscsiif.results import FAILED, SUCCEEDED, Host, result
from tgtcore_xen.xenbus.states import State

from tgtcore.testing.waiting import until_async

pytestmark = pytest.mark.asyncio

READY = bytes(6)
WRITE, READ = bytes((0x2A,)).ljust(10, b"\0"), bytes((0x28,)).ljust(10, b"\0")
DISK, OTHER = (0, 0, 0), (0, 1, 5)


async def test_it_connects(connected):
    assert connected.front.state == State.CONNECTED
    assert connected.front.devices == {"dev-0": DISK, "dev-1": OTHER}
    assert connected.front.segments_max == 128
    assert await connected.back.read("vscsi-devs/dev-0/state") == "4"
    assert await connected.back.read("vscsi-devs/dev-1/state") == "4"
    assert await connected.back.read("protocol") is None


async def test_it_comes_when_the_back_end_is_there_already_or_later(pair):
    pair.front.start()
    await asyncio.sleep(0.01)
    assert await pair.back.read("state") is None
    await pair.back.attach("0:0:0:0")
    await pair.back.accept()
    await pair.front.connect()
    assert pair.front.devices == {"dev-0": DISK}


async def test_a_device_that_it_does_not_want(pair):
    pair.front.accepts = lambda address: address != OTHER
    await pair.connect("0:0:0:0", "0:0:1:5", "no device")
    assert pair.front.devices == {"dev-0": DISK}
    assert await pair.back.read("vscsi-devs/dev-1/state") == "6"
    assert await pair.back.read("vscsi-devs/dev-2/state") is None


@pytest.mark.parametrize("offset", [0, 1, 4095])
@pytest.mark.parametrize("length", [1, 4096, 26 * 4096 - 4095, 26 * 4096, 300_001, 127 * 4096])
async def test_data_both_ways(connected, length, offset):
    """Up to 26 segments are in the request, and more behind tables."""
    data = bytes(byte % 251 for byte in range(length))
    outcome = await connected.front.execute(DISK, WRITE, data_out=data, offset=offset)
    assert (outcome.host, outcome.status, outcome.data) == (Host.OK, 0, b"")
    assert connected.back.written == data
    outcome = await connected.front.execute(OTHER, READ, room=length, offset=offset)
    assert outcome.data == data
    write, read = connected.back.requests
    assert (write.direction, read.direction) == (Direction.TO_DEVICE, Direction.FROM_DEVICE)
    assert (read.channel, read.target, read.lun) == OTHER
    assert write.indirect == (offset + length > 26 * 4096)


async def test_what_the_back_end_says_of_a_command(connected):
    connected.back.answer = lambda request: Response(request.rqid, result(Host.NO_CONNECT, 2), 100, b"sense")
    outcome = await connected.front.execute(DISK, READY)
    assert outcome == (Host.NO_CONNECT, 2, b"", b"sense", 100, 0x10002)


async def test_no_more_than_sixteen_at_a_time(connected):
    connected.back.answer = lambda _: None
    tasks = [asyncio.create_task(connected.front.execute(DISK, READY)) for _ in range(20)]
    await until_async(lambda: len(connected.back.requests) >= 16)
    await asyncio.sleep(0.01)  # there would be more soon
    rqids = [request.rqid for request in connected.back.requests]
    assert sorted(rqids) == list(range(16))
    connected.back.answer = lambda request: Response(request.rqid, 0)
    connected.back.respond(*(Response(rqid, 0) for rqid in rqids))
    assert all([(await task).host == Host.OK for task in tasks])
    assert len(connected.back.requests) == 20


@pytest.mark.parametrize(("answer", "done"), [(SUCCEEDED, True), (FAILED, False)])
async def test_abort_and_reset(connected, answer, done):
    connected.back.answer = lambda request: Response(request.rqid, answer) if request.act != Act.COMMAND else None
    pending = await connected.front.begin(DISK, READY)
    assert await connected.front.abort(pending) is done
    assert await connected.front.reset(OTHER) is done
    command, abort, reset = connected.back.requests
    assert (abort.act, abort.ref_rqid) == (Act.ABORT, command.rqid)
    assert (reset.act, reset.channel, reset.target, reset.lun) == (Act.RESET, *OTHER)
    assert command.rqid not in (abort.rqid, reset.rqid)
    connected.back.respond(Response(pending.rqid, result(Host.ABORT)))
    assert (await pending.done).host == Host.ABORT


@pytest.mark.parametrize("rqid", [5, 16, 65535])
async def test_a_response_that_nobody_has_asked_for(connected, rqid):
    connected.back.answer = lambda request: Response(rqid, 0)
    with pytest.raises(Broken, match=f"illegal rqid {rqid} returned by back end"):
        await connected.front.execute(DISK, READY)
    with pytest.raises(Broken, match=f"illegal rqid {rqid} returned by back end"):
        await connected.front.execute(DISK, READY)


async def test_a_page_that_is_still_mapped_when_the_answer_comes(connected):
    grants, held = connected.back.platform.grants, []

    def answer(request):
        held.append(grants.map(connected.guest.domid, request.segments[0][0]))
        return Response(request.rqid, 0)

    connected.back.answer = answer
    with pytest.raises(Broken, match="still in use by the back end"):
        await connected.front.execute(DISK, READ, room=512)
    held[0].close()


async def test_more_responses_than_requests(connected):
    connected.back.ring._words[2] = 1
    connected.back.channel.notify()
    await asyncio.sleep(0.01)
    with pytest.raises(Broken, match="0 at most"):
        await connected.front.execute(DISK, READY)


async def test_a_response_that_is_none(connected):
    connected.back.answer = lambda request: None
    pending = await connected.front.begin(DISK, READY)
    await until_async(lambda: connected.back.requests)
    connected.back.ring.put(b"\0\0\0\xff".ljust(252, b"\0"))
    connected.back.publish()
    with pytest.raises(Broken, match="sense data"):
        await pending.done


async def test_devices_that_come_and_go(connected):
    back = connected.back
    await back.write("vscsi-devs/dev-2/v-dev", "0:0:2:0")
    await back.state(1, 2)
    await back.state(5, 0)
    await back.state(7)
    await back.until("state", 7)
    assert connected.front.devices == {"dev-1": OTHER}
    assert await back.read("vscsi-devs/dev-0/state") == "6"
    await back.state(3, 2)
    await back.state(6, 0)
    await back.state(8)
    await back.until("state", 4)
    assert connected.front.devices == {"dev-1": OTHER, "dev-2": (0, 2, 0)}
    assert await back.read("vscsi-devs/dev-2/state") == "4"


async def test_the_back_end_closes(connected):
    connected.back.answer = lambda _: None
    pending = await connected.front.begin(DISK, READ, room=512)
    await connected.back.state(5)
    await connected.back.until("state", 6)
    with pytest.raises(ConnectionError, match="closed"):
        await pending.done
    with pytest.raises(ConnectionError, match="not connected"):
        await connected.front.execute(DISK, READY)
    assert connected.guest.granted == 1
    connected.back.disconnect()
    assert connected.guest.granted == 0, "the page of the ring is free when nobody has it mapped"


async def test_a_guest_that_takes_its_time(connected):
    connected.front.heeds = False
    await connected.back.state(5)
    await asyncio.sleep(0.01)
    assert (await connected.front.execute(DISK, READY)).host == Host.OK
    assert await connected.back.read("state") == "4"
    await connected.back.state(6)
    await connected.back.until("state", 6)


async def test_a_back_end_that_refuses(pair):
    await pair.back.attach("0:0:0:0")
    connecting = asyncio.create_task(pair.front.connect())
    await pair.back.until("state", 3)
    await pair.back.state(5)
    with pytest.raises(ConnectionRefusedError, match="device/vscsi/0"):
        await connecting
    assert pair.front.state == State.CLOSED


async def test_nodes_that_are_taken_away(connected):
    for path in (connected.back.folder, connected.back.front):
        await connected.back.platform.store.remove(path)
    await connected.front.until(lambda: connected.front.state == State.CLOSED)
    assert connected.front.queue is None


async def test_it_comes_again(connected):
    await connected.front.unload()
    assert await connected.back.read("state") == "6"
    connected.back.disconnect()
    await connected.back.state(2)
    await connected.back.platform.store.write(f"{connected.back.front}/state", "1")
    connecting = asyncio.create_task(connected.front.connect())
    await connected.back.accept()
    await connecting
    assert (await connected.front.execute(DISK, READY)).host == Host.OK


@pytest.mark.parametrize("how", ["suspend", "migrate"])
async def test_a_guest_that_goes_on(connected, how):
    """Its front end connects anew; commands without an answer are sent again by whoever has sent them."""
    back = connected.back
    back.answer = lambda _: None
    pending = await connected.front.begin(DISK, READ, room=512)
    await asyncio.sleep(0.01)
    getattr(connected.guest, how)()
    sent = asyncio.create_task(connected.front.execute(DISK, READY))
    await let_go(back)
    if how == "migrate":
        await back.attach("0:0:0:0")
    else:
        await back.state(2)
    await asyncio.sleep(0.01)
    assert not pending.done.done(), "it stands still"
    connected.guest.resume()
    assert (await asyncio.wait_for(pending.done, 5)).host == Host.RESET
    back.answer = lambda request: Response(request.rqid, 0)
    await back.connect()
    await asyncio.sleep(0.01)
    assert not sent.done(), "it is paused until the back end says that it is connected"
    await back.offer()
    assert (await asyncio.wait_for(sent, 5)).host == Host.OK
    assert connected.front.state == State.CONNECTED
    assert connected.front.devices["dev-0"] == DISK, "it has its devices already"
    assert await back.read("vscsi-devs/dev-0/state") == ("4" if how == "suspend" else None)


async def test_a_guest_that_goes_on_in_place(connected):
    """Its front end is told nothing: it stays paused until the back end says once more that it is connected."""
    await asyncio.sleep(0.01)
    connected.guest.suspend()
    connected.guest.unpause()
    sent = asyncio.create_task(connected.front.execute(DISK, READY))
    await asyncio.sleep(0.01)
    assert not sent.done()
    await connected.back.state(4)
    assert (await asyncio.wait_for(sent, 5)).host == Host.OK
    assert await connected.back.read("state") == "4"


async def test_a_guest_that_goes_on_too_early(connected):
    """The front end looks for a back end when its guest goes on, and never again; it hears only that its nodes go."""
    back, front = connected.back, connected.front
    back.answer = lambda _: None
    pending = await front.begin(DISK, READ, room=512)
    connected.guest.migrate()
    await let_go(back)
    connected.guest.resume()
    await asyncio.sleep(0.01)
    await back.attach("0:0:0:0")
    await back.state(4)
    await asyncio.sleep(0.01)
    assert (await back.read("state"), await back.read("ring-ref")) == ("1", None)
    assert not pending.done.done()
    await back.platform.store.remove(back.front)
    await front.until(lambda: front.queue is None)
    with pytest.raises(ConnectionError):
        await front.execute(DISK, READY)


async def test_nodes_that_are_half_made_when_the_guest_goes_on(connected):
    """Nobody makes its state but the back end, which would have made the ring known."""
    back = connected.back
    connected.guest.migrate()
    await let_go(back)
    await back.attach("0:0:0:0")
    await back.platform.store.remove(f"{back.front}/state")
    connected.guest.resume()
    await asyncio.sleep(0.01)
    assert await back.read("ring-ref") is not None
    assert await back.read("state") is None


async def let_go(back):
    """As a back end whose guest is gone."""
    back.channel.close()
    back.ring.release()
    back.mapping.close()
    back.mapping = None


async def test_a_guest_that_is_destroyed(connected):
    connected.back.answer = lambda _: None
    pending = await connected.front.begin(DISK, READY)
    connected.guest.destroy()
    with pytest.raises(ConnectionError, match="web1 was destroyed"):
        await pending.done
    with pytest.raises(ConnectionError, match="not connected"):
        await connected.front.execute(DISK, READY)


async def test_a_front_end_that_crashes(connected):
    """It leaves everything as it is."""
    connected.back.answer = lambda _: None
    pending = await connected.front.begin(DISK, READY)
    connected.front.crash()
    with pytest.raises(ConnectionError, match="crashed"):
        await pending.done
    assert await connected.back.read("state") == "4"
    assert connected.guest.mapped == 1
    connected.guest.destroy()


async def test_a_thread_beside_the_loop(pair):
    await pair.back.attach("0:0:0:0")
    pair.back.answer = pair.back.disk
    accepting = asyncio.create_task(pair.back.accept())

    def work():
        client = BlockingFrontEnd(pair.guest)
        client.connect()
        client.execute(DISK, WRITE, data_out=b"x" * 5000)
        outcome = client.execute(DISK, READ, room=5000)
        pair.back.answer = lambda request: Response(request.rqid, result(Host.ERROR))
        with pytest.raises(ConnectionError, match="host byte 7"):
            client.execute(DISK, READY)
        client.close()
        with pytest.raises(ConnectionError, match="not connected"):
            client.execute(DISK, READY)
        return outcome.data

    assert await asyncio.to_thread(work) == b"x" * 5000
    await accepting
    pair.back.disconnect()
