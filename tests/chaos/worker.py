"""One initiator that writes and reads its own regions of several logical units, whatever is done to them meanwhile.

What is demanded is what the oracle's verifier demands: a write that was answered GOOD is there as a whole; one that was refused is
not; one that was aborted or lost has happened to each block or not.  Nothing but a few refusals is ever accepted as an answer, and
every command on a session that lives is answered.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from chaos.initiator import Session
from oracle.choosing import Chooser, Command
from oracle.commands import BLOCK_BYTES, read16, write16
from oracle.contents import Contents
from tgtcore_iscsi.addresses import Address
from tgtcore_iscsi.initiator.client import LoginRefused, Outcome

from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey, parse_sense
from tgtcore.scsi.status import Status

_DEPTH = 8
_USUAL_BLOCKS = 32
_LONGEST_BLOCKS = 256
"""Half of such a write has to be asked for."""
_ANSWER_S = 15.0
_AGAIN_S = 0.02
_TOLERATED = {
    (SenseKey.ILLEGAL_REQUEST, asc.LOGICAL_UNIT_NOT_SUPPORTED),
    (SenseKey.NOT_READY, asc.LOGICAL_UNIT_NOT_READY_OFFLINE),
}
"""What a logical unit that is not there, or is offline, may say besides unit attentions."""


@dataclass
class Counts:
    """What has happened, and what was wrong."""

    sent: int = 0
    answered: int = 0
    good: int = 0
    refused: int = 0
    aborted: int = 0
    lost: int = 0
    logins: int = 0
    logins_refused: int = 0
    asked_to_log_out: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def accounted(self) -> bool:
        """Whether each command has ended in exactly one way."""
        return self.sent == self.answered + self.lost


class Worker:
    """One initiator with one session.

    :param luns: those of the target.
    :param first: the block at which its region begins on each of them; nobody else touches that.
    """

    def __init__(
        self, address: Address, target: str, initiator: str, luns: Sequence[int], first: int, blocks: int, seed: int
    ) -> None:
        self.counts = Counts()
        self._address, self._target, self._initiator = address, target, initiator
        self._contents = {lun: Contents(first, blocks) for lun in luns}
        self._chooser = Chooser(random.Random(seed), self._contents, _USUAL_BLOCKS, _LONGEST_BLOCKS)
        self._commands: list[Command] = []
        self._session: Session | None = None

    def work(self, until: float) -> None:
        """Go on until a time of the monotonic clock; then wait for what is under way."""
        while time.monotonic() < until and not self.counts.wrong:
            self._step(busy=True)
        while self._commands and not self.counts.wrong:
            self._step(busy=False)

    def read_back(self) -> None:
        """Read everything; the logical units are all there now."""
        deadline = time.monotonic() + _ANSWER_S * 4
        for lun, contents in self._contents.items():
            for at in range(0, contents.blocks, _LONGEST_BLOCKS):
                good = self.counts.good
                while self.counts.good == good and not self.counts.wrong:
                    while self._session is None and time.monotonic() < deadline:
                        self._step(busy=False)
                    self._start(Command(at, min(_LONGEST_BLOCKS, contents.blocks - at), lun=lun))
                    while self._commands and not self.counts.wrong:
                        self._step(busy=False)
                    if time.monotonic() > deadline:
                        self.counts.wrong.append(f"LUN {lun} of {self._target} does not come back")
        self._leave()

    # ---- one step -----------------------------------------------------------------------------------------------------

    def _step(self, *, busy: bool) -> None:
        try:
            session = self._session or self._log_in()
            if session.asked_to_log_out:
                self.counts.asked_to_log_out += 1
                busy = False
                if not self._commands:
                    self._leave()
                    return
            while busy and len(self._commands) < _DEPTH:
                command = self._chooser.next(self._commands)
                if command is None:
                    break
                self._start(command)
            session.serve(_AGAIN_S)
            if session.quiet_s() > _ANSWER_S:
                self.counts.wrong.append(f"no answer in {_ANSWER_S:g} s to {self._commands}")
        except LoginRefused:
            self.counts.logins_refused += 1
            time.sleep(_AGAIN_S)
        except OSError:
            self._break_off()
            time.sleep(_AGAIN_S)

    def _log_in(self) -> Session:
        self._session = Session(self._address, self._target, self._initiator)
        self.counts.logins += 1
        return self._session

    def _leave(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            try:
                session.close()
            except OSError:
                session.abort()

    def _break_off(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.break_off()

    def _start(self, command: Command) -> None:
        session = self._session or self._log_in()
        contents = self._contents[command.lun]
        lba = contents.first + command.at
        self._commands.append(command)
        self.counts.sent += 1
        done = partial(self._ended, command)
        if command.generation:
            data = contents.data(command.at, command.blocks, command.generation)
            session.start(write16(lba, command.blocks), command.lun, done, out=data)
        else:
            session.start(read16(lba, command.blocks), command.lun, done, room=command.blocks * BLOCK_BYTES)

    # ---- ends ---------------------------------------------------------------------------------------------------------

    def _ended(self, command: Command, outcome: Outcome | None) -> None:
        self._commands.remove(command)
        contents = self._contents[command.lun]
        if outcome is None:
            self.counts.lost += 1
        else:
            self.counts.answered += 1
        if outcome is not None and outcome.status == Status.GOOD:
            self.counts.good += 1
            if command.generation:
                contents.written(command.at, command.blocks, command.generation)
            elif difference := contents.check(command.at, outcome.data):
                self.counts.wrong.append(f"LUN {command.lun} of {self._target}: {difference}")
            return
        if outcome is not None and self._refused(command, outcome):
            self.counts.refused += 1
        elif command.generation:
            contents.perhaps_written(command.at, command.blocks, command.generation)

    def _refused(self, command: Command, outcome: Outcome) -> bool:
        """Whether a command was refused before it began; an aborted one may have done anything."""
        if outcome.status in (Status.TASK_ABORTED, Status.TASK_SET_FULL, Status.BUSY):
            self.counts.aborted += 1
            return outcome.status != Status.TASK_ABORTED
        sense = parse_sense(outcome.sense) if outcome.status == Status.CHECK_CONDITION else None
        if sense is None or (sense.key != SenseKey.UNIT_ATTENTION and (sense.key, sense.code) not in _TOLERATED):
            self.counts.wrong.append(f"{command}: status {outcome.status:#x}, {sense.describe() if sense else ''}")
        return True
