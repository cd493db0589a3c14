"""Attempts to get past CHAP, beside a session that has got past it rightly."""

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from tgtcore_iscsi.options import IscsiTargetOptions
from tgtcore_iscsi.pdu.codes import LoginStatus
from tgtcore_iscsi.values import format_base64, format_hex

from tgtcore import signals

if TYPE_CHECKING:
    from conftest import Client, Rig

pytestmark = pytest.mark.asyncio

NAMES = {"InitiatorName": "iqn.2026-11.org.example:tester", "TargetName": "iqn.2026-11.org.example:disk"}
CHALLENGE = bytes(range(16))
OUR_SECRET = b"the target's secret"


@pytest.fixture
def mutual() -> str | None:
    return "us"


@pytest.fixture
def target_options(mutual: str | None) -> IscsiTargetOptions:
    return IscsiTargetOptions(auth=("user",), mutual=mutual)


@pytest_asyncio.fixture
async def challenged(login: Any) -> dict[str, str]:
    """The challenge, after the usual beginning."""
    await login.says({**NAMES, "AuthMethod": "CHAP,None"}, csg=0)
    asked: dict[str, str] = await login.says({"CHAP_A": "8,7,6,5"}, csg=0)
    assert set(asked) == {"CHAP_A", "CHAP_I", "CHAP_C"}
    return asked


async def refused(rig: "Rig", login: Any, status: LoginStatus = LoginStatus.AUTHENTICATION_FAILURE) -> None:
    """Nobody has got in."""
    assert login.status is status
    assert await login.client.ended() == b""
    assert len(rig.transport.sessions()) == 1


async def test_reflection_of_the_challenge(rig: "Rig", login: Any, challenged: dict[str, str], prove: Any) -> None:
    answer = {"CHAP_N": "user", "CHAP_R": format_hex(prove(challenged))}
    await login.says({**answer, "CHAP_I": challenged["CHAP_I"], "CHAP_C": challenged["CHAP_C"]}, csg=0, nsg=1)
    await refused(rig, login)


async def test_reflection_over_a_second_connection(
    rig: "Rig", client: "Client", login: Any, challenged: dict[str, str]
) -> None:
    """Let the target answer its own challenge: it proves another secret, and only to who has proved his."""
    other = type(login)(await type(client).connect(rig))
    await other.says({**NAMES, "AuthMethod": "CHAP"}, csg=0)
    await other.says({"CHAP_A": challenged["CHAP_A"]}, csg=0)
    stolen = {"CHAP_I": challenged["CHAP_I"], "CHAP_C": challenged["CHAP_C"]}
    answer = await other.says({"CHAP_N": "user", "CHAP_R": "0x00", **stolen}, csg=0, nsg=1)
    assert "CHAP_R" not in answer
    await refused(rig, other)
    other.client.close()


async def test_an_honest_mutual_login(rig: "Rig", login: Any, challenged: dict[str, str], prove: Any) -> None:
    keys = {
        "CHAP_N": "user",
        "CHAP_R": format_base64(prove(challenged)),
        "CHAP_I": "0",
        "CHAP_C": format_hex(CHALLENGE),
    }
    answer = await login.says(keys, csg=0, nsg=1)
    assert answer == {"CHAP_N": "us", "CHAP_R": "0x" + hashlib.sha3_256(b"\0" + OUR_SECRET + CHALLENGE).hexdigest()}
    await login.says(b"", csg=1, nsg=3)
    assert len(rig.transport.sessions()) == 2


@pytest.mark.parametrize("identifier", ["256", "-1", "0x100", "0x", "", "18446744073709551616", "one"])
async def test_identifier_256(rig: "Rig", login: Any, challenged: dict[str, str], prove: Any, identifier: str) -> None:
    answer = {"CHAP_N": "user", "CHAP_R": format_hex(prove(challenged))}
    await login.says({**answer, "CHAP_I": identifier, "CHAP_C": format_hex(CHALLENGE)}, csg=0, nsg=1)
    await refused(rig, login, LoginStatus.INITIATOR_ERROR)


