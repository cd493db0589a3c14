"""Every key at, inside and outside its limits; result functions; and what is not to be answered at all."""

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.keys import KEYS, NUMBER, Key, Scope, Sender, Use
from tgtcore_iscsi.negotiation import KeyGate, Negotiation
from tgtcore_iscsi.parameters import Offer, Parameters
from tgtcore_iscsi.pdu.codes import Stage

NEGOTIATED_NUMBERS = [key for key in KEYS.values() if key.kind is NUMBER and key.result]
OFFER = Offer()


def answer(name: str, value: str, offer: Offer = OFFER, *, discovery: bool = False) -> str | None:
    return Negotiation(offer, discovery=discovery).answer(KEYS[name], value)


@pytest.mark.parametrize("key", NEGOTIATED_NUMBERS, ids=lambda key: key.name)
def test_numbers_at_and_outside_their_limits(key: Key) -> None:
    smallest, largest = key.span
    wish = getattr(OFFER, key.attribute, key.fixed)
    assert key.result is not None
    for value in (smallest, smallest + 1, largest - 1, largest):
        assert answer(key.name, str(value)) == answer(key.name, hex(value)) == str(key.result(value, wish))
    for outside in (str(smallest - 1), str(largest + 1), str(2**64), "-1", "", "0x", "0b", "Yes", "1,2", "1~2"):
        assert answer(key.name, outside) == "Reject"


@pytest.mark.parametrize(
    ("name", "value", "offer", "expected"),
    [
        # minimum
        ("MaxBurstLength", "262144", Offer(max_burst_length=1048576), "262144"),
        ("MaxBurstLength", "16776192", Offer(max_burst_length=1048576), "1048576"),
        ("FirstBurstLength", "262144", Offer(first_burst_length=65536), "65536"),
        ("DefaultTime2Retain", "20", Offer(), "0"),
        ("MaxConnections", "8", Offer(), "1"),
        ("ErrorRecoveryLevel", "2", Offer(), "0"),
        ("iSCSIProtocolLevel", "2", Offer(), "1"),
        ("MaxOutstandingR2T", "1", Offer(max_outstanding_r2t=16), "1"),
        # maximum
        ("DefaultTime2Wait", "0", Offer(default_time2wait=2), "2"),
        ("DefaultTime2Wait", "30", Offer(default_time2wait=2), "30"),
        # OR
        ("InitialR2T", "No", Offer(initial_r2t=False), "No"),
        ("InitialR2T", "Yes", Offer(initial_r2t=False), "Yes"),
        ("InitialR2T", "No", Offer(initial_r2t=True), "Yes"),
        ("DataPDUInOrder", "No", Offer(), "Yes"),
        ("DataSequenceInOrder", "No", Offer(), "Yes"),
        # AND
        ("ImmediateData", "Yes", Offer(immediate_data=True), "Yes"),
        ("ImmediateData", "No", Offer(immediate_data=True), "No"),
        ("ImmediateData", "Yes", Offer(immediate_data=False), "No"),
        ("IFMarker", "Yes", Offer(), "No"),
        ("OFMarker", "No", Offer(), "No"),
        # lists: the initiator's order decides among what we allow
        ("HeaderDigest", "CRC32C,None", Offer(), "CRC32C"),
        ("HeaderDigest", "None,CRC32C", Offer(), "None"),
        ("HeaderDigest", "None,CRC32C", Offer(header_digest=("CRC32C",)), "CRC32C"),
        ("DataDigest", "CRC32C", Offer(data_digest=("None",)), "Reject"),
        ("DataDigest", "X-crc64,CRC32C", Offer(), "CRC32C"),
        ("DataDigest", "crc32c", Offer(), "Reject"),
        ("DataDigest", "", Offer(), "Reject"),
        ("TaskReporting", "FastAbort,ResponseFence,RFC3720", Offer(), "RFC3720"),
        ("TaskReporting", "FastAbort", Offer(), "Reject"),
        # neither Yes nor No
        ("ImmediateData", "yes", Offer(), "Reject"),
        ("InitialR2T", "1", Offer(), "Reject"),
        # obsolete
        ("IFMarkInt", "2048~8192", Offer(), "Reject"),
        ("OFMarkInt", "1", Offer(), "Reject"),
    ],
)
def test_result_functions(name: str, value: str, offer: Offer, expected: str) -> None:
    assert answer(name, value, offer) == expected


