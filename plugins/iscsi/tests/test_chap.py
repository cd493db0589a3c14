"""CHAP from the target's side: proofs, refusals, and nothing secret in any message."""

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tgtcore_iscsi.chap import ALGORITHMS, ChapAccount, ChapTarget, chap_response, digest_bytes
from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.pdu.codes import LoginStatus
from tgtcore_iscsi.values import format_base64, format_hex, parse_binary

SECRET, MUTUAL_SECRET = b"correct horse", b"battery staple"
ACCOUNTS = {
    "user": ChapAccount(SECRET),
    "both": ChapAccount(SECRET, "the target", MUTUAL_SECRET),
}
CHALLENGE = bytes(range(16))


def challenged(algorithm: int = 7) -> tuple[ChapTarget, dict[str, str]]:
    """Return a target that has sent its challenge, and the challenge."""
    target = ChapTarget(ACCOUNTS.get)
    return target, dict(target.receive({"CHAP_A": str(algorithm)}))


def proof(sent: dict[str, str], secret: bytes = SECRET, encode: Callable[[bytes], str] = format_hex) -> str:
    challenge = parse_binary(sent["CHAP_C"])
    return encode(chap_response(int(sent["CHAP_A"]), int(sent["CHAP_I"]), secret, challenge))


def refused(target: ChapTarget, keys: dict[str, str], says: str, status: LoginStatus) -> None:
    with pytest.raises(RemoteProtocolError, match=says) as caught:
        target.receive(keys)
    assert caught.value.status is status
    assert target.name is None
    text = str(caught.value)
    assert not any(secret in text for secret in (SECRET.decode(), MUTUAL_SECRET.decode()))
    assert not any(value in text for name, value in keys.items() if name in ("CHAP_R", "CHAP_C") and len(value) > 8)


@pytest.mark.parametrize("encode", [format_hex, format_base64, lambda value: "0X" + value.hex().upper()])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_one_way(algorithm: int, encode: Callable[[bytes], str]) -> None:
    target, sent = challenged(algorithm)
    assert list(sent) == ["CHAP_A", "CHAP_I", "CHAP_C"]
    assert sent["CHAP_A"] == str(algorithm)
    assert len(parse_binary(sent["CHAP_C"])) == digest_bytes(algorithm)
    assert target.receive({"CHAP_N": "user", "CHAP_R": proof(sent, encode=encode)}) == []
    assert target.name == "user"


@pytest.mark.parametrize(("algorithm", "name"), [(5, "md5"), (6, "sha1"), (7, "sha256"), (8, "sha3_256")])
def test_response_is_digest_of_identifier_secret_and_challenge(algorithm: int, name: str) -> None:
    expected = hashlib.new(name, b"\x2a" + SECRET + CHALLENGE).digest()
    assert chap_response(algorithm, 0x2A, SECRET, CHALLENGE) == expected


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("encode", [format_hex, format_base64])
def test_mutual(algorithm: int, encode: Callable[[bytes], str]) -> None:
    target, sent = challenged(algorithm)
    keys = {"CHAP_N": "both", "CHAP_R": proof(sent), "CHAP_I": "0x7f", "CHAP_C": encode(CHALLENGE)}
    answer = dict(target.receive(keys))
    assert answer == {
        "CHAP_N": "the target",
        "CHAP_R": format_hex(chap_response(algorithm, 0x7F, MUTUAL_SECRET, CHALLENGE)),
    }
    assert target.name == "both"


@pytest.mark.parametrize(
    ("offered", "allowed", "chosen"),
    [("5", (8, 7, 6, 5), "5"), ("5,6,7,8", (8, 7, 6, 5), "8"), ("8,5", (5, 8), "5"), ("5,0x7", (7,), "7")],
)
def test_the_target_prefers(offered: str, allowed: tuple[int, ...], chosen: str) -> None:
    target = ChapTarget(ACCOUNTS.get, algorithms=allowed)
    assert dict(target.receive({"CHAP_A": offered}))["CHAP_A"] == chosen


