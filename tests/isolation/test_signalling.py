"""Signals of a driver reach the listeners in the daemon; only those that may, with what they may say."""

import json
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from isolation.test_process_driver import running
from isolation.wayward import NAME, install
from support.pipe import PipeTransport

from tgtcore import Host, Transport, signals
from tgtcore.errors import RingError
from tgtcore.isolation.signalling import PASSED_ON, RemoteSender, Teller, heard
from tgtcore.limits import RING_PAYLOAD_BYTES_MAX
from tgtcore.options import NoOptions
from tgtcore.target import Target
from tgtcore.testing.ring import DriverOnThisLoop
from tgtcore.testing.transport import TransportConformance
from tgtcore.testing.transport_rig import Rig
from tgtcore.testing.waiting import until_async

TARGET = Target("t", 7, "pipe", NoOptions())
REFUSED = {"initiator": "i", "address": "a", "reason": "r"}
Heard = list[tuple[str, Any, dict[str, Any]]]


@pytest.fixture
def told() -> Iterator[Heard]:
    """What listeners are told."""
    heard: Heard = []

    def listen(name: str, sender: Any, /, **news: Any) -> None:
        heard.append((name, sender, news))

    listeners = {name: partial(listen, name) for name in PASSED_ON}
    for name, listener in listeners.items():
        signals.every_signal()[name].connect(listener)
    yield heard
    for name, listener in listeners.items():
        signals.every_signal()[name].disconnect(listener)


def hear(**about: Any) -> None:
    heard(json.dumps(about).encode(), {7: TARGET}, "pipe")


def test_every_signal_that_is_passed_on_is_one() -> None:
    assert set(PASSED_ON) < set(signals.every_signal())


def test_what_is_heard_is_emitted(told: Heard) -> None:
    hear(signal="login_refused", news=REFUSED)
    hear(signal="login_refused", news=REFUSED, target=7)
    hear(signal="login_refused", news=REFUSED, target=8)
    hear(signal="limit_reached", news={"limit": "l", "value": 3}, sender="")
    hear(signal="portal_opened", sender="portal \n")
    assert told == [
        ("login_refused", None, REFUSED),
        ("login_refused", TARGET, REFUSED),
        ("login_refused", None, REFUSED),
        ("limit_reached", RemoteSender("pipe", ""), {"limit": "l", "value": 3}),
        ("portal_opened", RemoteSender("pipe", "portal \\n"), {}),
    ]
    assert [str(sender) for _, sender, _ in told[3:]] == ["transport pipe", "portal \\n"]


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"signal": "no_such"}, "a signal that no driver emits: no_such"),
        ({"signal": "lu_removed"}, "a signal that no driver emits: lu_removed"),
        ({"signal": "a\nb"}, r"a signal that no driver emits: a\\nb"),
        ({}, "a signal that can't be: signal: Field required"),
        ({"signal": "portal_opened", "news": {"more": 1}}, "a signal that can't be: more: Extra inputs"),
        ({"signal": "portal_opened", "news": []}, "a signal that can't be: news: "),
        ({"signal": "portal_opened", "sender": "x" * 241}, "a signal that can't be: sender: "),
        ({"signal": "limit_reached", "news": {"limit": "l", "value": -1}}, "a signal that can't be: value: "),
        ({"signal": "login_refused", "news": {**REFUSED, "reason": 5}}, "a signal that can't be: reason: "),
        ({"signal": "login_refused", "news": REFUSED, "who": "x"}, "a signal that can't be: who: Extra inputs"),
    ],
)
def test_what_can_not_be_is_refused(told: Heard, about: dict[str, Any], message: str) -> None:
    with pytest.raises(RingError, match=message):
        hear(**about)
    assert told == []


@pytest.mark.parametrize("payload", [b"", b"[", b"[]", b"\xff", b"[" * 4096])
def test_what_is_no_signal_at_all_is_refused(payload: bytes) -> None:
    with pytest.raises(RingError, match="a signal that can't be"):
        heard(payload, {}, "pipe")


# ---- from the driver's side ----------------------------------------------------------------------------------------------


class Pipe(TransportConformance):
    target = "a.pipe"
    behind_a_ring = True

    def make_transport(self, host: Host) -> Transport:
        return PipeTransport(host)


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Pipe().started() as rig:
        yield rig
        rig.end()


def teller(rig: Rig) -> Teller:
    assert isinstance(rig.driver, DriverOnThisLoop)
    assert rig.driver._far_side is not None
    return rig.driver._far_side.teller


def test_what_is_told_is_heard(rig: Rig, told: Heard) -> None:
    (known,) = rig.transport.host.targets()
    tell = teller(rig).tell
    tell("login_refused", None, **REFUSED)
    tell("login_refused", known, **REFUSED)
    tell("limit_reached", rig.transport, limit="l", value=3)
    tell("portal_closed", "portal here")
    rig.until(lambda: len(told) == 4, "the signals")
    assert [sender for _, sender, _ in told] == [
        None,
        rig.host.target,
        RemoteSender("tested", ""),
        RemoteSender("tested", "portal here"),
    ]
    assert [news for _, _, news in told] == [REFUSED, REFUSED, {"limit": "l", "value": 3}, {}]


@pytest.mark.parametrize("text", ["x", "\0", "\U0001f600", '"', "\ud800", "é"], ids=ascii)
def test_a_long_text_is_cut(rig: Rig, told: Heard, text: str) -> None:
    text *= RING_PAYLOAD_BYTES_MAX
    teller(rig).tell("login_refused", text, initiator=text, address=text, reason=text)
    rig.until(lambda: told, "the signal")
    ((_, sender, news),) = told
    assert {len(one) for one in (*news.values(), str(sender))} == {240}
    assert rig.driver.attendant is not None  # type: ignore[union-attr]


def test_of_too_many_at_once_some_are_lost(rig: Rig, told: Heard, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(1000):
        teller(rig).tell("limit_reached", None, limit="l", value=number)
    rig.until(lambda: "have not been passed on" in caplog.text, "the last answer")
    assert "744 signals have not been passed on" in caplog.text
    assert [news["value"] for _, _, news in told] == list(range(256))
    caplog.clear()
    teller(rig).tell("limit_reached", None, limit="l", value=1000)
    rig.until(lambda: told[-1][2]["value"] == 1000, "one more")
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


# ---- a process -------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_signal_comes_out_of_a_process(told: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", install(tmp_path))
    async with running(start="shout"):
        await until_async(lambda: told)
    assert told == [("limit_reached", RemoteSender(NAME, ""), {"limit": "voice", "value": 3})]
