"""The requests of an initiator that have no answer yet, and how many more it may send."""

from collections import deque
from collections.abc import Callable, Mapping

from tgtcore_srp.initiator.rules import Rules, check_command_response, check_management_response
from tgtcore_srp.initiator.violation import Violation
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.management import TaskManagement
from tgtcore_srp.iu.opcodes import ResponseCode, TaskManagementFunction
from tgtcore_srp.iu.response import Response

Done = Callable[[Response | None], None]
"""Told how a request ended; None: without an answer, by a task management function or with the channel."""


def _covers_task(request: TaskManagement, command: Command) -> bool:
    return (command.lun, command.tag) == (request.lun, request.task_tag)


def _covers_task_set(request: TaskManagement, command: Command) -> bool:
    return command.lun == request.lun


def _covers_none(request: TaskManagement, command: Command) -> bool:
    return False


_COVERS: Mapping[int, Callable[[TaskManagement, Command], bool]] = {
    TaskManagementFunction.ABORT_TASK: _covers_task,
    TaskManagementFunction.ABORT_TASK_SET: _covers_task_set,
    TaskManagementFunction.CLEAR_TASK_SET: _covers_task_set,
    TaskManagementFunction.LOGICAL_UNIT_RESET: _covers_task_set,
}
"""Whether a function, when it is complete, has ended a command that was sent before it."""

_REMEMBERED = 1024
_GOOD = Response(0, 0)[2:]


class Unanswered:
    """Pairs answers with requests by their tags and keeps the account of credits.

    :param rules: what the answers are held to beside the standard.
    """

    __slots__ = ("_commands", "_functions", "_rules", "_silent", "credits")

    def __init__(self, rules: Rules) -> None:
        self.credits = 0
        """How many requests may be sent now."""
        self._rules = rules
        self._commands: dict[int, tuple[Command, Done]] = {}
        self._functions: dict[int, tuple[TaskManagement, Done, list[int]]] = {}
        self._silent: deque[int] = deque(maxlen=_REMEMBERED)

    def __len__(self) -> int:
        return len(self._commands) + len(self._functions)

    def command(self, command: Command, done: Done) -> None:
        """A command is sent."""
        self.credits -= 1
        self._commands[command[0]] = command, done

    def function(self, request: TaskManagement, done: Done) -> None:
        """A task management function is sent; the commands that it ends, if it is complete, are those sent before."""
        covers = _COVERS.get(request.function, _covers_none)
        covered = [tag for tag, (command, _) in self._commands.items() if covers(request, command)]
        self.credits -= 1
        self._functions[request.tag] = request, done, covered

    def granted(self, delta: int) -> None:
        """The target changes the request limit.

        :raises Violation: to more than it has room for.
        """
        self.credits += delta
        if self.credits + len(self._commands) + len(self._functions) > self._rules.requests_max:
            self._check_limit(delta)

    def _check_limit(self, delta: int) -> None:
        """A command may have ended in silence already when the function that has ended it has no answer yet."""
        covered = {tag for _, _, tags in self._functions.values() for tag in tags}
        unanswered = len(self) - len(covered & self._commands.keys())
        if self.credits + unanswered > self._rules.requests_max:
            raise Violation(
                f"request limit delta {delta} makes {self.credits} beside {unanswered} unanswered requests, "
                f"expected {self._rules.requests_max} together at most"
            )

    def answered(self, response: Response) -> None:
        """The target answers a request.

        :raises Violation: there is no such request, or this is no answer to it; whoever waits for it is told all the same.
        """
        waiting = self._commands.pop(response[0], None)
        if waiting is None:
            self._function_answered(response)
            return
        command, done = waiting
        try:
            self.granted(response[1])
            if response[2:] != _GOOD:
                check_command_response(command, response, self._rules)
        finally:
            done(response)

    def _function_answered(self, response: Response) -> None:
        waiting = self._functions.pop(response.tag, None)
        if waiting is None:
            after = " after the task management function that has ended it" if response.tag in self._silent else ""
            raise Violation(f"SRP_RSP to tag {response.tag:#x}, which waits for none{after}")
        request, done, covered = waiting
        if response.code == ResponseCode.COMPLETE:
            for tag in covered:
                self._end_in_silence(tag)
        try:
            self.granted(response.delta)
            check_management_response(request, response)
        finally:
            done(response)

    def _end_in_silence(self, tag: int) -> None:
        waiting = self._commands.pop(tag, None)
        if waiting is not None:
            self._silent.append(tag)
            waiting[1](None)

    def end(self) -> None:
        """There will be no answers any more."""
        self.credits = 0
        told = [done for _, done in self._commands.values()] + [done for _, done, _ in self._functions.values()]
        self._commands.clear()
        self._functions.clear()
        for done in told:
            done(None)
