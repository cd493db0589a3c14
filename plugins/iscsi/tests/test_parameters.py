"""A target's wishes are checked, the defaults of what is agreed are those of the standard."""

from typing import Any

import pytest
from tgtcore_iscsi.parameters import Offer, Parameters


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"max_recv_data_segment_length": 511}, "MaxRecvDataSegmentLength is 511, expected 512 to 16777215"),
        ({"max_burst_length": 16777216}, "MaxBurstLength is 16777216"),
        ({"max_outstanding_r2t": 0}, "MaxOutstandingR2T is 0, expected 1 to 65535"),
        ({"default_time2wait": 3601}, "DefaultTime2Wait is 3601"),
        ({"first_burst_length": 65536, "max_burst_length": 32768}, "expected at most MaxBurstLength, 32768"),
        ({"header_digest": ()}, "HeaderDigest is empty"),
        ({"data_digest": ("CRC32",)}, "DataDigest is CRC32, expected a choice of None and CRC32C"),
    ],
)
def test_impossible_wishes(wish: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Offer(**wish)


def test_defaults_are_those_of_the_standard() -> None:
    parameters = Parameters()
    assert parameters.max_send_data_segment_length == parameters.max_recv_data_segment_length == 8192
    assert parameters.initial_r2t
    assert parameters.immediate_data
    assert (parameters.first_burst_length, parameters.max_burst_length) == (65536, 262144)
    assert not parameters.has_header_digest
    assert not parameters.has_data_digest


def test_a_new_connection_keeps_what_belongs_to_the_session() -> None:
    old = Parameters(
        max_burst_length=4096, header_digest="CRC32C", data_digest="CRC32C", max_send_data_segment_length=512
    )
    assert old.has_header_digest
    assert old.has_data_digest
    assert old.for_new_connection() == Parameters(max_burst_length=4096)
