"""Logins from the first request to the last response, and all the ways to be refused."""

from dataclasses import replace
from typing import Any

import pytest
from tgtcore_iscsi.errors import LocalProtocolError
from tgtcore_iscsi.initiator import pdu
from tgtcore_iscsi.login.events import LoginFailed
from tgtcore_iscsi.login.machine import Login, State
from tgtcore_iscsi.login.policy import Admission, Refusal, Seat
from tgtcore_iscsi.parameters import Offer, Parameters
from tgtcore_iscsi.pdu.codes import LOGIN_CONTINUE, LoginStatus
from tgtcore_iscsi.text import encode_pairs, parse_pairs

DISK = "iqn.2004-01.com.example:disk"
HOST = "iqn.2004-01.com.example:host"
TAG = ("TargetPortalGroupTag", "1")
LENGTH = ("MaxRecvDataSegmentLength", "262144")


def test_security_then_operational_then_full_feature(play: Any) -> None:
    play.begins(("SessionType", "Normal"), ("AuthMethod", "CHAP,None"), csg=0, nsg=1).hears(
        TAG, ("AuthMethod", "None"), csg=0, nsg=1
    )
    play.says(
        ("HeaderDigest", "CRC32C,None"), ("InitialR2T", "No"), ("MaxRecvDataSegmentLength", "65536"), csg=1, nsg=3
    )
    wanted = play.wants_session()
    assert wanted.cmd_sn == 7
    assert wanted.chap_name is None
    done = play.granted(tsih=9)
    response = play.response()
    assert response.fields.flags == 0x87
    assert (response.fields.tsih, response.fields.exp_cmd_sn, response.fields.max_cmd_sn) == (9, 7, 70)
    assert response.fields.isid == done.candidate.isid
    assert parse_pairs(response.data) == [("HeaderDigest", "CRC32C"), ("InitialR2T", "No"), LENGTH]
    assert done.candidate.initiator_name == HOST
    assert done.candidate.target_name == DISK
    assert done.admission.target == "disk"
    assert done.stat_sn == play.stat_sn == 102
    assert done.parameters == Parameters(
        header_digest="CRC32C",
        initial_r2t=False,
        max_recv_data_segment_length=262144,
        max_send_data_segment_length=65536,
    )
    assert play.policy.asked == ["find_target", "authorize None"]


def test_operational_from_the_start_in_one_request(play: Any) -> None:
    play.begins(("ImmediateData", "No"), csg=1, nsg=3)
    done = play.granted()
    assert play.hears_keys() == dict([TAG, ("ImmediateData", "No"), LENGTH])
    assert not done.parameters.immediate_data


def test_straight_from_security_to_full_feature(play: Any) -> None:
    play.begins(("AuthMethod", "None"), csg=0, nsg=3)
    done = play.granted()
    assert play.hears_keys() == dict([TAG, ("AuthMethod", "None"), LENGTH])
    assert done.parameters == Parameters(max_recv_data_segment_length=262144)


def test_a_stage_may_take_several_requests(play: Any) -> None:
    play.begins(csg=1).hears(TAG, LENGTH)
    play.says(("MaxBurstLength", "65536")).hears(("MaxBurstLength", "65536"))
    play.says().hears()
    play.says(("FirstBurstLength", "65536"), nsg=3)
    assert play.granted().parameters.max_burst_length == 65536


def test_discovery(play: Any) -> None:
    play.says(("InitiatorName", HOST), ("SessionType", "Discovery"), ("MaxBurstLength", "512"), nsg=3)
    done = play.granted()
    assert done.candidate.discovery
    assert play.hears_keys() == dict([("MaxBurstLength", "Irrelevant"), LENGTH])


def test_alias_and_portal_group_tag_come_with_the_first_answer_only(play: Any) -> None:
    play.policy.targets[DISK] = Admission("disk", 3, "my disk", ("None",))
    play.begins(csg=0).hears(("TargetPortalGroupTag", "3"), ("TargetAlias", "my disk"), csg=0)
    play.says(csg=0, nsg=1).hears(csg=0, nsg=1)


def test_names_are_compared_in_canonical_form(play: Any) -> None:
    play.says(("InitiatorName", HOST.upper()), ("TargetName", DISK.upper()), ("InitiatorAlias", "Größe"), nsg=3)
    candidate = play.granted().candidate
    assert (candidate.initiator_name, candidate.target_name) == (HOST, DISK)
    assert candidate.initiator_alias == "Größe"


