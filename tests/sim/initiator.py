"""An initiator: sends commands and functions, and watches what it is answered."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.commands import Command, View
from sim.environment import Environment
from sim.medium import BLOCK_BYTES

from tgtcore import Attribute, Tmf, TmfRequest, TmfResponse

if TYPE_CHECKING:
    from sim.session import Session

LUNS = 4
"""LUNs are below this; not every one is there."""
_ATTRIBUTES = (
    *(Attribute.SIMPLE,) * 16,
    Attribute.UNTAGGED,
    Attribute.ORDERED,
    Attribute.ORDERED,
    Attribute.HEAD_OF_QUEUE,
)
_ABORTING = (Tmf.ABORT_TASK_SET, Tmf.CLEAR_TASK_SET, Tmf.LOGICAL_UNIT_RESET)


@dataclass(frozen=True)
class Sent:
    """A command that was sent.

    :param immediate: whether its data-out went along.
    :param data_late_s: when its data-out goes after it was asked for; None: when everything must come to an end.
    """

    tag: int
    lun: int
    attribute: Attribute
    command: Command
    immediate: bool
    data_late_s: float | None

    def __str__(self) -> str:
        attribute = "" if self.attribute <= Attribute.SIMPLE else f" {self.attribute.name}"
        return f"#{self.tag} lun={self.lun} {self.command}{attribute}"


class Initiator:
    """One initiator port; it has one session at a time.

    :param name: its name.
    """

    def __init__(self, name: str, environment: Environment) -> None:
        self.name = name
        self.session: Session | None = None
        self._environment = environment
        self._tag = 0
        self._sent: dict[int, Sent] = {}
        """Commands that may still be answered."""
        self._owed: dict[int, tuple[Session, Sent, int]] = {}
        """Data-out that was asked for and is held back."""
        self._functions: dict[int, tuple[TmfRequest, list[int]]] = {}
        """Functions that have no answer, each with the commands that are over when it has."""

    # ---- what it does -------------------------------------------------------------------------------------------------

    def log_in(self, target: str) -> None:
        """Begin a session, if the target admits it and there is none."""
        transport = self._environment.transport
        if self.session is None and transport is not None:
            self.session = transport.log_in(self, target)

    def vanish(self) -> None:
        """The connection breaks; the target notices later."""
        session = self.session
        if session is not None:
            self._environment.trace(self.name, "vanishes")
            session.to_initiator.cut()
            session.to_target.send(session.lost)
            self._forget()

    def log_out(self) -> None:
        """End the session in order."""
        if self.session is not None:
            self.session.to_target.send(self.session.lost)

    def send(
        self,
        command: Command,
        lun: int,
        attribute: Attribute = Attribute.SIMPLE,
        *,
        immediate: bool = True,
        data_late_s: float | None = 0.0,
    ) -> int:
        """Send a command; returns its tag."""
        assert self.session is not None
        self._tag += 1
        sent = self._sent[self._tag] = Sent(self._tag, lun, attribute, command, immediate, data_late_s)
        self.session.to_target.send(self.session.command, sent)
        return self._tag

    def send_random(self, chance: random.Random, make: Callable[[random.Random, View], Command]) -> None:
        """Send some command in some way."""
        luns = self._luns()
        if not luns and chance.random() < 0.9:
            return
        lun = chance.choice(luns) if luns and chance.random() < 0.97 else chance.randrange(LUNS)
        self.send(
            make(chance, self._view(chance, lun)),
            lun,
            chance.choice(_ATTRIBUTES),
            immediate=chance.random() < 0.6,
            data_late_s=chance.choice((0.0, 0.0, 0.001, 3.0, None)),
        )

    def manage(self, function: Tmf, lun: int, tag: int = 0) -> None:
        """Send a task management function."""
        if self.session is None:
            return
        self._tag += 1
        over = [one.tag for one in self._sent.values() if _is_over(function, lun, tag, one)]
        request = TmfRequest(function, lun << 48, tag)
        self._functions[self._tag] = request, over
        self.session.to_target.send(self.session.manage, request, self._tag)

    def manage_random(self, chance: random.Random) -> None:
        """Send some function."""
        function = chance.choice((*Tmf, Tmf.ABORT_TASK, Tmf.ABORT_TASK, Tmf.LOGICAL_UNIT_RESET))
        recent = [*self._sent][-6:] or [0]
        tag = chance.choice(recent)
        one = self._sent.get(tag)
        lun = one.lun if one is not None and chance.random() < 0.9 else chance.randrange(LUNS)
        self.manage(function, lun, tag if function in (Tmf.ABORT_TASK, Tmf.QUERY_TASK) else 0)

    def finish(self) -> None:
        """Send all data-out that was held back."""
        for tag in list(self._owed):
            self._send_data(tag)

    def _luns(self) -> list[int]:
        return [] if self.session is None else list(self.session.nexus.luns())

    def _view(self, chance: random.Random, lun: int) -> View:
        lu = None if self.session is None else self.session.nexus.luns().get(lun)
        if lu is None or lu.store is None:
            return View(8, lambda block: 0)
        contents = self._environment.judge.book(lu).contents
        return View(lu.store.size_bytes // BLOCK_BYTES, lambda block: chance.choice(sorted(contents.possible(block))))

    # ---- what it hears ------------------------------------------------------------------------------------------------

    def answered(self, session: "Session", tag: int) -> None:
        """A command was answered."""
        if self._sent.pop(tag, None) is None:
            self._environment.fail(f"{self.name} was answered to command #{tag}, which was over")
        self._owed.pop(tag, None)

    def data_wanted(self, session: "Session", sent: Sent, have: int) -> None:
        """A command asks for the rest of its data-out."""
        self._owed[sent.tag] = session, sent, have
        if sent.data_late_s is not None:
            assert self._environment.loop is not None
            self._environment.loop.call_later(sent.data_late_s, self._send_data, sent.tag)

    def _send_data(self, tag: int) -> None:
        if tag not in self._owed:
            return
        session, sent, have = self._owed.pop(tag)
        data = sent.command.data_out[have:]
        middle = len(data) // 3
        for piece in (data[:middle], data[middle:]):
            session.to_target.send(session.data, sent.tag, piece)

    def managed(self, session: "Session", reference: int, response: TmfResponse) -> None:
        """A function was answered: what it has aborted is over."""
        request, over = self._functions.pop(reference)
        if response is TmfResponse.FUNCTION_COMPLETE and request.function is not Tmf.QUERY_TASK:
            for tag in over:
                self._sent.pop(tag, None)
                self._owed.pop(tag, None)

    def logout_wanted(self, session: "Session") -> None:
        """The target asks to log out; most initiators do."""
        if session is self.session and self._environment.chance.random() < 0.7:
            self.log_out()

    def session_closed(self, session: "Session") -> None:
        """The session is over."""
        if session is self.session:
            self._forget()

    def waits_for(self) -> list[str]:
        """What it has no answer to."""
        return [f"{request.function.name} of {self.name}" for request, _ in self._functions.values()]

    def _forget(self) -> None:
        self.session = None
        self._sent.clear()
        self._owed.clear()
        self._functions.clear()

    crashed = _forget


def _is_over(function: Tmf, lun: int, tag: int, sent: Sent) -> bool:
    """Whether a command that was sent before a function is over when that is answered."""
    if function in (Tmf.I_T_NEXUS_RESET,):
        return True
    if function is Tmf.ABORT_TASK:
        return sent.tag == tag and sent.lun == lun
    return function in _ABORTING and sent.lun == lun
