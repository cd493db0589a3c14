"""Login keys that are malformed, too many, too long or out of range."""

from typing import TYPE_CHECKING, Any

import pytest
from tgtcore_iscsi.keys import KEYS, NUMBER
from tgtcore_iscsi.limits import LIST_VALUES_MAX, LOGIN_DATA_SEGMENT_BYTES_MAX
from tgtcore_iscsi.pdu.codes import LoginStatus
from tgtcore_iscsi.values import ANSWERS

if TYPE_CHECKING:
    from conftest import Client

pytestmark = pytest.mark.asyncio

NUMBERS = sorted(key.name for key in KEYS.values() if key.kind is NUMBER and key.result is not None)


async def refused(login: Any, status: LoginStatus = LoginStatus.INITIATOR_ERROR) -> None:
    """The login has failed and the connection ends."""
    assert login.status is status
    assert await login.client.ended() == b""


async def goes_on(login: Any) -> None:
    """The login has not suffered."""
    assert login.status is LoginStatus.SUCCESS
    await login.says(b"", nsg=3)
    assert login.status is LoginStatus.SUCCESS
    await login.client.ready()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"=value\0", id="empty key"),
        pytest.param(b"=\0", id="empty key and value"),
        pytest.param(b"MaxBurstLength\0", id="no ="),
        pytest.param(b"Max Burst=1\0", id="blank in a key"),
        pytest.param(b"K" * 64 + b"=1\0", id="key of 64 bytes"),
        pytest.param(b"a=b\0" * 2048, id="2048 x a=b"),
        pytest.param(b"".join(b"a%d=b\0" % number for number in range(33)), id="33 unknown keys"),
        pytest.param(b"MaxBurstLength=512\0MaxBurstLength=512\0", id="duplicate"),
        pytest.param(b"X-a=1\0X-a=2\0", id="unknown duplicate"),
        pytest.param(b"InitiatorAlias=\xff\xfe\0", id="not UTF-8"),
        pytest.param(b"InitiatorAlias=\xed\xa0\x80\0", id="surrogate in UTF-8"),
        pytest.param(b"InitiatorAlias=" + b"x" * 256 + b"\0", id="value of 256 bytes"),
        pytest.param(b"TargetAlias=mine\0", id="key of the target"),
        pytest.param(b"CHAP_A=5\0", id="security key in the operational stage"),
        pytest.param(b"SendTargets=All\0", id="key of the full feature phase"),
    ],
)
async def test_text(login: Any, text: bytes) -> None:
    await login.begins(text[: LOGIN_DATA_SEGMENT_BYTES_MAX - 200])
    await refused(login)


async def test_no_nul_at_the_end(login: Any) -> None:
    assert "MaxBurstLength" in await login.begins(b"MaxBurstLength=512")
    await goes_on(login)


async def test_no_nul_between_keys(login: Any) -> None:
    answer = await login.begins(b"MaxBurstLength=512MaxConnections=1\0")
    assert answer["MaxBurstLength"] == "Reject"
    await goes_on(login)


async def test_nul_flood(login: Any) -> None:
    await login.begins(bytes(8000))
    await goes_on(login)


async def test_a_line_of_256_kib(login: Any) -> None:
    piece = b"x" * 8000
    await login.begins(b"InitiatorAlias=", more=True)
    for _ in range(32):
        await login.says(piece, more=True)
        if login.status is not LoginStatus.SUCCESS:
            break
    await refused(login)


async def test_a_data_segment_over_the_default(client: "Client", login: Any) -> None:
    client.send(b"\x43\x87\0\0" + (LOGIN_DATA_SEGMENT_BYTES_MAX + 1).to_bytes(4, "big") + bytes(40))
    assert await client.ended() == b""


async def test_unknown_key(login: Any) -> None:
    assert (await login.begins(b"X-com.example.colour=red\0"))["X-com.example.colour"] == "NotUnderstood"
    await goes_on(login)


@pytest.mark.parametrize("answer", sorted(ANSWERS))
@pytest.mark.parametrize("key", ["MaxBurstLength", "HeaderDigest", "X-unknown", "InitialR2T"])
async def test_answers_to_nothing(login: Any, key: str, answer: str) -> None:
    await login.begins({key: answer})
    await refused(login)


async def test_list_of_10_000_values(login: Any) -> None:
    values = ",".join(["C"] * 4096)
    assert LIST_VALUES_MAX < 4096
    await login.begins(f"HeaderDigest={values}"[:7000].encode(), more=True)
    answer = await login.says(b",C" * 200 + b"\0")
    assert answer["HeaderDigest"] == "Reject"
    await goes_on(login)


async def test_list_longer_than_any(login: Any) -> None:
    values = ",".join(["CRC32C"] * 10_000).encode()
    await login.begins(b"HeaderDigest=", more=True)
    for at in range(0, len(values), 8000):
        await login.says(values[at : at + 8000], more=True)
        if login.status is not LoginStatus.SUCCESS:
            break
    await refused(login)


