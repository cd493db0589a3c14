"""The table of keys against the properties that RFC 7143 clause 13 lists for each."""

import pytest
from tgtcore_iscsi.keys import BY_ATTRIBUTE, KEYS, Scope, Sender, Use
from tgtcore_iscsi.parameters import Offer, Parameters
from tgtcore_iscsi.pdu.codes import Stage

RANGES = {
    "MaxConnections": (1, 65535, 1),
    "MaxRecvDataSegmentLength": (512, 16777215, 8192),
    "MaxBurstLength": (512, 16777215, 262144),
    "FirstBurstLength": (512, 16777215, 65536),
    "DefaultTime2Wait": (0, 3600, 2),
    "DefaultTime2Retain": (0, 3600, 20),
    "MaxOutstandingR2T": (1, 65535, 1),
    "ErrorRecoveryLevel": (0, 2, 0),
    "iSCSIProtocolLevel": (0, 31, 1),
}
OTHER_DEFAULTS = {
    "HeaderDigest": "None",
    "DataDigest": "None",
    "InitialR2T": True,
    "ImmediateData": True,
    "DataPDUInOrder": True,
    "DataSequenceInOrder": True,
    "TaskReporting": "RFC3720",
    "SessionType": "Normal",
}
IRRELEVANT_IN_DISCOVERY = {
    "MaxConnections",
    "InitialR2T",
    "ImmediateData",
    "MaxBurstLength",
    "FirstBurstLength",
    "MaxOutstandingR2T",
    "DataPDUInOrder",
    "DataSequenceInOrder",
    "TaskReporting",
    "iSCSIProtocolLevel",
}


@pytest.mark.parametrize("name", RANGES)
def test_ranges_and_defaults(name: str) -> None:
    assert (*KEYS[name].span, KEYS[name].default) == RANGES[name]


@pytest.mark.parametrize("name", OTHER_DEFAULTS)
def test_other_defaults(name: str) -> None:
    assert KEYS[name].default == OTHER_DEFAULTS[name]


def test_what_discovery_has_no_use_for() -> None:
    assert {name for name, key in KEYS.items() if key.scope is Scope.NORMAL_SESSION} == IRRELEVANT_IN_DISCOVERY


def test_who_may_send_what() -> None:
    assert {name for name, key in KEYS.items() if key.sender is Sender.TARGET} == {
        "TargetAlias",
        "TargetAddress",
        "TargetPortalGroupTag",
    }
    assert {name for name, key in KEYS.items() if key.sender is Sender.INITIATOR} == {
        "InitiatorName",
        "InitiatorAlias",
        "SessionType",
        "SendTargets",
    }


def test_what_may_be_sent_when() -> None:
    assert {name for name, key in KEYS.items() if Stage.FULL_FEATURE in key.use.value} == {
        "SendTargets",
        "MaxRecvDataSegmentLength",
        "InitiatorAlias",
        "TargetAlias",
        "TargetAddress",
    }
    assert {name for name, key in KEYS.items() if key.use is Use.SECURITY} == {
        "AuthMethod",
        "CHAP_A",
        "CHAP_I",
        "CHAP_C",
        "CHAP_N",
        "CHAP_R",
    }


def test_every_attribute_has_its_row_and_every_row_its_attribute() -> None:
    offered, agreed = set(Offer.__dataclass_fields__), set(Parameters.__dataclass_fields__)
    assert agreed == set(BY_ATTRIBUTE)
    assert offered == {key.attribute for key in KEYS.values() if key.attribute and key.fixed is None}
