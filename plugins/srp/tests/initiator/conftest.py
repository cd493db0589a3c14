"""A logged-in channel whose target is the test."""

from typing import Any

import pytest
from tgtcore_srp.initiator.channel import InitiatorChannel
from tgtcore_srp.initiator.rules import Rules
from tgtcore_srp.iu.login import LoginRequest, LoginResponse
from tgtcore_srp.iu.response import Response, build_response
from tgtcore_srp.iu.table import parse_from_initiator

LUN = 0x8000 << 48
LIMIT = 8


class Bench:
    """The channel and what it has sent and told.

    :param rules: see :class:`InitiatorChannel`.
    :param limit: the request limit that the target grants at login; 0: no login.
    """

    def __init__(self, rules: Rules | None = None, limit: int = LIMIT, **how: Any) -> None:
        self.sent: list[bytes] = []
        self.ended: list[Response | None] = []
        self.told: list[Any] = []
        self.channel = InitiatorChannel(self.sent.append, rules, self.told.append, **how)
        self.request = LoginRequest(7, 256, 6, b"i" * 16, b"t" * 16)
        if limit:
            self.channel.login(self.request, self.told.append)
            self.channel.receive(LoginResponse(7, limit, 256, 128, 6).build())
            self.sent.clear()
            self.told.clear()

    def command(self, **how: Any) -> int:
        """Send one."""
        return self.channel.command(how.pop("lun", LUN), bytes(16), self.ended.append, **how)

    def manage(self, function: int, **how: Any) -> int:
        """Send a task management function."""
        return self.channel.manage(function, how.pop("lun", LUN), self.ended.append, **how)

    def answer(self, tag: int, delta: int = 1, *rest: Any, **fields: Any) -> None:
        """The target's SRP_RSP arrives."""
        self.channel.receive(build_response(tag, delta, *rest, **fields))

    def last(self) -> Any:
        """What was sent last, as it is read."""
        return parse_from_initiator(self.sent[-1])


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def new_bench() -> type[Bench]:
    return Bench
