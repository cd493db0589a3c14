"""Whatever arrives, it is read within its bounds or it is malformed."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_srp.iu.errors import Malformed
from tgtcore_srp.iu.login import LoginRequest
from tgtcore_srp.iu.table import parse_from_initiator, parse_from_target

OPCODES = (0x00, 0x01, 0x02, 0x03, 0x41, 0x42, 0x80, 0x81, 0x82, 0xC0, 0xC1, 0xC2)


def taken(parse: Any, unit: bytes) -> bool:
    try:
        parse(unit)
    except Malformed as error:
        assert error.expected
        return False
    return True


@given(opcode=st.sampled_from(OPCODES), rest=st.binary(max_size=300))
def test_noise(opcode: int, rest: bytes) -> None:
    unit = bytes([opcode]) + rest
    assert opcode < 0x80 or not taken(parse_from_initiator, unit)
    assert opcode >= 0x80 or not taken(parse_from_target, unit)


@given(rest=st.binary(max_size=80))
def test_noise_in_a_connection_request(rest: bytes) -> None:
    assert taken(LoginRequest.parse_cm, rest) == (len(rest) >= 56 and rest[11] == 0)


@pytest.mark.slow
def test_many_changes_of_every_sample(samples: Any) -> None:
    chance = random.Random(16)
    counts = {True: 0, False: 0}
    for _ in range(10_000):
        for sample in samples.values():
            unit = bytearray(sample.unit)
            for _ in range(chance.randint(1, 4)):
                unit[chance.randrange(len(unit))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            counts[taken(sample.parse, bytes(unit[: chance.randint(len(unit) - 4, len(unit))]))] += 1
    assert min(counts.values()) > 10_000
