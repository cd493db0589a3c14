"""Each kind of information unit, byte for byte, both ways."""

from typing import Any

import pytest
from tgtcore_srp.iu.errors import Malformed
from tgtcore_srp.iu.opcodes import Opcode
from tgtcore_srp.iu.table import parse_from_initiator, parse_from_target


def test_it_is_read(sample: Any) -> None:
    found = sample.parse(sample.unit)
    assert found == sample.fields
    assert type(found) is type(sample.fields)


def test_it_is_written(sample: Any) -> None:
    assert sample.build(sample.fields) == sample.unit


@pytest.mark.parametrize("memory", [bytes, bytearray, lambda unit: memoryview(bytearray(unit))])
def test_what_is_behind_it_does_not_matter(sample: Any, memory: Any) -> None:
    assert sample.parse(memory(sample.unit + b"\xff" * 32)) == sample.fields


def test_every_cut_is_malformed(sample: Any) -> None:
    for length in range(len(sample.unit)):
        with pytest.raises(Malformed, match=r"length|end|descriptor"):
            sample.parse(sample.unit[:length])


def test_every_changed_byte_is_malformed_or_survives_writing(sample: Any) -> None:
    for at in range(len(sample.unit)):
        for value in {sample.unit[at] ^ 1 << bit for bit in range(8)} | {0x00, 0xFF}:
            unit = bytearray(sample.unit)
            unit[at] = value
            try:
                found = sample.parse(unit)
            except Malformed as error:
                assert str(error).startswith(error.iu)
            else:
                assert all(size <= len(unit) for size in lengths(found))


def lengths(fields: Any) -> list[int]:
    """How long parts are that were in the unit."""
    return [len(part) for part in fields if isinstance(part, bytes)]


def test_every_opcode_has_its_sample(samples: Any) -> None:
    assert {sample.unit[0] for name, sample in samples.items() if "CM" not in name.split()} == set(Opcode)


@pytest.mark.parametrize("parse", [parse_from_initiator, parse_from_target])
def test_other_opcodes_are_malformed(parse: Any, samples: Any) -> None:
    known = {sample.unit[0] for sample in samples.values() if sample.parse is parse}
    for opcode in set(range(256)) - known:
        with pytest.raises(Malformed, match=f"opcode is {opcode:#04x}, expected one that"):
            parse(bytes([opcode]) + bytes(255))