@pytest.mark.parametrize(
    "key", [key for key in KEYS.values() if key.attribute and key.result], ids=lambda key: key.name
)
def test_discovery_sessions_find_keys_of_normal_ones_irrelevant(key: Key) -> None:
    value = {"number": "1", "Yes or No": "Yes", "list": "None,RFC3720"}[key.kind.name]
    assert (answer(key.name, value, discovery=True) == "Irrelevant") == (key.scope is Scope.NORMAL_SESSION)


def test_a_rejected_key_keeps_its_default() -> None:
    negotiation = Negotiation(OFFER)
    negotiation.answer(KEYS["MaxBurstLength"], "1")
    negotiation.answer(KEYS["HeaderDigest"], "MD5")
    assert negotiation.parameters() == Parameters()


def test_first_burst_never_exceeds_max_burst() -> None:
    negotiation = Negotiation(OFFER)
    assert negotiation.answer(KEYS["MaxBurstLength"], "4096") == "4096"
    assert negotiation.parameters().first_burst_length == 4096


@given(
    offered=st.fixed_dictionaries(
        {key.name: st.integers(*key.span).map(str) for key in NEGOTIATED_NUMBERS}
        | {name: st.sampled_from(["Yes", "No"]) for name in ("InitialR2T", "ImmediateData", "DataPDUInOrder")}
        | {name: st.sampled_from(["None", "CRC32C", "CRC32C,None"]) for name in ("HeaderDigest", "DataDigest")}
    ),
    first_burst=st.integers(512, 2**24 - 1),
    max_burst=st.integers(512, 2**24 - 1),
    initial_r2t=st.booleans(),
)
def test_both_sides_come_to_the_same_values(
    offered: dict[str, str], first_burst: int, max_burst: int, initial_r2t: bool
) -> None:
    offer = Offer(first_burst_length=min(first_burst, max_burst), max_burst_length=max_burst, initial_r2t=initial_r2t)
    negotiation = Negotiation(offer)
    answers = {name: negotiation.answer(KEYS[name], value) for name, value in offered.items()}
    agreed = asdict(negotiation.parameters())
    for name, said in answers.items():
        key = KEYS[name]
        assert said is not None
        expected = key.kind.parse(said) if key.kind.name != "list" else said
        if name == "FirstBurstLength":
            expected = min(expected, agreed["max_burst_length"])
        assert agreed[key.attribute] == expected


class TestDeclarations:
    def test_the_peers_length_is_what_we_may_send(self) -> None:
        negotiation = Negotiation(OFFER)
        assert negotiation.answer(KEYS["MaxRecvDataSegmentLength"], "512") is None
        assert negotiation.parameters().max_send_data_segment_length == 512
        assert negotiation.parameters().max_recv_data_segment_length == 8192

    @pytest.mark.parametrize("value", ["511", "16777216", "0", "", "-1", "lots", "18446744073709551616"])
    def test_an_unusable_length_ends_the_negotiation(self, value: str) -> None:
        with pytest.raises(RemoteProtocolError, match="MaxRecvDataSegmentLength is not a number from 512"):
            Negotiation(OFFER).answer(KEYS["MaxRecvDataSegmentLength"], value)

    def test_our_own_is_declared_once(self) -> None:
        negotiation = Negotiation(Offer(max_recv_data_segment_length=65536))
        assert negotiation.declare() == [("MaxRecvDataSegmentLength", "65536")]
        assert negotiation.declare() == []
        assert negotiation.parameters().max_recv_data_segment_length == 65536

    def test_architecture_and_alias_are_noted_by_nobody(self) -> None:
        negotiation = Negotiation(OFFER)
        assert negotiation.answer(KEYS["X#NodeArchitecture"], "x86,linux") is None
        assert negotiation.answer(KEYS["InitiatorAlias"], "größe") is None
        assert negotiation.parameters() == Parameters()