@pytest.mark.parametrize(
    "value",
    [
        str(2**64), str(2**64 - 1), "-1", "0x", "0b", "0x1G", "0bAAAA", "1e3", "1.5", " 512", "512 ", "+512", "0512",
        "\u0665\u0661\u0662", "9" * 255, "0x" + "f" * 253, "512,1024", "",
    ],
    ids=ascii,
)  # fmt: skip
async def test_numbers_that_are_none(login: Any, value: str) -> None:
    assert (await login.begins({"MaxBurstLength": value}))["MaxBurstLength"] == "Reject"
    await goes_on(login)


@pytest.mark.parametrize("value", ["-1", "0", "511", "16777216", str(2**64), "0x", ""])
async def test_declarations_that_are_none(login: Any, value: str) -> None:
    await login.begins({"MaxRecvDataSegmentLength": value})
    await refused(login)


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("end", [0, 1], ids=["least", "most"])
async def test_numbers_at_their_limits(login: Any, key: str, end: int) -> None:
    least, most = KEYS[key].span
    answer = await login.begins({key: str(KEYS[key].span[end])})
    assert least <= int(answer[key]) <= most
    await goes_on(login)


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("outside", ["below", "above"])
async def test_numbers_outside_their_limits(login: Any, key: str, outside: str) -> None:
    least, most = KEYS[key].span
    answer = await login.begins({key: str(least - 1 if outside == "below" else most + 1)})
    assert answer[key] == "Reject"
    await goes_on(login)


@pytest.mark.parametrize("value", ["yes", "YES", "True", "1", "", "Yes,No", "No "])
async def test_booleans_that_are_none(login: Any, value: str) -> None:
    assert (await login.begins({"ImmediateData": value}))["ImmediateData"] == "Reject"
    await goes_on(login)


class TestNames:
    async def offer(self, login: Any, name: str) -> None:
        await login.says({"InitiatorName": name, "TargetName": "iqn.2026-11.org.example:disk"}, nsg=3)

    @pytest.mark.parametrize(
        "name",
        [
            pytest.param("iqn.2026-11.org.example:" + "x" * 199, id="223 bytes"),
            pytest.param("iqn.2026-11.org.example:\u00e9\u4e16\u754c", id="UTF-8"),
            pytest.param("IQN.2026-11.ORG.EXAMPLE:TESTER2", id="capital letters"),
            pytest.param("iqn.2026-11.org.example:%n%n%s", id="percent n percent s"),
            pytest.param("iqn.2026-11.org.example:{0.__class__}", id="braces"),
            pytest.param("iqn.2026-11.org.example:../../etc/passwd", id="path"),
            pytest.param("eui.02004567a425678d", id="eui"),
        ],
    )
    async def test_accepted(self, login: Any, name: str) -> None:
        await self.offer(login, name)
        assert login.status is LoginStatus.SUCCESS
        await login.client.ready()

    @pytest.mark.parametrize(
        "name",
        [
            pytest.param("iqn.2026-11.org.example:" + "x" * 200, id="224 bytes"),
            pytest.param("iqn.2026-11.org.example:" + "\u00e9" * 100, id="224 bytes of UTF-8"),
            pytest.param("iqn.2026-11.org.example:a b", id="blank"),
            pytest.param(" iqn.2026-11.org.example:a", id="blank before"),
            pytest.param("iqn.2026-11.org.example:a\n", id="end of line"),
            pytest.param("iqn.2026-11.org.example:a\x1b[2J", id="escape sequence"),
            pytest.param("iqn.2026-11.org.example:a,t,0x0001", id="comma"),
            pytest.param("iqn.2026-11.org.example:\u202egpj", id="right to left"),
            pytest.param("iqn.", id="only a prefix"),
            pytest.param("nobody", id="no type"),
            pytest.param("", id="empty"),
            pytest.param("eui.02", id="eui too short"),
        ],
    )
    async def test_refused(self, login: Any, name: str) -> None:
        await self.offer(login, name)
        await refused(login)

    async def test_none(self, login: Any) -> None:
        await login.says(b"TargetName=iqn.2026-11.org.example:disk\0", nsg=3)
        await refused(login, LoginStatus.MISSING_PARAMETER)

    @pytest.mark.parametrize(
        "target", ["iqn.2026-11.org.example:disk2", "%n%n%s", "iqn.2026-11.org.example:di sk", "*"]
    )
    async def test_target_that_is_none(self, login: Any, target: str) -> None:
        await login.says({"InitiatorName": "iqn.2026-11.org.example:tester", "TargetName": target}, nsg=3)
        await refused(login, LoginStatus.NOT_FOUND)

    @pytest.mark.parametrize("kind", ["discovery", "Other", "", "Normal,Discovery"])
    async def test_session_type_that_is_none(self, login: Any, kind: str) -> None:
        await login.begins({"SessionType": kind}, nsg=3)
        await refused(login, LoginStatus.SESSION_TYPE_NOT_SUPPORTED)
