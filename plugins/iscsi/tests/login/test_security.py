"""The security stage: methods, CHAP inside a login, and ways around it that are closed."""

from typing import Any

import pytest
from tgtcore_iscsi.chap import ChapAccount, chap_response
from tgtcore_iscsi.login.policy import Admission
from tgtcore_iscsi.pdu.codes import LoginStatus
from tgtcore_iscsi.values import format_base64, format_hex, parse_binary

DISK = "iqn.2004-01.com.example:disk"
TAG = ("TargetPortalGroupTag", "1")
CHALLENGE = bytes(range(16))
SECRET, MUTUAL_SECRET = b"correct horse", b"battery staple"


@pytest.fixture(autouse=True)
def demand_chap(policy: Any) -> None:
    policy.targets[DISK] = Admission("disk")
    policy.accounts = {"user": ChapAccount(SECRET), "both": ChapAccount(SECRET, "the target", MUTUAL_SECRET)}


def challenged(play: Any, algorithms: str = "5,7") -> dict[str, str]:
    play.begins(("AuthMethod", "CHAP,None"), csg=0, nsg=1).hears(TAG, ("AuthMethod", "CHAP"), csg=0)
    keys: dict[str, str] = play.says(("CHAP_A", algorithms), csg=0, nsg=1).hears_keys()
    return keys


def proof(sent: dict[str, str], secret: bytes = SECRET) -> bytes:
    return chap_response(int(sent["CHAP_A"]), int(sent["CHAP_I"]), secret, parse_binary(sent["CHAP_C"]))


def test_one_way(play: Any) -> None:
    sent = challenged(play)
    assert sent["CHAP_A"] == "7"
    play.says(("CHAP_N", "user"), ("CHAP_R", format_hex(proof(sent))), csg=0, nsg=1).hears(csg=0, nsg=1)
    play.says(nsg=3)
    assert play.granted().chap_name == "user"
    assert play.policy.asked == ["find_target", "credentials user", "authorize user"]


def test_mutual(play: Any) -> None:
    sent = challenged(play)
    play.says(
        ("CHAP_N", "both"),
        ("CHAP_R", format_base64(proof(sent))),
        ("CHAP_I", "9"),
        ("CHAP_C", format_hex(CHALLENGE)),
        csg=0,
        nsg=3,
    )
    done = play.granted()
    response = format_hex(chap_response(7, 9, MUTUAL_SECRET, CHALLENGE))
    keys = play.hears_keys()
    assert (keys["CHAP_N"], keys["CHAP_R"]) == ("the target", response)
    assert done.chap_name == "both"


def test_without_haste(play: Any) -> None:
    """The T bit comes only when all is proved."""
    play.begins(("AuthMethod", "CHAP"), csg=0).hears(TAG, ("AuthMethod", "CHAP"), csg=0)
    sent = play.says(("CHAP_A", "5"), csg=0).hears_keys()
    play.says(("CHAP_N", "user"), ("CHAP_R", format_hex(proof(sent))), csg=0).hears(csg=0)
    play.says(csg=0, nsg=1).hears(csg=0, nsg=1)


def test_in_discovery(play: Any) -> None:
    play.policy.targets[""] = Admission()
    play.begins(("SessionType", "Discovery"), ("AuthMethod", "CHAP"), csg=0).hears(("AuthMethod", "CHAP"), csg=0)
    sent = play.says(("CHAP_A", "5"), csg=0).hears_keys()
    play.says(("CHAP_N", "user"), ("CHAP_R", format_hex(proof(sent))), csg=0, nsg=3)
    assert play.granted().candidate.discovery


def test_chap_by_choice(play: Any) -> None:
    play.policy.targets[DISK] = Admission("disk", auth_methods=("None", "CHAP"))
    challenged(play)
    play.says(csg=0, nsg=3).fails(LoginStatus.AUTHENTICATION_FAILURE, "went on without it")


@pytest.mark.parametrize(
    ("text", "flags", "says"),
    [
        ([], {"csg": 1, "nsg": 3}, "left out the security stage"),
        ([], {"csg": 1}, "left out the security stage"),
        ([], {"csg": 0, "nsg": 1}, "went on without it"),
        ([], {"csg": 0, "nsg": 3}, "went on without it"),
        ([("AuthMethod", "None")], {"csg": 0, "nsg": 1}, "no authentication method in common, CHAP is required"),
        ([("AuthMethod", "KRB5,SRP,SPKM1")], {"csg": 0, "nsg": 1}, "no authentication method in common"),
    ],
)
def test_no_way_around(play: Any, text: list[tuple[str, str]], flags: dict[str, int], says: str) -> None:
    play.begins(*text, **flags).fails(LoginStatus.AUTHENTICATION_FAILURE, says)
    assert play.policy.asked == ["find_target"]


def test_no_way_on_after_the_method_was_agreed(play: Any) -> None:
    challenged(play)
    play.says(csg=0, nsg=1).fails(LoginStatus.AUTHENTICATION_FAILURE, "went on without it")


def test_no_way_on_after_the_challenge(play: Any) -> None:
    challenged(play)
    play.says(csg=1, nsg=3).fails(LoginStatus.INITIATOR_ERROR, "CSG is 1")


def test_chap_refused_where_only_none_is_allowed(play: Any) -> None:
    play.policy.targets[DISK] = Admission("disk", auth_methods=("None",))
    play.begins(("AuthMethod", "CHAP"), csg=0, nsg=1).fails(LoginStatus.AUTHENTICATION_FAILURE, "None is required")


def test_wrong_secret(play: Any) -> None:
    sent = challenged(play)
    play.says(("CHAP_N", "user"), ("CHAP_R", format_hex(proof(sent, b"guess"))), csg=0, nsg=1)
    play.fails(LoginStatus.AUTHENTICATION_FAILURE, "CHAP name or secret is wrong")


@pytest.mark.parametrize(
    "text",
    [
        [("CHAP_A", "5")],
        [("CHAP_N", "user"), ("CHAP_R", "0x00")],
        [("AuthMethod", "")],
        [("AuthMethod", "CHAP,,None")],
        [("AuthMethod", "CHAP"), ("CHAP_N", "user"), ("CHAP_R", "0x00")],
    ],
)
def test_out_of_order(play: Any, text: list[tuple[str, str]]) -> None:
    play.begins(*text, csg=0, nsg=1).fails(LoginStatus.INITIATOR_ERROR)


def test_security_keys_have_no_place_in_the_operational_stage(play: Any) -> None:
    play.policy.targets[DISK] = Admission("disk", auth_methods=("None",))
    play.begins(("AuthMethod", "None"), csg=1).fails(LoginStatus.INITIATOR_ERROR, "no place in the operational stage")


def test_proof_does_not_replace_permission(play: Any) -> None:
    play.policy.allowed = False
    sent = challenged(play)
    play.says(("CHAP_N", "user"), ("CHAP_R", format_hex(proof(sent))), csg=0, nsg=1)
    play.fails(LoginStatus.AUTHORIZATION_FAILURE)


def test_every_login_gets_its_own_challenge(new_play: Any) -> None:
    assert challenged(new_play())["CHAP_C"] != challenged(new_play())["CHAP_C"]
