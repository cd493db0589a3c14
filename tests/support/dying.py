"""A tgtd that ends by SIGKILL at one step of a hand-over: ``dying.py {before,after} {send,receive} KEY TGTD ARGUMENT...``."""

import os
import signal
import sys
from typing import Any

from tgtcore.cli.tgtd import main
from tgtcore.handover.messages import Channel

_moment, _deed, _key = sys.argv[1:4]
_original = getattr(Channel, _deed)


def _die(message: dict[str, Any]) -> None:
    if _key in message:
        os.kill(os.getpid(), signal.SIGKILL)


async def _send(channel: Channel, message: dict[str, Any], *more: Any) -> None:
    if _moment == "before":
        _die(message)
    await _original(channel, message, *more)
    _die(message)


async def _receive(channel: Channel) -> Any:
    received = await _original(channel)
    _die(received[0])
    return received


setattr(Channel, _deed, {"send": _send, "receive": _receive}[_deed])
sys.argv = [sys.argv[4], *sys.argv[5:]]
main()
