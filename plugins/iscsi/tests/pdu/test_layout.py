"""Every header layout: 48 bytes, both directions, fields where RFC 7143 puts them."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_iscsi.pdu.codes import IMMEDIATE, OPCODE_MASK, Opcode
from tgtcore_iscsi.pdu.table import LAYOUTS, REQUEST_OPCODES


@pytest.mark.parametrize("opcode", list(Opcode), ids=lambda opcode: opcode.name)
@given(header=st.binary(min_size=48, max_size=48))
def test_what_is_parsed_is_built_again(opcode: Opcode, header: bytes) -> None:
    layout = LAYOUTS[opcode]
    fields = layout.parse(header)
    built = layout.build(fields)
    assert len(built) == 48
    assert built[0] == opcode
    assert layout.parse(built) == fields
    assert layout.parse(b"\xff" * 7 + header, 7) == fields


def test_every_opcode_has_a_layout() -> None:
    assert set(LAYOUTS) == set(Opcode)
    assert {
        Opcode.NOP_OUT,
        Opcode.SCSI_COMMAND,
        Opcode.TASK_MANAGEMENT_REQUEST,
        Opcode.LOGIN_REQUEST,
        Opcode.TEXT_REQUEST,
        Opcode.DATA_OUT,
        Opcode.LOGOUT_REQUEST,
        Opcode.SNACK_REQUEST,
    } == REQUEST_OPCODES


WORD_OFFSETS = {
    Opcode.NOP_OUT: {"itt": 16, "ttt": 20, "cmd_sn": 24, "exp_stat_sn": 28},
    Opcode.SCSI_COMMAND: {"itt": 16, "expected_length": 20, "cmd_sn": 24, "exp_stat_sn": 28},
    Opcode.TASK_MANAGEMENT_REQUEST: {
        "itt": 16,
        "referenced_task_tag": 20,
        "cmd_sn": 24,
        "exp_stat_sn": 28,
        "ref_cmd_sn": 32,
        "exp_data_sn": 36,
    },
    Opcode.LOGIN_REQUEST: {"itt": 16, "cmd_sn": 24, "exp_stat_sn": 28},
    Opcode.TEXT_REQUEST: {"itt": 16, "ttt": 20, "cmd_sn": 24, "exp_stat_sn": 28},
    Opcode.DATA_OUT: {"itt": 16, "ttt": 20, "exp_stat_sn": 28, "data_sn": 36, "buffer_offset": 40},
    Opcode.LOGOUT_REQUEST: {"itt": 16, "cmd_sn": 24, "exp_stat_sn": 28},
    Opcode.SNACK_REQUEST: {"itt": 16, "ttt": 20, "exp_stat_sn": 28, "beg_run": 40, "run_length": 44},
    Opcode.NOP_IN: {"itt": 16, "ttt": 20, "stat_sn": 24, "exp_cmd_sn": 28, "max_cmd_sn": 32},
    Opcode.SCSI_RESPONSE: {
        "itt": 16,
        "snack_tag": 20,
        "stat_sn": 24,
        "exp_cmd_sn": 28,
        "max_cmd_sn": 32,
        "exp_data_sn": 36,
        "bidi_residual": 40,
        "residual": 44,
    },
    Opcode.TASK_MANAGEMENT_RESPONSE: {"itt": 16, "stat_sn": 24, "exp_cmd_sn": 28, "max_cmd_sn": 32},
    Opcode.LOGIN_RESPONSE: {"itt": 16, "stat_sn": 24, "exp_cmd_sn": 28, "max_cmd_sn": 32},
    Opcode.TEXT_RESPONSE: {"itt": 16, "ttt": 20, "stat_sn": 24, "exp_cmd_sn": 28, "max_cmd_sn": 32},
    Opcode.DATA_IN: {
        "itt": 16,
        "ttt": 20,
        "stat_sn": 24,
        "exp_cmd_sn": 28,
        "max_cmd_sn": 32,
        "data_sn": 36,
        "buffer_offset": 40,
        "residual": 44,
    },
    Opcode.LOGOUT_RESPONSE: {"itt": 16, "stat_sn": 24, "exp_cmd_sn": 28, "max_cmd_sn": 32},
    Opcode.R2T: {
        "itt": 16,
        "ttt": 20,
        "stat_sn": 24,
        "exp_cmd_sn": 28,
        "max_cmd_sn": 32,
        "r2t_sn": 36,
        "buffer_offset": 40,
        "desired_length": 44,
    },
    Opcode.ASYNC_MESSAGE: {"itt": 16, "stat_sn": 24, "exp_cmd_sn": 28, "max_cmd_sn": 32},
    Opcode.REJECT: {"itt": 16, "stat_sn": 24, "exp_cmd_sn": 28, "max_cmd_sn": 32, "data_sn": 36},
}
"""32-bit fields and their byte, from the diagrams of clause 11."""


@pytest.mark.parametrize("opcode", list(Opcode), ids=lambda opcode: opcode.name)
def test_words_lie_where_the_diagrams_put_them(opcode: Opcode) -> None:
    header = bytearray(range(48))
    fields = LAYOUTS[opcode].parse(header)
    assert fields.lengths == 0x04050607
    for name, offset in WORD_OFFSETS[opcode].items():
        assert getattr(fields, name) == struct.unpack_from(">I", header, offset)[0], name


@pytest.mark.parametrize(
    ("opcode", "field", "value"),
    [
        (Opcode.SCSI_COMMAND, "lun", int.from_bytes(range(8, 16), "big")),
        (Opcode.SCSI_COMMAND, "cdb", bytes(range(32, 48))),
        (Opcode.LOGIN_REQUEST, "version_max", 2),
        (Opcode.LOGIN_REQUEST, "version_min", 3),
        (Opcode.LOGIN_REQUEST, "isid", bytes(range(8, 14))),
        (Opcode.LOGIN_REQUEST, "tsih", 0x0E0F),
        (Opcode.LOGIN_REQUEST, "cid", 0x1415),
        (Opcode.LOGIN_RESPONSE, "version_active", 3),
        (Opcode.LOGIN_RESPONSE, "tsih", 0x0E0F),
        (Opcode.LOGIN_RESPONSE, "status_class", 36),
        (Opcode.LOGIN_RESPONSE, "status_detail", 37),
        (Opcode.LOGOUT_REQUEST, "cid", 0x1415),
        (Opcode.LOGOUT_RESPONSE, "response", 2),
        (Opcode.LOGOUT_RESPONSE, "time2wait", 0x2829),
        (Opcode.LOGOUT_RESPONSE, "time2retain", 0x2A2B),
        (Opcode.SCSI_RESPONSE, "response", 2),
        (Opcode.SCSI_RESPONSE, "status", 3),
        (Opcode.DATA_IN, "status", 3),
        (Opcode.TASK_MANAGEMENT_RESPONSE, "response", 2),
        (Opcode.ASYNC_MESSAGE, "event", 36),
        (Opcode.ASYNC_MESSAGE, "vendor_code", 37),
        (Opcode.ASYNC_MESSAGE, "parameter1", 0x2627),
        (Opcode.ASYNC_MESSAGE, "parameter3", 0x2A2B),
        (Opcode.REJECT, "reason", 2),
    ],
)
def test_small_fields_lie_where_the_diagrams_put_them(opcode: Opcode, field: str, value: object) -> None:
    assert getattr(LAYOUTS[opcode].parse(bytes(range(48))), field) == value


@pytest.mark.parametrize("opcode", sorted(REQUEST_OPCODES))
def test_immediate_bit(opcode: int) -> None:
    layout = LAYOUTS[opcode]
    built = layout.build(layout.parse(bytes(48)), immediate=True)
    assert built[0] & IMMEDIATE
    assert built[0] & OPCODE_MASK == opcode
