"""A thin typed binding of libiscsi (Debian package libiscsi7): its synchronous calls, enough for any command."""

import ctypes
import itertools
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_ubyte, c_uint32, c_void_p
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self
from urllib.parse import urlsplit

GOOD = 0x00
CHECK_CONDITION = 0x02
RESERVATION_CONFLICT = 0x18
TASK_ABORTED = 0x40

ABORT_TASK_SET = 2
LOGICAL_UNIT_RESET = 5
TARGET_WARM_RESET = 6

_LIBRARY = "libiscsi.so.7"
_NORMAL_SESSION = 2
_DISCOVERY_SESSION = 1
_READ, _WRITE = 1, 2
NO_RESPONSE = 0x0F000000  # statuses from here on are libiscsi's own: cancelled, error, timeout
_ISID_VENDOR = 0x1F00
_serial = itertools.count(0x100)


class HeaderDigest(IntEnum):
    """What is offered for the header digest."""

    NONE = 0
    CRC32C = 3


class InitiatorError(Exception):
    """No answer: the login was refused, the connection is gone, or time is up."""


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    status: int
    data_in: bytes
    sense_key: int
    additional_sense: int
    residual: int

    @property
    def good(self) -> bool:
        """Status GOOD."""
        return self.status == GOOD


class _Sense(ctypes.Structure):
    _fields_ = [
        ("error_type", c_ubyte), ("key", c_int), ("ascq", c_int), ("flags", c_ubyte),
        ("bit_pointer", c_ubyte), ("field_pointer", ctypes.c_uint16),
    ]  # fmt: skip


class _DataIn(ctypes.Structure):
    _fields_ = [("size", c_int), ("data", POINTER(c_ubyte))]


class ScsiTask(ctypes.Structure):
    """The head of struct scsi_task, as far as it is read here."""

    _fields_ = [
        ("status", c_int), ("cdb_size", c_int), ("direction", c_int), ("expected", c_int), ("cdb", c_ubyte * 16),
        ("residual_status", c_int), ("residual", c_size_t), ("sense", _Sense), ("data_in", _DataIn),
    ]  # fmt: skip


class DataOut(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("data", c_char_p)]


class _Portal(ctypes.Structure):
    pass


_Portal._fields_ = [("next", POINTER(_Portal)), ("portal", c_char_p)]


class _Address(ctypes.Structure):
    pass


_Address._fields_ = [("next", POINTER(_Address)), ("name", c_char_p), ("portals", POINTER(_Portal))]

COMMAND_CALLBACK = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_void_p, c_void_p)
"""Context, status, command data, private data."""

_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "iscsi_create_context": (c_void_p, (c_char_p,)),
    "iscsi_destroy_context": (c_int, (c_void_p,)),
    "iscsi_set_targetname": (c_int, (c_void_p, c_char_p)),
    "iscsi_set_session_type": (c_int, (c_void_p, c_int)),
    "iscsi_set_header_digest": (c_int, (c_void_p, c_int)),
    "iscsi_set_initiator_username_pwd": (c_int, (c_void_p, c_char_p, c_char_p)),
    "iscsi_set_target_username_pwd": (c_int, (c_void_p, c_char_p, c_char_p)),
    "iscsi_set_isid_en": (c_int, (c_void_p, c_uint32, c_uint32)),
    "iscsi_set_noautoreconnect": (None, (c_void_p, c_int)),
    "iscsi_set_timeout": (c_int, (c_void_p, c_int)),
    "iscsi_connect_sync": (c_int, (c_void_p, c_char_p)),
    "iscsi_login_sync": (c_int, (c_void_p,)),
    "iscsi_logout_sync": (c_int, (c_void_p,)),
    "iscsi_disconnect": (c_int, (c_void_p,)),
    "iscsi_get_error": (c_char_p, (c_void_p,)),
    "iscsi_discovery_sync": (POINTER(_Address), (c_void_p,)),
    "iscsi_free_discovery_data": (None, (c_void_p, POINTER(_Address))),
    "iscsi_task_mgmt_sync": (c_int, (c_void_p, c_int, c_int, c_uint32, c_uint32)),
    "iscsi_scsi_command_sync": (POINTER(ScsiTask), (c_void_p, c_int, POINTER(ScsiTask), POINTER(DataOut))),
    "iscsi_scsi_command_async": (
        c_int,
        (c_void_p, c_int, POINTER(ScsiTask), COMMAND_CALLBACK, POINTER(DataOut), c_void_p),
    ),
    "iscsi_task_mgmt_async": (c_int, (c_void_p, c_int, c_int, c_uint32, c_uint32, COMMAND_CALLBACK, c_void_p)),
    "iscsi_scsi_cancel_all_tasks": (None, (c_void_p,)),
    "iscsi_get_fd": (c_int, (c_void_p,)),
    "iscsi_which_events": (c_int, (c_void_p,)),
    "iscsi_service": (c_int, (c_void_p, c_int)),
    "iscsi_out_queue_length": (c_int, (c_void_p,)),
    "scsi_create_task": (POINTER(ScsiTask), (c_int, c_char_p, c_int, c_int)),
    "scsi_free_scsi_task": (None, (POINTER(ScsiTask),)),
}


