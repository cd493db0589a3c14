"""The headers that are built and read once per command."""

from tgtcore_iscsi.initiator.pdu import data_out, scsi_command
from tgtcore_iscsi.pdu import hot
from tgtcore_iscsi.pdu.codes import COMMAND_READ, DATA_IN_STATUS, FINAL, NO_TAG, RESIDUAL_UNDERFLOW, Opcode
from tgtcore_iscsi.pdu.responses import DATA_IN, R2T, R2T_LAYOUT, SCSI_RESPONSE, DataIn, ScsiResponse


def test_scsi_command_is_a_plain_tuple() -> None:
    pdu = scsi_command(
        bytes(range(10)),
        flags=FINAL | COMMAND_READ | 1,
        lun=1 << 48,
        itt=7,
        expected_length=4096,
        cmd_sn=8,
        exp_stat_sn=9,
    )
    fields = hot.unpack_scsi_command(b"pad" + pdu, 3)
    assert type(fields) is tuple
    assert fields == (0xC1, 0, 1 << 48, 7, 4096, 8, 9, bytes(range(10)) + bytes(6))


def test_data_out_is_a_plain_tuple() -> None:
    pdu = data_out(b"abc", flags=FINAL, itt=1, ttt=2, lun=3, exp_stat_sn=4, data_sn=5, buffer_offset=6)
    assert hot.unpack_data_out(pdu) == (0x80, 3, 3, 1, 2, 4, 5, 6)


def test_scsi_response() -> None:
    header = hot.scsi_response(RESIDUAL_UNDERFLOW, 2, 20, 7, 10, 11, 12, 13, 512)
    assert header[0] == Opcode.SCSI_RESPONSE
    assert SCSI_RESPONSE.parse(header) == ScsiResponse(0x82, 0, 2, 20, 7, 0, 10, 11, 12, 13, 0, 512)


def test_data_in_with_and_without_status() -> None:
    header = hot.data_in(0, 8192, 7, 11, 12, 1, 8192)
    assert header[0] == Opcode.DATA_IN
    assert DATA_IN.parse(header) == DataIn(0, 0, 8192, 0, 7, NO_TAG, 0, 11, 12, 1, 8192, 0)
    header = hot.data_in_last(RESIDUAL_UNDERFLOW, 0, 512, 7, 10, 11, 12, 2, 16384, 4)
    flags = FINAL | DATA_IN_STATUS | RESIDUAL_UNDERFLOW
    assert DATA_IN.parse(header) == DataIn(flags, 0, 512, 0, 7, NO_TAG, 10, 11, 12, 2, 16384, 4)


def test_r2t() -> None:
    header = hot.r2t(1, 2, 3, 4, 5, 6, 7, 8, 9)
    assert header[0] == Opcode.R2T
    assert R2T_LAYOUT.parse(header) == R2T(FINAL, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