@pytest.mark.parametrize("offered", ["1", "9,255,65536", "18446744073709551615"])
def test_unknown_algorithms(offered: str) -> None:
    refused(ChapTarget(ACCOUNTS.get), {"CHAP_A": offered}, "in common", LoginStatus.AUTHENTICATION_FAILURE)


@pytest.mark.parametrize("offered", ["", "MD5", "5,", "-5", ",".join(["5"] * 100)])
def test_malformed_algorithms(offered: str) -> None:
    refused(ChapTarget(ACCOUNTS.get), {"CHAP_A": offered}, "CHAP_A: ", LoginStatus.INITIATOR_ERROR)


def test_algorithm_that_is_not_allowed() -> None:
    target = ChapTarget(ACCOUNTS.get, algorithms=(7, 8))
    refused(target, {"CHAP_A": "5"}, "in common", LoginStatus.AUTHENTICATION_FAILURE)


@pytest.mark.parametrize(
    "keys",
    [
        {"CHAP_N": "user", "CHAP_R": "0x00"},
        {"CHAP_A": "5", "CHAP_N": "user"},
        {"CHAP_I": "1", "CHAP_C": format_hex(CHALLENGE)},
        {"CHAP_R": "0x00"},
        {},
    ],
)
def test_out_of_order_at_the_start(keys: dict[str, str]) -> None:
    refused(ChapTarget(ACCOUNTS.get), keys, "out of order", LoginStatus.INITIATOR_ERROR)


@pytest.mark.parametrize(
    "keys",
    [
        {"CHAP_A": "5"},
        {"CHAP_N": "user"},
        {"CHAP_R": "0x00"},
        {"CHAP_N": "user", "CHAP_R": "0x00", "CHAP_I": "1"},
        {"CHAP_N": "user", "CHAP_R": "0x00", "CHAP_C": format_hex(CHALLENGE)},
        {"CHAP_N": "user", "CHAP_R": "0x00", "CHAP_A": "5"},
    ],
)
def test_out_of_order_after_the_challenge(keys: dict[str, str]) -> None:
    target, _ = challenged()
    refused(target, keys, "out of order", LoginStatus.INITIATOR_ERROR)


def test_one_attempt_per_challenge() -> None:
    target, sent = challenged()
    with pytest.raises(RemoteProtocolError, match="wrong"):
        target.receive({"CHAP_N": "user", "CHAP_R": proof(sent, b"guess")})
    refused(target, {"CHAP_N": "user", "CHAP_R": proof(sent)}, "out of order", LoginStatus.INITIATOR_ERROR)


@pytest.mark.parametrize(
    "response",
    [
        "0x",
        "0b",
        "0x0",
        "0x" + "a" * 63,
        "0x" + "zz" * 32,
        "0b" + "A" * 127,
        "0b====",
        "",
        "correct horse",
        "0x00,0x00",
    ],
)
def test_malformed_responses(response: str) -> None:
    target, _ = challenged()
    keys = {"CHAP_N": "user", "CHAP_R": response}
    refused(target, keys, "CHAP_R: ", LoginStatus.AUTHENTICATION_FAILURE)


@pytest.mark.parametrize("change", [lambda r: r[:-1], lambda r: r + b"\0", lambda r: r * 2, lambda r: b"\0" * len(r)])
@pytest.mark.parametrize("encode", [format_hex, format_base64])
def test_wrong_and_misfit_responses(change: Callable[[bytes], bytes], encode: Callable[[bytes], str]) -> None:
    target, sent = challenged()
    response = encode(change(parse_binary(proof(sent))))
    refused(target, {"CHAP_N": "user", "CHAP_R": response}, "wrong", LoginStatus.AUTHENTICATION_FAILURE)


@pytest.mark.parametrize("name", ["nobody", "", "USER", "user ", "%n%n%s"])
def test_unknown_names_get_the_answer_of_wrong_secrets(name: str) -> None:
    target, sent = challenged()
    keys = {"CHAP_N": name, "CHAP_R": proof(sent)}
    refused(target, keys, "CHAP name or secret is wrong", LoginStatus.AUTHENTICATION_FAILURE)