class TestRequiredDigests:
    OFFER = Offer(header_digest=("CRC32C",), data_digest=("CRC32C",))

    def test_agreed_ones_are_not_asked_for(self) -> None:
        negotiation = Negotiation(self.OFFER)
        assert negotiation.answer(KEYS["HeaderDigest"], "None,CRC32C") == "CRC32C"
        assert negotiation.demand_digests() == [("DataDigest", "CRC32C")]
        assert negotiation.take_answer("DataDigest", "CRC32C")
        assert negotiation.demand_digests() == []
        assert negotiation.parameters().has_header_digest
        assert negotiation.parameters().has_data_digest

    def test_a_rejected_offer_of_the_initiator_cannot_be_repaired(self) -> None:
        negotiation = Negotiation(self.OFFER)
        assert negotiation.answer(KEYS["HeaderDigest"], "None") == "Reject"
        with pytest.raises(RemoteProtocolError, match="HeaderDigest CRC32C is required"):
            negotiation.demand_digests()

    def test_silence_is_no_answer(self) -> None:
        negotiation = Negotiation(self.OFFER)
        negotiation.demand_digests()
        with pytest.raises(RemoteProtocolError, match="required here and was not agreed to"):
            negotiation.demand_digests()

    @pytest.mark.parametrize("value", ["Reject", "None", "NotUnderstood", "Irrelevant", "CRC32C,None", ""])
    def test_wrong_answers(self, value: str) -> None:
        negotiation = Negotiation(self.OFFER)
        negotiation.demand_digests()
        with pytest.raises(RemoteProtocolError, match="not offered"):
            negotiation.take_answer("HeaderDigest", value)

    def test_an_answer_counts_once(self) -> None:
        negotiation = Negotiation(self.OFFER)
        assert not negotiation.take_answer("HeaderDigest", "CRC32C")
        negotiation.demand_digests()
        assert negotiation.take_answer("HeaderDigest", "CRC32C")
        assert not negotiation.take_answer("HeaderDigest", "CRC32C")


class TestKeyGate:
    def test_unknown_keys_are_not_understood(self) -> None:
        gate = KeyGate()
        assert gate.admit("X-com.example.fast", "Yes", Stage.OPERATIONAL) is None
        assert gate.admit("RDMAExtensions", "Yes", Stage.OPERATIONAL) is None

    def test_unknown_keys_are_rationed(self) -> None:
        gate = KeyGate()
        for number in range(32):
            assert gate.admit(f"a{number}", "b", Stage.OPERATIONAL) is None
        with pytest.raises(RemoteProtocolError, match="more than 32 keys that are not understood"):
            gate.admit("a32", "b", Stage.OPERATIONAL)

    @pytest.mark.parametrize("name", ["MaxBurstLength", "a"])
    def test_no_key_comes_twice(self, name: str) -> None:
        gate = KeyGate()
        gate.admit(name, "1024", Stage.OPERATIONAL)
        with pytest.raises(RemoteProtocolError, match=f"key {name} came twice"):
            gate.admit(name, "1024", Stage.OPERATIONAL)

    @pytest.mark.parametrize("value", ["Reject", "Irrelevant", "NotUnderstood"])
    @pytest.mark.parametrize("name", ["MaxBurstLength", "a"])
    def test_answers_are_no_offers(self, name: str, value: str) -> None:
        with pytest.raises(RemoteProtocolError, match=f"offered the reserved value {value}"):
            KeyGate().admit(name, value, Stage.OPERATIONAL)

    @pytest.mark.parametrize("key", KEYS.values(), ids=lambda key: key.name)
    @pytest.mark.parametrize("stage", Stage)
    def test_sender_and_stage(self, key: Key, stage: Stage) -> None:
        allowed = Sender.INITIATOR in key.sender and stage in key.use.value
        if allowed:
            assert KeyGate().admit(key.name, "1", stage) is key
        else:
            with pytest.raises(RemoteProtocolError, match=r"the target's to send|has no place in the"):
                KeyGate().admit(key.name, "1", stage)

    @pytest.mark.parametrize("key", KEYS.values(), ids=lambda key: key.name)
    def test_keys_of_the_session_come_on_its_leading_connection(self, key: Key) -> None:
        if key.use is not Use.OPERATIONAL or key.scope is Scope.CONNECTION:
            return
        with pytest.raises(RemoteProtocolError, match="leading connection"):
            KeyGate(leading=False).admit(key.name, "1", Stage.OPERATIONAL)

    @pytest.mark.parametrize(
        ("name", "stage", "longest"),
        [
            ("InitiatorAlias", Stage.OPERATIONAL, 255),
            ("MaxBurstLength", Stage.OPERATIONAL, 255),
            ("InitiatorName", Stage.SECURITY, 223),
            ("CHAP_N", Stage.SECURITY, 255),
            ("CHAP_R", Stage.SECURITY, 8192),
            ("SendTargets", Stage.FULL_FEATURE, 8192),
        ],
    )
    def test_values_have_a_longest(self, name: str, stage: Stage, longest: int) -> None:
        assert KeyGate().admit(name, "x" * longest, stage) is KEYS[name]
        with pytest.raises(RemoteProtocolError, match=f"has {longest + 1} bytes, expected {longest} at most"):
            KeyGate().admit(name, "x" * (longest + 1), stage)

    def test_bytes_are_counted_not_characters(self) -> None:
        with pytest.raises(RemoteProtocolError, match="has 256 bytes"):
            KeyGate().admit("InitiatorAlias", "ü" * 128, Stage.OPERATIONAL)