class TestFirstRequest:
    @pytest.mark.parametrize(
        ("text", "status"),
        [
            ([], LoginStatus.MISSING_PARAMETER),
            ([("TargetName", DISK)], LoginStatus.MISSING_PARAMETER),
            ([("InitiatorName", HOST)], LoginStatus.MISSING_PARAMETER),
            ([("SessionType", "Discovery")], LoginStatus.MISSING_PARAMETER),
            ([("InitiatorName", HOST), ("TargetName", DISK + "2")], LoginStatus.NOT_FOUND),
            ([("InitiatorName", HOST), ("TargetName", "disk")], LoginStatus.NOT_FOUND),
            ([("InitiatorName", ""), ("TargetName", DISK)], LoginStatus.INITIATOR_ERROR),
            ([("InitiatorName", HOST + " x"), ("TargetName", DISK)], LoginStatus.INITIATOR_ERROR),
            ([("InitiatorName", HOST + "%n%n%s\n"), ("TargetName", DISK)], LoginStatus.INITIATOR_ERROR),
            ([("InitiatorName", HOST + "x" * 196), ("TargetName", DISK)], LoginStatus.INITIATOR_ERROR),
            ([("InitiatorName", HOST), ("SessionType", "Boot")], LoginStatus.SESSION_TYPE_NOT_SUPPORTED),
            ([("InitiatorName", HOST), ("TargetName", DISK), ("InitiatorName", HOST)], LoginStatus.INITIATOR_ERROR),
            ([("InitiatorName", HOST), ("TargetName", DISK), ("TargetAlias", "x")], LoginStatus.INITIATOR_ERROR),
            ([("InitiatorName", HOST), ("TargetName", DISK), ("SendTargets", "All")], LoginStatus.INITIATOR_ERROR),
        ],
    )
    def test_refused(self, play: Any, text: list[tuple[str, str]], status: LoginStatus) -> None:
        play.says(*text, nsg=3).fails(status)
        assert play.login.state is State.OVER

    def test_the_longest_name_is_welcome(self, play: Any) -> None:
        longest = HOST + "x" * (223 - len(HOST))
        play.says(("InitiatorName", longest), ("TargetName", DISK), nsg=3)
        assert play.granted().candidate.initiator_name == longest

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("InitiatorName", HOST + "2"),
            ("TargetName", DISK + "2"),
            ("SessionType", "Discovery"),
            ("SessionType", "Normal"),
        ],
    )
    def test_who_and_what_may_not_come_later(self, play: Any, key: str, value: str) -> None:
        play.says(("InitiatorName", HOST), ("TargetName", DISK)).response()
        play.says((key, value), nsg=3).fails(LoginStatus.INITIATOR_ERROR, key)

    def test_who_and_what_may_be_said_again_word_for_word(self, play: Any) -> None:
        same = (("InitiatorName", HOST), ("SessionType", "Discovery"))
        play.says(*same, ("AuthMethod", "CHAP,None"), csg=0, nsg=1).hears(("AuthMethod", "None"), csg=0, nsg=1)
        play.says(*same, ("HeaderDigest", "None"), nsg=3)
        assert play.granted().candidate.discovery
        assert play.hears_keys()["HeaderDigest"] == "None"

    def test_operational_keys_have_no_place_in_the_security_stage(self, play: Any) -> None:
        play.begins(("MaxBurstLength", "512"), csg=0, nsg=1).fails(LoginStatus.INITIATOR_ERROR, "MaxBurstLength")