def test_empty_secret_of_a_peer_opens_nothing() -> None:
    target, sent = challenged()
    refused(target, {"CHAP_N": "nobody", "CHAP_R": proof(sent, b"")}, "wrong", LoginStatus.AUTHENTICATION_FAILURE)


def test_reflected_challenge() -> None:
    target, sent = challenged()
    keys = {"CHAP_N": "both", "CHAP_R": proof(sent), "CHAP_I": sent["CHAP_I"], "CHAP_C": sent["CHAP_C"]}
    refused(target, keys, "reflected", LoginStatus.AUTHENTICATION_FAILURE)


def test_mutual_without_a_secret_for_it() -> None:
    target, sent = challenged()
    keys = {"CHAP_N": "user", "CHAP_R": proof(sent), "CHAP_I": "1", "CHAP_C": format_hex(CHALLENGE)}
    refused(target, keys, "no secret for it", LoginStatus.AUTHENTICATION_FAILURE)


def test_nothing_is_proved_to_a_stranger() -> None:
    target, sent = challenged()
    keys = {"CHAP_N": "both", "CHAP_R": proof(sent, b"guess"), "CHAP_I": "1", "CHAP_C": format_hex(CHALLENGE)}
    refused(target, keys, "wrong", LoginStatus.AUTHENTICATION_FAILURE)


@pytest.mark.parametrize(
    ("identifier", "challenge", "says"),
    [
        ("256", format_hex(CHALLENGE), "CHAP_I is 256"),
        ("-1", format_hex(CHALLENGE), "CHAP_I: not"),
        ("", format_hex(CHALLENGE), "CHAP_I: not"),
        ("1", format_hex(CHALLENGE[:15]), "CHAP_C has 15 bytes, expected 16 to 1024"),
        ("1", format_hex(bytes(1025)), "CHAP_C has 1025 bytes"),
        ("1", "0xabc", "CHAP_C: "),
    ],
)
def test_malformed_challenges(identifier: str, challenge: str, says: str) -> None:
    target, sent = challenged()
    keys = {"CHAP_N": "both", "CHAP_R": proof(sent), "CHAP_I": identifier, "CHAP_C": challenge}
    with pytest.raises(RemoteProtocolError, match=says):
        target.receive(keys)
    assert target.name is None


def test_longest_challenge() -> None:
    target, sent = challenged()
    keys = {"CHAP_N": "both", "CHAP_R": proof(sent), "CHAP_I": "255", "CHAP_C": format_base64(bytes(1024))}
    assert len(target.receive(keys)) == 2


def test_challenges_differ() -> None:
    challenges = {challenged()[1]["CHAP_C"] for _ in range(50)}
    assert len(challenges) == 50


@pytest.mark.parametrize(
    ("account", "says"),
    [
        ((b"",), "secret is empty"),
        ((SECRET, "name"), "both a name and a secret"),
        ((SECRET, "", MUTUAL_SECRET), "both a name and a secret"),
        ((SECRET, "name", SECRET), "equals the secret of the other direction"),
    ],
)
def test_impossible_accounts(account: tuple[bytes, str, bytes], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ChapAccount(*account)


def test_accounts_do_not_show_their_secrets() -> None:
    shown = repr(ACCOUNTS["both"])
    assert "the target" in shown
    assert SECRET.decode() not in shown
    assert MUTUAL_SECRET.decode() not in shown


@pytest.mark.fuzz
@given(
    keys=st.dictionaries(st.sampled_from(["CHAP_A", "CHAP_I", "CHAP_C", "CHAP_N", "CHAP_R"]), st.text(max_size=80)),
    late=st.booleans(),
)
def test_random_keys_raise_only_protocol_errors_and_admit_nobody(keys: dict[str, str], late: bool) -> None:
    target = challenged()[0] if late else ChapTarget(ACCOUNTS.get)
    try:
        target.receive(keys)
    except RemoteProtocolError:
        pass
    assert target.name is None
