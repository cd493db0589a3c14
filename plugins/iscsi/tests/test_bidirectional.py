"""Commands with data both ways: two lengths, two residuals, one count of R2Ts and Data-In PDUs (RFC 7143 11.4.5, 4.2.2.4)."""

from typing import TYPE_CHECKING

import pytest
from tgtcore_iscsi.initiator import pdu
from tgtcore_iscsi.pdu.codes import Opcode

if TYPE_CHECKING:
    from conftest import Client, Rig

pytestmark = pytest.mark.asyncio

XDWRITEREAD = bytes((0x53, 0, 0, 0, 0, 0, 0, 0, 8, 0))
LENGTH = 4096
CONTENT = bytes(range(256)) * 16
COMPLEMENT = bytes(range(256))[::-1] * 16
READ_WRITE_FINAL = 0xE1
UNDERFLOW, OVERFLOW = 0x02, 0x04


@pytest.mark.parametrize("immediate", [True, False])
@pytest.mark.parametrize(
    ("out", "room", "flags", "residuals"),
    [
        (LENGTH, LENGTH, 0, (0, 0)),
        (LENGTH + 512, LENGTH, UNDERFLOW, (512, 0)),
        (LENGTH, LENGTH + 100, UNDERFLOW << 2, (0, 100)),
        (LENGTH, 1000, OVERFLOW << 2, (0, LENGTH - 1000)),
        (LENGTH - 512, LENGTH, OVERFLOW | UNDERFLOW << 2, (512, 512)),
    ],
)
async def test_both_transfers_are_counted(
    rig: "Rig",
    client: "Client",
    immediate: bool,
    out: int,
    room: int,
    flags: int,
    residuals: tuple[int, int],
) -> None:
    await client.login(MaxRecvDataSegmentLength="1024", MaxBurstLength="2048")
    await client.ready()
    data = (CONTENT + bytes(512))[:out]
    client.send(
        pdu.scsi_command(
            XDWRITEREAD,
            flags=READ_WRITE_FINAL,
            lun=0,
            itt=7,
            expected_length=out,
            read_length=room,
            cmd_sn=client.cmd_sn,
            exp_stat_sn=client.exp_stat_sn,
            data=data[:2048] if immediate else b"",
        )
    )
    numbers, got = [], b""
    while (response := await client.receive()).opcode is not Opcode.SCSI_RESPONSE:
        fields = response.fields
        if response.opcode is Opcode.R2T:
            numbers.append(fields.r2t_sn)
            client.data(7, data, fields.buffer_offset, fields.buffer_offset + fields.desired_length, ttt=fields.ttt)
        else:
            numbers.append(fields.data_sn)
            assert bool(fields.flags & 0x80) is (
                fields.buffer_offset + len(response.data) in (2048, min(out, room, LENGTH))
            )
            assert not fields.flags & 0x01
            got += response.data
    fields = response.fields
    assert numbers == list(range(len(numbers)))
    assert got == COMPLEMENT[: min(out, room)]
    assert (fields.status, fields.flags & 0x1E) == (0, flags)
    assert (fields.residual, fields.bidi_residual) == residuals
    assert fields.exp_data_sn == len(numbers)
