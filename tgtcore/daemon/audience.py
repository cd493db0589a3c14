"""Who waits for the answer to what is being done: told how it gets on, and asked whether it is still there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


def _nobody_told(news: object) -> None:
    return


def _stays() -> bool:
    return False


@dataclass(frozen=True)
class Audience:
    """Somebody who waits.

    :param tell: takes news: a departure or a copy that is under way, or a step of a plan.
    :param gone: whether it waits no more.
    """

    tell: Callable[[object], None] = _nobody_told
    gone: Callable[[], bool] = _stays


_NOBODY = Audience()
_audience: ContextVar[Audience] = ContextVar("audience", default=_NOBODY)


@contextmanager
def heard_by(audience: Audience) -> Iterator[None]:
    """In this context, somebody hears what there is to tell."""
    token = _audience.set(audience)
    try:
        yield
    finally:
        _audience.reset(token)


def present_audience() -> Audience:
    """Who waits in this context; perhaps somebody who hears nothing and never goes."""
    return _audience.get()