class TestPolicy:
    @pytest.mark.parametrize("answer", [False, None, 0, 1, "yes"])
    @pytest.mark.parametrize("csg", [0, 1])
    def test_anything_but_true_refuses(self, play: Any, csg: int, answer: object) -> None:
        play.policy.allowed = answer
        play.begins(csg=csg, nsg=3).fails(LoginStatus.AUTHORIZATION_FAILURE, HOST)

    @pytest.mark.parametrize("status", [LoginStatus.TARGET_MOVED_TEMPORARILY, LoginStatus.TARGET_MOVED_PERMANENTLY])
    def test_redirection(self, play: Any, status: LoginStatus) -> None:
        play.policy.targets[DISK] = Refusal(status, "moved", "[fd00::2]:3260")
        play.begins(nsg=3)
        response = parse_pairs(pdu.parse_response(play.events[0].pdu).data)
        assert response == [("TargetAddress", "[fd00::2]:3260")]
        play.fails(status, "moved")

    def test_refusal_instead_of_a_session(self, play: Any) -> None:
        play.begins(nsg=3).wants_session()
        play.events = play.login.refuse(Refusal(LoginStatus.OUT_OF_RESOURCES, "too many sessions"))
        play.fails(LoginStatus.OUT_OF_RESOURCES, "too many sessions")

    def test_refusal_from_outside_at_any_time(self, play: Any) -> None:
        play.begins().response()
        play.events = play.login.refuse(Refusal(LoginStatus.SERVICE_UNAVAILABLE, "shutting down"))
        play.fails(LoginStatus.SERVICE_UNAVAILABLE, "shutting down")
        with pytest.raises(LocalProtocolError, match="over"):
            play.login.refuse(Refusal(LoginStatus.SERVICE_UNAVAILABLE, "again"))


class TestExistingSession:
    def test_joins_with_its_values(self, play: Any) -> None:
        play.policy.sessions[9] = Parameters(max_burst_length=4096, header_digest="CRC32C")
        play.begins(("DataDigest", "CRC32C"), tsih=9, nsg=3)
        wanted = play.wants_session()
        assert wanted.candidate.tsih == 9
        expected = Parameters(max_burst_length=4096, data_digest="CRC32C", max_recv_data_segment_length=262144)
        assert wanted.parameters == replace(expected, first_burst_length=4096)

    def test_unknown(self, play: Any) -> None:
        play.begins(tsih=10, nsg=3).fails(LoginStatus.SESSION_DOES_NOT_EXIST)
        assert play.policy.asked == ["session_for"]

    def test_keys_of_the_leading_connection(self, play: Any) -> None:
        play.policy.sessions[9] = Parameters()
        play.begins(("MaxBurstLength", "512"), tsih=9, nsg=3).fails(LoginStatus.INITIATOR_ERROR, "leading")


class TestHeader:
    @pytest.mark.parametrize(
        ("header", "status", "says"),
        [
            ({"version_min": 1, "version_max": 1}, LoginStatus.UNSUPPORTED_VERSION, "version 1"),
            ({"version_min": 255}, LoginStatus.UNSUPPORTED_VERSION, "version 255"),
            ({"flags": 0x88}, LoginStatus.INITIATOR_ERROR, "stage 2 is reserved"),
            ({"flags": 0x8B}, LoginStatus.INITIATOR_ERROR, "stage 2 is reserved"),
            ({"flags": 0x8F}, LoginStatus.INITIATOR_ERROR, "CSG is 3"),
            ({"flags": 0x0C}, LoginStatus.INITIATOR_ERROR, "CSG is 3"),
            ({"flags": 0x82}, LoginStatus.INITIATOR_ERROR, "stage 2 is reserved"),
            ({"flags": 0x80}, LoginStatus.INITIATOR_ERROR, "NSG is 0, expected more than CSG, 0"),
            ({"flags": 0x84}, LoginStatus.INITIATOR_ERROR, "NSG is 0, expected more than CSG, 1"),
            ({"flags": 0x85}, LoginStatus.INITIATOR_ERROR, "NSG is 1, expected more than CSG, 1"),
            ({"flags": 0xC7}, LoginStatus.INITIATOR_ERROR, "T and C bits"),
        ],
    )
    def test_refused(self, play: Any, header: dict[str, int], status: LoginStatus, says: str) -> None:
        play.begins(**header).fails(status, says)

    def test_newer_initiators_that_speak_version_0(self, play: Any) -> None:
        response = play.begins(version_max=2).response()
        assert (response.fields.version_max, response.fields.version_active) == (0, 0)

    def test_reserved_bits_are_not_looked_at(self, play: Any) -> None:
        assert play.begins(flags=0x37).response().fields.flags == 0x04

    @pytest.mark.parametrize(
        ("changed", "says"),
        [
            ({"isid": bytes(6)}, "ISID"),
            ({"tsih": 1}, "TSIH"),
            ({"cid": 1}, "CID"),
            ({"version_max": 1}, "VERSION_MAX"),
        ],
    )
    def test_fields_that_may_not_change(self, play: Any, changed: dict[str, Any], says: str) -> None:
        play.begins().response()
        play.says(nsg=3, **changed).fails(LoginStatus.INITIATOR_ERROR, f"{says} changed during login")

    def test_task_tag_may_not_change(self, play: Any) -> None:
        play.begins().response()
        [_, failed] = play.says(itt=6).events
        assert failed.message == "ITT changed during login"

    def test_stage_that_was_not_agreed(self, play: Any) -> None:
        play.begins(csg=0).response()
        play.says(csg=1, nsg=3).fails(LoginStatus.INITIATOR_ERROR, "CSG is 1, expected 0")

    def test_stage_that_was_left(self, play: Any) -> None:
        play.begins(csg=0, nsg=1).response()
        play.says(csg=0, nsg=1).fails(LoginStatus.INITIATOR_ERROR, "CSG is 0, expected 1")

    def test_too_much_data(self, play: Any) -> None:
        play.begins(b"\0" * 8192).fails(LoginStatus.INITIATOR_ERROR, "more than 8192 bytes")

    def test_additional_headers(self, play: Any) -> None:
        request = bytearray(pdu.login_request(b"", flags=0x04, itt=5))
        request[4] = 1
        play.events = play.login.receive(request, b"")
        play.fails(LoginStatus.INITIATOR_ERROR, "additional headers")