@pytest.mark.parametrize("offered", ["1", "0", "9,255,65536", "18446744073709551615"])
async def test_algorithm_list_unknown(rig: "Rig", login: Any, offered: str) -> None:
    await login.says({**NAMES, "AuthMethod": "CHAP"}, csg=0)
    await login.says({"CHAP_A": offered}, csg=0)
    await refused(rig, login)


@pytest.mark.parametrize("offered", ["", "MD5", "5,", "-5", ",5", "5 7", "0x", ",".join(["5"] * 100)])
async def test_algorithm_list_malformed(rig: "Rig", login: Any, offered: str) -> None:
    await login.says({**NAMES, "AuthMethod": "CHAP"}, csg=0)
    await login.says({"CHAP_A": offered}, csg=0)
    await refused(rig, login, LoginStatus.INITIATOR_ERROR)


@pytest.mark.parametrize("nsg", [1, 3])
async def test_a_5_without_password(rig: "Rig", login: Any, nsg: int) -> None:
    await login.says({**NAMES, "AuthMethod": "CHAP"}, csg=0)
    await login.says({"CHAP_A": "5"}, csg=0, nsg=nsg)
    assert login.status is LoginStatus.SUCCESS
    assert not login.response.fields.flags & 0x80
    await login.says(b"", csg=0, nsg=nsg)
    await refused(rig, login)


@pytest.mark.parametrize("name", ["user", "nobody", ""])
async def test_empty_secret(rig: "Rig", login: Any, challenged: dict[str, str], prove: Any, name: str) -> None:
    await login.says({"CHAP_N": name, "CHAP_R": format_hex(prove(challenged, b""))}, csg=0, nsg=1)
    await refused(rig, login)


async def test_secret_of_another_account(rig: "Rig", login: Any, challenged: dict[str, str], prove: Any) -> None:
    await login.says({"CHAP_N": "us", "CHAP_R": format_hex(prove(challenged, OUR_SECRET))}, csg=0, nsg=1)
    await refused(rig, login)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda proof: format_hex(proof[:-1]), id="short"),
        pytest.param(lambda proof: format_hex(proof + b"\0"), id="long"),
        pytest.param(lambda proof: format_hex(proof)[:-1], id="half a byte short"),
        pytest.param(lambda proof: "0x", id="no digits"),
        pytest.param(lambda proof: "0b", id="no base64"),
        pytest.param(lambda proof: "", id="nothing"),
        pytest.param(lambda proof: proof.hex(), id="hex without 0x"),
        pytest.param(lambda proof: "0b" + proof.hex(), id="hex called base64"),
        pytest.param(lambda proof: "0x" + format_base64(proof)[2:], id="base64 called hex"),
        pytest.param(lambda proof: format_hex(proof) + "=", id="hex with padding"),
        pytest.param(lambda proof: "0x" + "ab" * 4000, id="4000 bytes"),
        pytest.param(lambda proof: format_hex(bytes(len(proof))), id="zeroes"),
    ],
)
async def test_chap_r(rig: "Rig", login: Any, challenged: dict[str, str], prove: Any, spoil: Any) -> None:
    await login.says({"CHAP_N": "user", "CHAP_R": spoil(prove(challenged))}, csg=0, nsg=1)
    await refused(rig, login, login.status)
    assert login.status in (LoginStatus.AUTHENTICATION_FAILURE, LoginStatus.INITIATOR_ERROR)


@pytest.mark.parametrize(
    "keys",
    [
        {"CHAP_N": "user", "CHAP_R": "0x00"},
        {"CHAP_N": "user"},
        {"CHAP_R": "0x00"},
        {"CHAP_A": "7", "CHAP_N": "user", "CHAP_R": "0x00"},
        {"CHAP_I": "1", "CHAP_C": "0x00"},
    ],
    ids=lambda keys: " ".join(keys),
)
@pytest.mark.parametrize("method_first", [True, False])
async def test_out_of_order(rig: "Rig", login: Any, keys: dict[str, str], method_first: bool) -> None:
    await login.says({**NAMES, **({"AuthMethod": "CHAP"} if method_first else {})}, csg=0)
    await login.says(keys, csg=0, nsg=1)
    await refused(rig, login, LoginStatus.INITIATOR_ERROR)


