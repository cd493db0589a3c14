"""Signals that a driver emits, on their way to the listeners in the daemon."""

import json
import logging
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import AfterValidator, Field, JsonValue, ValidationError

from tgtcore import signals
from tgtcore.errors import RingError
from tgtcore.isolation.answers import first_problem
from tgtcore.isolation.orders import printable
from tgtcore.options import Options
from tgtcore.ring import Request, messages
from tgtcore.target import Target
from tgtcore.transport import Transport

if TYPE_CHECKING:
    from tgtcore.isolation.correspondent import Correspondent

_log = logging.getLogger(__name__)

_TEXT_MAX = 240
"""Characters of a text: with four of them, in UTF-8, a signal fits into a payload."""
_UNHEARD_MAX = 256
"""Signals that the core has not answered; more than that are lost, for nobody waits for them."""

_Text = Annotated[str, Field(max_length=_TEXT_MAX), AfterValidator(printable)]


class _Portal(Options):
    """A portal has a name, and that is all."""


class _Refusal(Options):
    initiator: _Text
    address: _Text
    reason: _Text


class _Limit(Options):
    limit: _Text
    value: Annotated[int, Field(ge=0, lt=1 << 63)]


PASSED_ON: dict[str, type[Options]] = {
    "limit_reached": _Limit,
    "login_refused": _Refusal,
    "portal_closed": _Portal,
    "portal_opened": _Portal,
}
"""The signals that a driver may emit, with their news.  The core itself emits those about what it has."""


class _Told(Options):
    """A signal as it goes over the ring."""

    signal: str
    news: dict[str, JsonValue] = {}
    sender: _Text | None = None
    target: int = 0


class RemoteSender(NamedTuple):
    """Who has emitted a signal in a driver, where the core has no such object.

    :param transport: the registered name of the driver's transport.
    :param name: what the driver calls it; empty: it is the transport itself.
    """

    transport: str
    name: str

    def __str__(self) -> str:
        return self.name or f"transport {self.transport}"


def heard(payload: bytes, targets: Mapping[int, Target], transport: str) -> None:
    """Emit what a driver has told.

    :param targets: those that the driver knows, by number.
    :raises RingError: there is no such signal, or it is not a driver's.
    """
    try:
        told = _Told.model_validate_json(payload)
        kind = PASSED_ON.get(told.signal)
        if kind is None:
            raise RingError(f"a signal that no driver emits: {printable(told.signal[:_TEXT_MAX])}")
        news = kind.model_validate(told.news)
    except ValidationError as error:
        raise RingError(f"a signal that can't be: {first_problem(error)}") from None
    sender = RemoteSender(transport, told.sender) if told.sender is not None else targets.get(told.target)
    signals.emit(signals.every_signal()[told.signal], sender, **dict(news))


class Teller:
    """Passes the signals of this process on to the core, without waiting for it.

    :param known: the targets by number, as the core has told.
    """

    def __init__(self, correspondent: "Correspondent", known: Mapping[int, Target]) -> None:
        self._correspondent = correspondent
        self._known = known
        self._unheard = 0
        self._lost = 0

    def listen(self) -> None:
        """From now on, pass on what is emitted here."""
        for name in PASSED_ON:
            signals.every_signal()[name].connect(partial(self.tell, name), weak=False)

    def tell(self, name: str, sender: Any, /, **news: Any) -> None:
        """Pass a signal on; one that finds too many before it is lost."""
        if self._unheard >= _UNHEARD_MAX:
            self._lost += 1
            return
        about = {key: _cut(value) for key, value in news.items()}
        payload = json.dumps({"signal": name, "news": about, **self._sender(sender)}, ensure_ascii=False).encode()

        def values(offset: int) -> tuple[int | None, ...]:
            return Request.SIGNAL, 0, 0, len(payload), None, offset

        self._unheard += 1
        self._correspondent.enquiries.tell(messages.SIGNAL, payload, self._answered, values)

    def _answered(self) -> None:
        self._unheard -= 1
        if self._lost and not self._unheard:
            _log.warning("%d signals have not been passed on: there were too many at once", self._lost)
            self._lost = 0

    def _sender(self, sender: Any) -> dict[str, Any]:
        if sender is None:
            return {}
        if isinstance(sender, Target):
            return {"target": next((number for number, target in self._known.items() if target is sender), 0)}
        return {"sender": "" if isinstance(sender, Transport) else _cut(str(sender))}


def _cut(value: Any) -> Any:
    return printable(value)[:_TEXT_MAX] if isinstance(value, str) else value