class TestOtherPdus:
    @pytest.mark.parametrize(
        "header",
        [b"GET / HTTP/1.1\r\n".ljust(48), b"\x16\x03\x01\x02\x00\x01".ljust(48, b"\0"), bytes(48), b"\x3f" * 48],
    )
    def test_who_does_not_speak_iscsi_is_told_nothing(self, play: Any, header: bytes) -> None:
        [failed] = play.login.receive(header, b"")
        assert isinstance(failed, LoginFailed)
        assert failed.status is None

    def test_other_requests_end_a_login(self, play: Any) -> None:
        play.begins().response()
        request = pdu.text_request(b"", itt=5, cmd_sn=7, exp_stat_sn=0)
        play.events = play.login.receive(request[:48], b"")
        play.fails(LoginStatus.INVALID_DURING_LOGIN, "opcode 0x04")

    def test_nothing_may_come_between_the_last_request_and_its_answer(self, play: Any) -> None:
        play.begins(nsg=3).wants_session()
        play.says(nsg=3).fails(LoginStatus.INVALID_DURING_LOGIN)
        with pytest.raises(LocalProtocolError, match="did not ask"):
            play.login.grant(Seat(1, 1, 1))

    def test_a_login_that_is_over_takes_nothing(self, play: Any) -> None:
        play.begins(nsg=3)
        play.granted()
        with pytest.raises(LocalProtocolError, match="login is over"):
            play.begins(nsg=3)

    def test_a_session_is_granted_only_when_asked_for(self, play: Any) -> None:
        with pytest.raises(LocalProtocolError, match="did not ask"):
            Login(play.policy).grant(Seat(1, 1, 1))


class TestLongText:
    def test_a_request_in_pieces(self, play: Any) -> None:
        text = encode_pairs([("InitiatorName", HOST), ("TargetName", DISK), ("MaxBurstLength", "512")])
        play.says(text[:10], more=True).hears()
        play.says(text[10:40], more=True).hears()
        play.says(text[40:]).hears(TAG, ("MaxBurstLength", "512"), LENGTH)

    def test_an_answer_in_pieces(self, play: Any) -> None:
        play.policy.targets[DISK] = Admission("disk", 1, "x" * 9000, ("None",))
        first = play.begins(nsg=3).response()
        assert first.fields.flags == LOGIN_CONTINUE | 0x04
        assert len(first.data) == 8192
        play.says(nsg=3)
        play.granted()
        last = play.response()
        assert last.fields.flags == 0x87
        assert parse_pairs(first.data + last.data) == [TAG, ("TargetAlias", "x" * 9000), LENGTH]

    def test_new_text_before_the_answer_was_fetched(self, play: Any) -> None:
        play.policy.targets[DISK] = Admission("disk", 1, "x" * 9000, ("None",))
        play.begins(nsg=3).response()
        play.says(("MaxBurstLength", "512"), nsg=3).fails(LoginStatus.INITIATOR_ERROR, "before the last answer")

    def test_continuation_without_data(self, play: Any) -> None:
        play.says(more=True).fails(LoginStatus.INITIATOR_ERROR, "C bit set on a PDU without data")

    def test_text_without_end(self, play: Any) -> None:
        for _ in range(8):
            play.says(b"A" * 8192, more=True).hears()
        play.says(b"A" * 8192, more=True).fails(LoginStatus.INITIATOR_ERROR, "more than 65536 bytes")

    def test_login_without_end(self, play: Any) -> None:
        play.begins().response()
        for _ in range(63):
            play.says().hears()
        play.says().fails(LoginStatus.INITIATOR_ERROR, "more than 64 login requests")


