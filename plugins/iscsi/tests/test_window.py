"""The command window (RFC 7143 4.2.2.1): what lies outside is ignored, and it opens as commands end."""

from typing import TYPE_CHECKING

import pytest
from tgtcore_iscsi.initiator import pdu
from tgtcore_iscsi.options import IscsiOptions, PortalOptions
from tgtcore_iscsi.pdu.codes import Opcode
from tgtcore_iscsi.session import CommandWindow

if TYPE_CHECKING:
    from conftest import Client, Rig

WRITE = bytes((0x2A, 0, 0, 0, 0, 0, 0, 0, 8, 0))
DEPTH = 4


@pytest.fixture
def options() -> IscsiOptions:
    return IscsiOptions(portals=(PortalOptions(address="127.0.0.1:0"),), queue_depth=DEPTH)


@pytest.mark.parametrize("first", [0, 1, 0x7FFFFFFE, 0xFFFFFFFE, 0xFFFFFFFF])
def test_numbers_within_and_outside(first: int) -> None:
    window = CommandWindow(first, DEPTH)
    for _ in range(2 * DEPTH):
        offsets = [number for number in range(-10, 10) if window.admits(window.exp_cmd_sn + number & 0xFFFFFFFF)]
        assert offsets == list(range(DEPTH))
        window.advance()
        window.open_by_one()


def test_a_window_without_room_admits_nothing() -> None:
    window = CommandWindow(0xFFFFFFFE, DEPTH)
    for _ in range(DEPTH):
        assert window.admits(window.exp_cmd_sn)
        window.advance()
    assert not any(window.admits(window.exp_cmd_sn + number & 0xFFFFFFFF) for number in range(-10, 10))


@pytest.mark.asyncio
@pytest.mark.parametrize("first", [3, 0xFFFFFFFE])
async def test_a_command_beyond_the_window_is_ignored_until_another_ends(
    rig: "Rig", client: "Client", first: int
) -> None:
    client.cmd_sn = first - 2
    await client.login()
    await client.ready()
    numbers = [first + number & 0xFFFFFFFF for number in range(DEPTH + 1)]
    r2ts = []
    for number in numbers[:DEPTH]:
        client.command(WRITE, out=4096, cmd_sn=number)
        r2ts.append((await client.receive()).fields)
    assert r2ts[-1].max_cmd_sn == numbers[DEPTH - 1]
    client.command(bytes(6), cmd_sn=numbers[DEPTH])
    client.send(pdu.text_request(b"", itt=77, cmd_sn=numbers[DEPTH], exp_stat_sn=0))
    client.send(pdu.nop_out(itt=78, cmd_sn=numbers[DEPTH], exp_stat_sn=0))
    response = await client.receive()
    assert response.opcode is Opcode.NOP_IN
    assert len(rig.lu.tasks()) == DEPTH
    client.data(r2ts[0].itt, bytes(4096), 0, 4096, ttt=r2ts[0].ttt)
    assert (await client.receive()).fields.max_cmd_sn == numbers[DEPTH]
    itt = client.command(bytes(6), cmd_sn=numbers[DEPTH])
    assert (await client.receive()).fields.itt == itt
