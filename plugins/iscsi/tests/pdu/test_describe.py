"""Headers in words."""

from hypothesis import given
from hypothesis import strategies as st
from tgtcore_iscsi.pdu.describe import describe, summarize
from tgtcore_iscsi.pdu.requests import NOP_OUT, SCSI_COMMAND, NopOut, ScsiCommand


def test_fields_by_name() -> None:
    described = describe(NOP_OUT.build(NopOut(0x80, 0, 1, 2, 3, 4, 5), immediate=True))
    assert described == {
        "pdu": "NOP_OUT",
        "immediate": True,
        "flags": 0x80,
        "lengths": 0,
        "lun": 1,
        "itt": 2,
        "ttt": 3,
        "cmd_sn": 4,
        "exp_stat_sn": 5,
    }


def test_one_line_without_zeroes() -> None:
    header = SCSI_COMMAND.build(ScsiCommand(0xC1, 0, 0, 0x2A, 4096, 7, 0, b"\x28" + bytes(15)))
    assert summarize(header) == (
        "SCSI_COMMAND flags=0xc1 itt=0x2a expected_length=4096 cmd_sn=7 cdb=28000000000000000000000000000000"
    )
    assert summarize(NOP_OUT.build(NopOut(0x80, 0, 0, 0, 0, 0, 0), immediate=True)) == (
        "NOP_OUT immediate=True flags=0x80"
    )


def test_unknown_opcode() -> None:
    assert describe(b"\x1f" + bytes(47)) == {"pdu": "opcode 0x1f", "bytes": "1f" + "00" * 47}


@given(header=st.binary(min_size=48, max_size=48))
def test_any_header_has_a_description(header: bytes) -> None:
    assert summarize(header)
