"""What all verbs share that let something go away: how long to wait, and what to do when it is not there."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from tgtcore.daemon import Daemon
from tgtcore.errors import TgtError
from tgtcore.management.protocol import Code, code_of
from tgtcore.management.verbs.table import STEPS, Handler, argument, verb
from tgtcore.options import Options


class Leaving(Options):
    """Arguments of verbs that wait for commands to end."""

    deadline: float | None = argument(
        "how many seconds commands may take to end by themselves; by default daemon.drain_s", None, ge=0, le=3600
    )
    force: bool = argument("abort now what waits or has not begun; what runs is waited for all the same", False)

    @property
    def deadline_s(self) -> float | None:
        """The time for commands; None: what the configuration says."""
        return 0.0 if self.force else self.deadline


class IfExists(Options):
    """Arguments of verbs that remove something."""

    if_exists: bool = argument("succeed also when it is not there", False)


def removal(name: str, help: str, arguments: type[BaseModel]) -> Callable[[Handler], Handler]:
    """Put a function that removes something into the table.

    :param arguments: a subclass of :class:`IfExists`.
    """

    def mark(handler: Handler) -> Handler:
        async def run(daemon: Daemon, old: Any) -> Any:
            try:
                return await handler(daemon, old)
            except TgtError as error:
                if old.if_exists and code_of(error) is Code.NOT_FOUND:
                    return []
                raise

        return verb(name, help, arguments, STEPS)(run)

    return mark
