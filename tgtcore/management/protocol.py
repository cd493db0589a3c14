"""The management protocol: one JSON object in each line, requests one way, responses the other.

Request: ``{"version": 1, "id": 7, "verb": "lun list", "arguments": {...}}``.
With ``"progress": true`` in it, a verb that waits sends a message each second before its response, ``{"version": 1, "id": 7,
"progress": {...}}``; see :mod:`tgtcore.management.progress`.
Response: ``{"version": 1, "id": 7, "result": ...}`` or
``{"version": 1, "id": 7, "error": {"code": "busy", "message": "...", "problems": ["..."]}}``.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tgtcore.errors import ConfigError, Draining, DrainTimeout, InUse, NotThere, PluginError, TgtError

VERSION = 1
_VERB_CHARACTERS_MAX = 100
_ELEMENTS_AT_ONCE = 100


class Code(Enum):
    """Why a verb failed, and the exit status that ``tgtadm`` makes of it."""

    FAILED = ("failed", 1)
    CONFIG = ("config", 2)
    PLUGIN = ("plugin", 3)
    NOT_FOUND = ("not-found", 4)
    BUSY = ("busy", 5)
    NO_DAEMON = ("no-daemon", 6)
    NOT_PERMITTED = ("not-permitted", 7)
    PROTOCOL = ("protocol", 8)
    INTERRUPTED = ("interrupted", 130)

    def __init__(self, word: str, exit_status: int) -> None:
        self.word = word
        self.exit_status = exit_status

    @classmethod
    def of_word(cls, word: str) -> "Code":
        """The code that a response names; FAILED for one that is not known here."""
        return next((code for code in cls if code.word == word), cls.FAILED)


class VerbError(TgtError):
    """A verb failed for a reason that has a code of its own."""

    def __init__(self, code: Code, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.problems = problems or (message,)


def code_of(error: BaseException) -> Code:
    """The code of any error."""
    if isinstance(error, VerbError):
        return error.code
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return Code.FAILED


_CODES: tuple[tuple[type[BaseException], Code], ...] = (
    (ConfigError, Code.CONFIG),
    (PluginError, Code.PLUGIN),
    (DrainTimeout, Code.BUSY),
    (NotThere, Code.NOT_FOUND),
    (Draining, Code.BUSY),
    (InUse, Code.BUSY),
    (PermissionError, Code.NOT_PERMITTED),
)


@dataclass(frozen=True)
class Request:
    """One request.

    :param progress: whether the client wants to hear how a verb that waits gets on.
    """

    verb: str
    arguments: dict[str, Any] = field(default_factory=dict)
    id: int = 0
    progress: bool = False


def encode(message: dict[str, Any]) -> bytes:
    """One line."""
    return _text(message).encode() + b"\n"


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), default=str)


def _pieces(value: Any, depth: int = 0) -> Iterator[str]:
    """The text of a value in pieces that take little time each: the outermost levels are taken apart, and whatever is long."""
    if not isinstance(value, (dict, list)) or not value or (depth > 1 and len(value) <= _ELEMENTS_AT_ONCE):
        yield _text(value)
        return
    before, end = "{}" if isinstance(value, dict) else "[]"
    for element in value:
        yield before
        if isinstance(value, dict):
            yield _text({element: 0})[1:-2]
            yield from _pieces(value[element], depth + 1)
        else:
            yield from _pieces(element, depth + 1)
        before = ","
    yield end


def request_line(request: Request) -> bytes:
    """A request as its line."""
    asked = {"version": VERSION, "id": request.id, "verb": request.verb, "arguments": request.arguments}
    return encode(asked | ({"progress": True} if request.progress else {}))


def result_pieces(request_id: Any, result: Any) -> Iterator[str]:
    """The response to a verb that succeeded, in pieces: a long one takes its time, and others want their turn meanwhile."""
    yield from _pieces({"version": VERSION, "id": request_id, "result": result})
    yield "\n"


def progress_line(request_id: Any, progress: dict[str, Any]) -> bytes:
    """A verb is still waiting."""
    return encode({"version": VERSION, "id": request_id, "progress": progress})


def error_line(request_id: Any, error: BaseException) -> bytes:
    """The response to a verb that failed."""
    problems = list(getattr(error, "problems", ())) or [str(error) or type(error).__name__]
    told = {"code": code_of(error).word, "message": "\n".join(problems), "problems": problems}
    return encode({"version": VERSION, "id": request_id, "error": told})


def parse_request(line: bytes) -> Request:
    """A request of a line.

    :raises VerbError: it is none; the message says what was expected.
    """
    try:
        message = json.loads(line)
        json.dumps(message, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        raise VerbError(Code.PROTOCOL, "expected one JSON object in each line") from None
    if not isinstance(message, dict):
        raise VerbError(Code.PROTOCOL, "expected a JSON object")
    if message.get("version") != VERSION:
        raise VerbError(
            Code.PROTOCOL,
            f"this daemon speaks version {VERSION} of the management protocol, the request has another one",
        )
    verb, arguments, number = message.get("verb"), message.get("arguments", {}), message.get("id", 0)
    if not isinstance(verb, str) or not isinstance(arguments, dict) or not isinstance(number, int):
        raise VerbError(Code.PROTOCOL, "expected verb: a string, arguments: an object, id: a number")
    return Request(verb[:_VERB_CHARACTERS_MAX], arguments, number, message.get("progress") is True)


def parse_message(line: bytes) -> dict[str, Any]:
    """What a daemon sends: a response, or progress.

    :raises VerbError: it is neither.
    """
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise VerbError(Code.PROTOCOL, "the daemon's answer is not understood; are tgtadm and tgtd of one version?")
    return message


def result_of(message: dict[str, Any]) -> Any:
    """The result in a response.

    :raises VerbError: the verb failed.
    """
    error = message.get("error")
    if error is not None:
        raise told_error(error)
    return message.get("result")


def told_error(error: dict[str, Any]) -> VerbError:
    """The error of a response."""
    return VerbError(Code.of_word(error.get("code", "")), error.get("message", ""), tuple(error.get("problems", ())))