def _load() -> ctypes.CDLL:
    library = ctypes.CDLL(_LIBRARY)
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


library = _load()


def direction_of(read: int, data_out: bytes) -> int:
    """libiscsi's word for which way a command's data goes."""
    return _WRITE if data_out else _READ if read else 0


def answer_of(task: ScsiTask) -> Answer | None:
    """What the target answered to a task that is over; None where it did not."""
    if task.status >= NO_RESPONSE:
        return None
    data = ctypes.string_at(task.data_in.data, task.data_in.size) if task.data_in.size > 0 else b""
    return Answer(task.status, data, task.sense.key, task.sense.ascq, task.residual)


class Session:
    """One session with one target; a context manager that logs out."""

    def __init__(
        self,
        url: str,
        *,
        name: str = "iqn.2025-01.example.libiscsi:initiator",
        chap: tuple[str, str] | None = None,
        mutual: tuple[str, str] | None = None,
        header_digest: HeaderDigest = HeaderDigest.NONE,
        timeout_s: int = 20,
        discovery: bool = False,
        isid: int | None = None,
    ) -> None:
        """`isid`: the qualifier of the ISID; a login with a name and ISID that are in use reinstates the session."""
        parts = urlsplit(url)
        target, _, lun = parts.path.strip("/").partition("/")
        self.lun = int(lun or 0)
        self._context: int | None = library.iscsi_create_context(name.encode())
        if not self._context:
            raise MemoryError("libiscsi made no context")
        context = self._context
        library.iscsi_set_isid_en(context, _ISID_VENDOR, next(_serial) if isid is None else isid)
        library.iscsi_set_noautoreconnect(context, 1)
        library.iscsi_set_timeout(context, timeout_s)
        library.iscsi_set_session_type(context, _DISCOVERY_SESSION if discovery else _NORMAL_SESSION)
        library.iscsi_set_header_digest(context, header_digest)
        if target:
            library.iscsi_set_targetname(context, target.encode())
        if chap:
            library.iscsi_set_initiator_username_pwd(context, *(word.encode() for word in chap))
        if mutual:
            library.iscsi_set_target_username_pwd(context, *(word.encode() for word in mutual))
        if library.iscsi_connect_sync(context, parts.netloc.encode()) or library.iscsi_login_sync(context):
            reason = self._reason()
            self.drop()
            raise InitiatorError(f"login to {url}: {reason}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._context:
            library.iscsi_logout_sync(self._context)
            self.drop()

    def drop(self) -> None:
        """Close the connection without a word."""
        if self._context:
            library.iscsi_disconnect(self._context)
            library.iscsi_destroy_context(self._context)
            self._context = None

    def command(self, cdb: bytes, *, read: int = 0, data_out: bytes = b"", lun: int | None = None) -> Answer:
        """Send one CDB, up to 16 bytes, and wait; `read` is the expected length of data-in in bytes."""
        task = library.scsi_create_task(len(cdb), cdb, direction_of(read, data_out), len(data_out) or read)
        out = ctypes.byref(DataOut(len(data_out), data_out)) if data_out else None
        number = self.lun if lun is None else lun
        done = library.iscsi_scsi_command_sync(self.context, number, task, out)
        try:
            answer = answer_of(task.contents) if done else None
            if answer is None:
                raise InitiatorError(f"CDB {cdb.hex(' ')}: {self._reason()}")
            return answer
        finally:
            library.scsi_free_scsi_task(task)

    def manage(self, function: int, lun: int | None = None) -> None:
        """A task management function on the LUN; InitiatorError where it is not completed."""
        number = self.lun if lun is None else lun
        if library.iscsi_task_mgmt_sync(self.context, number, function, 0xFFFFFFFF, 0):
            raise InitiatorError(f"task management function {function}: {self._reason()}")

    def targets(self) -> dict[str, list[str]]:
        """Names and portals that a discovery session reports."""
        first = library.iscsi_discovery_sync(self.context)
        if not first:
            raise InitiatorError(f"SendTargets: {self._reason()}")
        found = {
            _text(address.name): [_text(portal.portal) for portal in _chain(address.portals)]
            for address in _chain(first)
        }
        library.iscsi_free_discovery_data(self.context, first)
        return found

    def ready(self) -> None:
        """TEST UNIT READY until every unit attention has been reported."""
        for _ in range(8):
            if self.command(bytes(6)).good:
                return
        raise InitiatorError("the logical unit does not become ready")

    @property
    def context(self) -> int:
        """libiscsi's own handle; InitiatorError once the session was dropped."""
        if not self._context:
            raise InitiatorError("the session was dropped")
        return self._context

    def _reason(self) -> str:
        return _text(library.iscsi_get_error(self._context))


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")


def _chain(link: Any) -> list[Any]:
    found = []
    while link:
        found.append(link.contents)
        link = link.contents.next
    return found
