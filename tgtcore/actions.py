"""What people may ask of a running filter or store, besides what initiators ask of it: figures and actions.

A class offers an action by marking a method::

    class Crash(Filter):
        @action("Lose what was not flushed, as a power cut would.", Cut, pauses=True, after=Aftermath.POWER_ON)
        def crash(self, cut: Cut) -> dict[str, Any]: ...

Then ``tgtadm filter do UNIT NAME crash seed=3`` calls it.  Its name is that of the method, with ``-`` for ``_``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel

from tgtcore.options import NoOptions

_H = TypeVar("_H", bound=Callable[..., Any])


class Aftermath(Enum):
    """What initiators are told after an action, if it has not failed."""

    NOTHING = "nothing"
    MEDIUM_CHANGED = "the content, and perhaps the capacity, is another one"
    POWER_ON = "the logical unit has lost power and is back: what lasts as long as power is gone"


@dataclass(frozen=True)
class Action:
    """Something that may be asked of an object while it is in use.

    :param name: what people write.
    :param help: one sentence.
    :param arguments: the model of its arguments.
    :param pauses: whether it needs the logical unit to stand still: no command runs and no flush; it is called on a worker thread
        then, else on the loop's thread, where it must not block.
    :param after: what initiators are told; anything but NOTHING needs ``pauses``.
    :param method: the name of the method ``method(arguments)``, which returns data that JSON can carry.
    """

    name: str
    help: str
    arguments: type[BaseModel]
    pauses: bool
    after: Aftermath
    method: str


def action(
    help: str,
    arguments: type[BaseModel] = NoOptions,
    *,
    pauses: bool = False,
    after: Aftermath = Aftermath.NOTHING,
) -> Callable[[_H], _H]:
    """Mark a method of an :class:`Operable` as an action; see :class:`Action`."""

    def mark(method: _H) -> _H:
        if after is not Aftermath.NOTHING and not pauses:
            raise TypeError(f"{method.__name__} changes what initiators see, so it needs pauses=True")
        name = method.__name__.replace("_", "-")
        method.__dict__["_action"] = Action(name, help, arguments, pauses, after, method.__name__)
        return method

    return mark


class Operable:
    """The base of what people may look at and act on while it is in use."""

    __slots__ = ()

    actions: ClassVar[Mapping[str, Action]] = {}
    """What the class offers, by name."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        found: dict[str, Action] = {}
        for base in reversed(cls.__mro__):
            for name, member in vars(base).items():
                if isinstance(made := getattr(member, "_action", None), Action):
                    found[made.name] = made
                else:  # one that is overridden without the mark is offered no more
                    found.pop(name.replace("_", "-"), None)
        cls.actions = found

    def figures(self) -> dict[str, Any]:
        """What it can tell about itself, as data that JSON can carry; asked on the loop's thread, at any time."""
        return {}