async def test_a_second_guess_at_the_same_challenge(
    rig: "Rig", login: Any, challenged: dict[str, str], prove: Any
) -> None:
    await login.says({"CHAP_N": "user", "CHAP_R": format_hex(prove(challenged, b"a guess"))}, csg=0)
    await refused(rig, login)


async def test_a_new_challenge_is_not_to_be_had(rig: "Rig", login: Any, challenged: dict[str, str]) -> None:
    await login.says({"CHAP_A": "7"}, csg=0)
    await refused(rig, login, LoginStatus.INITIATOR_ERROR)
    assert challenged


@pytest.mark.parametrize("methods", ["None", "KRB5", "CHAPS", "chap", "None,SRP"])
async def test_no_method_in_common(rig: "Rig", login: Any, methods: str) -> None:
    await login.says({**NAMES, "AuthMethod": methods}, csg=0, nsg=1)
    await refused(rig, login)


@pytest.mark.parametrize("methods", ["", ",", "CHAP,", ",".join(["x"] * 65)])
async def test_methods_malformed(rig: "Rig", login: Any, methods: str) -> None:
    await login.says({**NAMES, "AuthMethod": methods}, csg=0, nsg=1)
    await refused(rig, login, LoginStatus.INITIATOR_ERROR)


@pytest.mark.parametrize(("csg", "nsg"), [(1, 3), (1, None), (0, 3), (0, 1)])
async def test_the_security_stage_left_out(rig: "Rig", login: Any, csg: int, nsg: int | None) -> None:
    await login.says(NAMES, csg=csg, nsg=nsg)
    await refused(rig, login)


class TestWithoutMutual:
    @pytest.fixture
    def mutual(self) -> None:
        return None

    async def test_mutual_without_credentials(
        self, rig: "Rig", login: Any, challenged: dict[str, str], prove: Any
    ) -> None:
        answer = {"CHAP_N": "user", "CHAP_R": format_hex(prove(challenged))}
        await login.says({**answer, "CHAP_I": "1", "CHAP_C": format_hex(CHALLENGE)}, csg=0, nsg=1)
        await refused(rig, login)


class TestSameSecret:
    @pytest.fixture
    def target_options(self) -> IscsiTargetOptions:
        return IscsiTargetOptions(auth=("user",))

    async def test_mutual_with_the_same_secret(
        self, rig: "Rig", login: Any, prove: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        rig.host.target.options = IscsiTargetOptions(auth=("user",), mutual="same")
        signals.emit(signals.target_changed, rig.host.target)
        await login.says({**NAMES, "AuthMethod": "CHAP"}, csg=0)
        asked = await login.says({"CHAP_A": "7"}, csg=0)
        answer = {"CHAP_N": "user", "CHAP_R": format_hex(prove(asked))}
        await login.says({**answer, "CHAP_I": "1", "CHAP_C": format_hex(CHALLENGE)}, csg=0, nsg=1)
        await refused(rig, login, LoginStatus.TARGET_ERROR)
        assert "secret equals" in caplog.text
        assert "the initiator's secret" not in caplog.text


async def test_no_secret_in_the_log(
    rig: "Rig", login: Any, challenged: dict[str, str], prove: Any, caplog: pytest.LogCaptureFixture
) -> None:
    proof = format_hex(prove(challenged, b"a guess"))
    await login.says({"CHAP_N": "user", "CHAP_R": proof}, csg=0, nsg=1)
    await refused(rig, login)
    assert not any(secret in caplog.text for secret in ("'s secret", challenged["CHAP_C"], proof))