class TestHostileKeys:
    def test_unknown_keys(self, play: Any) -> None:
        play.begins(("X-com.example.fast", "Yes"), ("FastAbort", "1")).hears(
            TAG, ("X-com.example.fast", "NotUnderstood"), ("FastAbort", "NotUnderstood"), LENGTH
        )

    def test_the_answer_is_not_longer_than_the_flood(self, play: Any) -> None:
        play.begins().response()
        flood = encode_pairs((f"a{number}", "") for number in range(1300))
        play.says(flood[:8192]).fails(LoginStatus.INITIATOR_ERROR, "more than 256 keys")

    def test_unknown_keys_are_rationed_over_the_whole_login(self, play: Any) -> None:
        play.begins().response()
        play.says(*((f"a{number}", "") for number in range(32))).response()
        play.says(("b", "")).fails(LoginStatus.INITIATOR_ERROR, "not understood")

    @pytest.mark.parametrize(
        "text",
        [
            b"a=b\0" * 2048,
            b"=\0",
            b"MaxBurstLength\0",
            b"A" * 8000,
            b"MaxBurstLength=512\0MaxBurstLength=512\0",
            b"MaxBurstLength=Reject\0",
            b"TargetPortalGroupTag=1\0",
            b"InitiatorAlias=\xff\xff\0",
            b"MaxRecvDataSegmentLength=0\0",
        ],
    )
    def test_refused(self, play: Any, text: bytes) -> None:
        play.begins().response()
        play.says(text[:8192]).fails(LoginStatus.INITIATOR_ERROR)

    def test_a_key_agreed_on_is_not_opened_again(self, play: Any) -> None:
        play.begins(("MaxBurstLength", "512")).response()
        play.says(("MaxBurstLength", "1024")).fails(LoginStatus.INITIATOR_ERROR, "came twice")

    def test_lists_without_end_are_rejected_value_by_value(self, play: Any) -> None:
        play.begins(("DataDigest", ",".join(["x"] * 4000))).hears(TAG, ("DataDigest", "Reject"), LENGTH)


class TestRequiredDigests:
    @pytest.fixture(autouse=True)
    def demand(self, policy: Any) -> None:
        policy.targets[DISK] = Admission("disk", auth_methods=("None",), offer=Offer(data_digest=("CRC32C",)))

    def test_offered_by_the_initiator(self, play: Any) -> None:
        play.begins(("DataDigest", "None,CRC32C"), nsg=3)
        assert play.granted().parameters.has_data_digest

    def test_offered_by_us(self, play: Any) -> None:
        play.begins(nsg=3).hears(TAG, ("DataDigest", "CRC32C"), LENGTH)
        play.says(("DataDigest", "CRC32C"), nsg=3)
        assert play.granted().parameters.has_data_digest

    @pytest.mark.parametrize("answer", [[], [("DataDigest", "None")], [("DataDigest", "Reject")]])
    def test_not_agreed_to(self, play: Any, answer: list[tuple[str, str]]) -> None:
        play.begins(nsg=3).response()
        play.says(*answer, nsg=3).fails(LoginStatus.INITIATOR_ERROR, "DataDigest")

    def test_offered_without_it(self, play: Any) -> None:
        play.begins(("DataDigest", "None"), nsg=3).fails(LoginStatus.INITIATOR_ERROR, "DataDigest CRC32C is required")

    def test_operational_stage_left_out(self, play: Any) -> None:
        play.begins(csg=0, nsg=3).fails(LoginStatus.INITIATOR_ERROR, "digest is required")
