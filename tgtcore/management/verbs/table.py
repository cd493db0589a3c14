"""The table of verbs: each is a function with a model of its arguments; the command line is made of the same table."""

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, Field

from tgtcore.config.problems import Problems
from tgtcore.daemon import Daemon, Step
from tgtcore.management.protocol import Code, VerbError
from tgtcore.options import NoOptions
from tgtcore.registry import AdminCommand, Edit, nearest
from tgtcore.transport import Driver

_A = TypeVar("_A", bound=BaseModel)
Handler = Callable[[Daemon, Any], Coroutine[Any, Any, Any]]


@dataclass(frozen=True)
class Verb:
    """One verb.

    :param name: its words, such as ``lun add``.
    :param columns: what a table of its result shows, in order; empty: the result is shown as it is.
    :param interruptible: it is given up when the client that is told of its progress has gone; others go on.
    """

    name: str
    help: str
    handler: Handler
    arguments: type[BaseModel]
    columns: tuple[str, ...] = ()
    interruptible: bool = False


VERBS: dict[str, Verb] = {}
"""All verbs of the core by name."""


def verb(
    name: str,
    help: str,
    arguments: type[BaseModel] = NoOptions,
    columns: tuple[str, ...] = (),
    *,
    interruptible: bool = False,
) -> Callable[[Handler], Handler]:
    """Put a function into the table."""

    def mark(handler: Handler) -> Handler:
        assert name not in VERBS, f"the verb {name} is there twice"
        VERBS[name] = Verb(name, help, handler, arguments, columns, interruptible)
        return handler

    return mark


def argument(help: str, default: Any = ..., *, positional: bool = False, **rules: Any) -> Any:
    """A field of an arguments model with its help; without a default it is required.

    :param positional: on a command line it stands without ``--name``, as required ones do.
    """
    extra: Any = {"positional": positional or default is ...}
    if default is ...:
        return Field(description=help, json_schema_extra=extra, **rules)
    return Field(default=default, description=help, json_schema_extra=extra, **rules)


async def run(daemon: Daemon, name: str, arguments: dict[str, Any]) -> Any:
    """Run a verb of the core or of a plugin.

    :raises TgtError: it failed, is not known, or its arguments are wrong; or the daemon does not serve yet, or no longer.
    """
    if not daemon.serving:
        raise VerbError(Code.BUSY, f"the daemon is {'stopping' if daemon.stopping else 'starting'}")
    known = VERBS.get(name)
    if known is not None:
        return await known.handler(daemon, checked(name, known.arguments, arguments))
    found = daemon.plugins.admin.found()
    offered = found.get(name)
    if offered is None:
        raise VerbError(Code.NOT_FOUND, f'there is no verb "{name}"{nearest(name, [*VERBS, *found])}')
    wanted = checked(name, offered.arguments, arguments)
    result = offered.handler(wanted, *_driver_for(daemon, offered), *_edit_for(daemon, offered))
    return await result if inspect.isawaitable(result) else result


def _driver_for(daemon: Daemon, offered: AdminCommand) -> tuple[Driver, ...]:
    """The transport at work that a verb is about, or none if it is about none.

    :raises VerbError: the transport is not there.
    """
    if not offered.transport:
        return ()
    driver = daemon.inventory.transports.get(offered.transport)
    if driver is None:
        raise missing("transport", offered.transport, daemon.inventory.transports)
    return (driver,)


def _edit_for(daemon: Daemon, offered: AdminCommand) -> tuple[Edit, ...]:
    """What changes the configuration, for a verb that does."""

    async def edit(change: Callable[[dict[str, Any]], None]) -> list[dict[str, str]]:
        return steps_shown(await daemon.edit(change))

    return (edit,) if offered.edits else ()


def checked(name: str, model: type[_A], arguments: dict[str, Any]) -> _A:
    """The arguments of a verb.

    :raises ConfigError: every wrong one.
    """
    problems = Problems(name)
    made = problems.check((), model, arguments)
    problems.raise_if_any()
    assert isinstance(made, model)
    return made


def steps_shown(steps: list[Step]) -> list[dict[str, str]]:
    """What was done, for people and programs."""
    return [
        {"action": step.action.value, "kind": step.kind.value, "name": step.name, "detail": step.detail}
        for step in steps
    ]


def missing(what: str, name: str, known: Any) -> VerbError:
    """There is no such thing."""
    names = [str(one) for one in known]
    return VerbError(Code.NOT_FOUND, f'there is no {what} called "{name}"{nearest(name, names)}')


STEPS = ("action", "kind", "name", "detail")
