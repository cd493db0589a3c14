"""Random writes by several sessions on one LUN while resets and dropped sessions come between, each read back.

What is demanded: a command that was answered GOOD has happened as a whole and stays; one that was refused has not; one that was
aborted, or whose session was lost, has happened to each block or not, and nothing of it happens after its end: that is when
a task management function on it was answered, or when its initiator port has logged in again (RFC 7143 4.5.3.1, SAM-5 5.5).
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from oracle.choosing import Chooser, Command
from oracle.commands import BLOCK_BYTES, read16, test_unit_ready, write16
from oracle.contents import Contents
from oracle.libiscsi import (
    ABORT_TASK_SET,
    CHECK_CONDITION,
    LOGICAL_UNIT_RESET,
    TASK_ABORTED,
    Answer,
    HeaderDigest,
    InitiatorError,
    Session,
)
from oracle.pipelined import PipelinedSession

INITIATOR = "iqn.2025-01.example.libiscsi:writer"
_WRITERS = 4
_RESET_EVERY_S = 0.15
_DISTURB_EVERY_S = 1.5
_REGION_BYTES = 16 << 20
_DEPTH = 8
_LONG_BLOCKS = 512  # of 512 bytes: longer than FirstBurstLength, so that data-out waits for R2T
_USUAL_BLOCKS = 64
_BLOCKS_MAX = 2048
_UNIT_ATTENTION = 6
_QUIET_S = 0.05
_ANSWER_S = 10.0


@dataclass
class Counts:
    """What was done, and what was found wrong."""

    writes: int = 0
    reads: int = 0
    logins: int = 0
    resets_by_another: int = 0
    resets_by_itself: int = 0
    drops_by_initiator: int = 0
    drops_by_target: int = 0
    aborted_with_status: int = 0
    ended_without_answer: int = 0
    cut_in_data_out: int = 0
    """Writes longer than FirstBurstLength that did not end GOOD."""
    wrong: list[str] = field(default_factory=list)


class Writer:
    """One initiator port, which alone writes and reads a region."""

    def __init__(self, url: str, number: int, blocks: int, counts: Counts) -> None:
        self._url, self._number, self._counts = url, number, counts
        self._contents = Contents(number * blocks, blocks)
        self._random = random.Random(number)
        self._chooser = Chooser(self._random, {0: self._contents}, _USUAL_BLOCKS, _BLOCKS_MAX)
        self._commands: list[Command] = []
        self._session: PipelinedSession | None = None
        self._function: int | None = None
        """The task management function to send when everything before has been sent, or that is under way."""
        self._function_sent = False
        self._heard = 0.0
        self._probing = False
        self.stopped = False
        """Set it to end the work before its time."""

    def work(self, until: float, disturb_every_s: float) -> None:
        """Write and read at random until a time of the monotonic clock, in between drop the connection or reset the LUN."""
        disturbance = self._next(disturb_every_s)
        while time.monotonic() < until and not self._counts.wrong and not self.stopped:
            self._step(busy=True)
            if time.monotonic() > disturbance:
                disturbance = self._next(disturb_every_s)
                self._random.choice((self._drop, self._reset))()
        while self._commands and not self._counts.wrong:
            self._step(busy=False)

    def read_back(self) -> None:
        """Read the whole region."""
        with Session(self._url, isid=self._number + 1, name=INITIATOR) as session:
            session.ready()
            for at in range(0, self._contents.blocks, _BLOCKS_MAX):
                blocks = min(_BLOCKS_MAX, self._contents.blocks - at)
                answer = session.command(read16(self._contents.first + at, blocks), read=blocks * BLOCK_BYTES)
                self._read_over(Command(at, blocks), answer)

    def close(self) -> None:
        """Log out."""
        if self._session:
            self._session.__exit__()
            self._session = None

    # ---- one step ---------------------------------------------------------------------------------------------------

    def _step(self, *, busy: bool) -> None:
        try:
            session = self._session or self._log_in()
            if self._function is not None:
                self._manage(session)
            elif busy:
                self._fill(session)
            self._probe(session)
            session.serve(_QUIET_S)
        except (
            InitiatorError
        ):  # also libiscsi's own: it gives up where a write is answered before all its data-out is sent
            self._lost()

    def _log_in(self) -> PipelinedSession:
        digest = HeaderDigest.CRC32C if self._number % 2 else HeaderDigest.NONE
        self._session = PipelinedSession(
            self._url, isid=self._number + 1, name=INITIATOR, header_digest=digest, timeout_s=20
        )
        self._counts.logins += 1
        self._heard = time.monotonic()
        return self._session

    def _lost(self) -> None:
        session, self._session = self._session, None
        self._function, self._function_sent, self._probing = None, False, False
        if session:
            session.drop()

    def _fill(self, session: PipelinedSession) -> None:
        while len(self._commands) < _DEPTH:
            command = self._chooser.next(self._commands)
            if command is None:
                return
            lba = self._contents.first + command.at
            if command.generation:
                cdb = write16(lba, command.blocks, fua=self._random.random() < 0.1)
                data = self._contents.data(command.at, command.blocks, command.generation)
                session.start(cdb, partial(self._write_over, command), data_out=data)
            else:
                cdb, size = read16(lba, command.blocks), command.blocks * BLOCK_BYTES
                session.start(cdb, partial(self._read_over, command), read=size)
            self._commands.append(command)  # only now: libiscsi takes none while it logs out because it was asked to

    def _probe(self, session: PipelinedSession) -> None:
        """When nothing is heard although commands are under way: another initiator may have aborted them without a word."""
        quiet_s = time.monotonic() - self._heard
        if not self._commands or quiet_s < _QUIET_S:
            return
        if quiet_s > _ANSWER_S:
            self._counts.wrong.append(f"no answer within {_ANSWER_S:g} s to {self._commands}")
        if not self._probing and not self._function_sent:
            # not where the function's end may cancel it unsent
            self._probing = True
            session.start(test_unit_ready(), self._probe_over)

    # ---- task management --------------------------------------------------------------------------------------------

    def _manage(self, session: PipelinedSession) -> None:
        """Send the function; its answer says that everything sent before has ended, answered or not."""
        assert self._function is not None
        if not self._function_sent:
            if session.everything_sent:
                session.start_function(self._function)
                self._function_sent = True
        elif session.function_ended():
            self._function, self._function_sent = None, False
            session.cancel()

    def _reset(self) -> None:
        if self._session and self._function is None:
            self._function = LOGICAL_UNIT_RESET
            self._counts.resets_by_itself += 1

    def _drop(self) -> None:
        if self._session:
            self._counts.drops_by_initiator += 1
            self._lost()

    # ---- ends -------------------------------------------------------------------------------------------------------

    def _write_over(self, command: Command, answer: Answer | None) -> None:
        self._heard = time.monotonic()
        self._commands.remove(command)
        if answer is not None and answer.good:
            self._contents.written(command.at, command.blocks, command.generation)
            self._counts.writes += 1
            return
        if not self._refused(command, answer):
            self._contents.perhaps_written(command.at, command.blocks, command.generation)
            self._counts.cut_in_data_out += command.blocks > _LONG_BLOCKS

    def _read_over(self, command: Command, answer: Answer | None) -> None:
        self._heard = time.monotonic()
        if command in self._commands:
            self._commands.remove(command)
        if answer is None or not answer.good:
            self._refused(command, answer)
            return
        self._counts.reads += 1
        if len(answer.data_in) != command.blocks * BLOCK_BYTES:
            self._counts.wrong.append(f"{command}: {len(answer.data_in)} bytes read")
        elif difference := self._contents.check(command.at, answer.data_in):
            self._counts.wrong.append(difference)

    def _probe_over(self, answer: Answer | None) -> None:
        self._probing = False
        if answer is not None:
            self._heard = time.monotonic()
            if not answer.good:
                self._refused(Command(0, 0), answer)

    def _refused(self, command: Command, answer: Answer | None) -> bool:
        """Whether a command that did not end GOOD was refused before it began; otherwise it was aborted or lost."""
        if answer is None:
            self._counts.ended_without_answer += 1
            return False
        if answer.status == TASK_ABORTED:
            self._counts.aborted_with_status += 1
            return False
        if answer.status != CHECK_CONDITION or answer.sense_key != _UNIT_ATTENTION:
            self._counts.wrong.append(f"{command}: {answer}")
        if self._commands and self._function is None:
            self._function = ABORT_TASK_SET  # a reset may have ended the others without a word: make sure
        return True

    def _next(self, every_s: float) -> float:
        return time.monotonic() + every_s * (0.5 + self._random.random())


def run(
    url: str,
    seconds: float,
    drop_a_session: Callable[[], bool],
    before_reset: Callable[[Session], None] = lambda _: None,
) -> Counts:
    """Write for a while under resets and dropped sessions, then read everything back.

    :param drop_a_session: has the target end one session, if there is any; called on a thread of its own.  It must not ask first:
        libiscsi 1.19 answers Async Message 1 with a Logout Request that overtakes the commands in its own queue, and logs in again
        by itself.  On the wire, whatever it had sent is answered before the Logout Response (RFC 7143 11.14); the commands that it
        had taken and not sent appear on neither connection, and it never tells how they ended.
    :param before_reset: called with the session that resets the logical unit, each time before it does.
    """
    counts = Counts()
    blocks = _REGION_BYTES // BLOCK_BYTES
    writers = [Writer(url, number, blocks, counts) for number in range(_WRITERS)]
    until = time.monotonic() + seconds
    works: list[Callable[[], None]] = [
        *(partial(writer.work, until, _DISTURB_EVERY_S) for writer in writers),
        partial(_reset_by_another, url, until, counts, before_reset),
        partial(_drop_by_target, drop_a_session, until, counts),
    ]
    threads = [threading.Thread(target=_guarded, args=(work, counts), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 60)
        assert not thread.is_alive(), "a session did not come to an end"
    for writer in writers:
        writer.close()
        writer.read_back()
    return counts


def _reset_by_another(url: str, until: float, counts: Counts, before_reset: Callable[[Session], None]) -> None:
    with Session(url, name="iqn.2025-01.example.libiscsi:resetter") as session:
        while time.monotonic() < until and not counts.wrong:
            time.sleep(_RESET_EVERY_S)
            before_reset(session)
            session.manage(LOGICAL_UNIT_RESET)
            counts.resets_by_another += 1


def _drop_by_target(drop_a_session: Callable[[], bool], until: float, counts: Counts) -> None:
    while time.monotonic() < until and not counts.wrong:
        counts.drops_by_target += drop_a_session()


def _guarded(work: Callable[[], None], counts: Counts) -> None:
    try:
        work()
    except Exception as error:  # handed to the thread that waits
        counts.wrong.append(repr(error))
