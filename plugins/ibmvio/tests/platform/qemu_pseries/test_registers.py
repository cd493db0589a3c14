"""What the debugger says of a processor."""

import struct

import pytest
from tgtcore_ibmvio.platform.qemu_pseries.registers import PC, Registers, assign

LINUX = 0x8000000000009033


def answer(msr=LINUX):
    return struct.pack("<34QIQQI", *range(32), 0xC000, msr, 0, 0xC008, 0, 0).hex().encode()


def test_registers_have_their_places():
    registers = Registers(answer())
    assert registers.general[31] == 31
    assert (registers.pc, registers.msr, registers.lr) == (0xC000, LINUX, 0xC008)
    assert registers.without_interrupts == 0x8000000000001033


@pytest.mark.parametrize(
    ("msr", "in_linux", "in_user_mode"),
    [
        (LINUX, True, False),
        (LINUX | 0x4000, True, True),
        (0x8000000000001001, False, False),
        (0x8000000000001030, False, False),
        (0x1033, False, False),
    ],
)
def test_where_a_processor_is(msr, in_linux, in_user_mode):
    registers = Registers(answer(msr))
    assert (registers.in_linux, registers.in_user_mode) == (in_linux, in_user_mode)


@pytest.mark.parametrize("text", [b"", b"00" * 295, b"00" * 297, b"E01", b"xx" * 296])
def test_another_answer_is_refused(text):
    with pytest.raises(ValueError, match=r"bytes, not 296|fromhex"):
        Registers(text)


def test_values_go_in_the_processors_order_and_may_be_negative():
    assert assign(PC, 0xC0) == b"P40=c000000000000000"
    assert assign(3, -4) == b"P3=fcffffffffffffff"
