"""What travels over the ring: every message with its fields.

Requests go from the driver to the core, responses and events from the core to the driver.  Each request is answered by exactly one
response, each event by exactly one ACKNOWLEDGE; a command may be asked for its data-out in between.
"""

from enum import IntEnum

from tgtcore.ring.layout import Field, Layout

REQUEST_SLOT_BYTES = 128
RESPONSE_SLOT_BYTES = 288
CDB_INLINE_BYTES = 32
SENSE_BYTES = 256
"""More than the longest sense data (SPC-5 4.4.1: 252 bytes); error texts are cut to it."""


class Request(IntEnum):
    """What a driver says."""

    COMMAND = 1
    DATA = 2
    TASK_MANAGEMENT = 3
    NEXUS_OPEN = 4
    NEXUS_CLOSE = 5
    ADMIT = 6
    ACCOUNT = 7
    ACKNOWLEDGE = 8
    INHERIT = 9
    SIGNAL = 10


class Response(IntEnum):
    """What the core answers to requests."""

    COMPLETION = 1
    WANT_DATA = 2
    TASK_MANAGEMENT_DONE = 3
    NEXUS_OPENED = 4
    NEXUS_CLOSED = 5
    ADMITTED = 6
    ACCOUNT_FOUND = 7
    INHERITED = 8
    SIGNAL_HEARD = 9


class Event(IntEnum):
    """What the core wants of a driver; each number is a message type of the response ring."""

    OPTIONS = 64
    TARGET_ADDED = 65
    TARGET_CHANGED = 66
    TARGET_REMOVED = 67
    LUNS_CHANGED = 68
    START = 69
    STOP_LISTENING = 70
    DROP_TARGET = 71
    DROP_SESSION = 72
    CLOSE = 73
    SHOW = 74
    LISTENING = 75
    ASK_TO_LOG_OUT = 76


OPTIONAL_EVENTS = frozenset(
    {
        Event.TARGET_CHANGED,
        Event.LUNS_CHANGED,
        Event.DROP_SESSION,
        Event.SHOW,
        Event.LISTENING,
        Event.ASK_TO_LOG_OUT,
    }
)
"""Those that a driver may answer with AckStatus.UNSUPPORTED."""


class RingFunction(IntEnum):
    """Task management functions; NEXUS_TASKS aborts every task of the nexus in silence, as its loss does, but keeps the nexus."""

    ABORT_TASK = 1
    ABORT_TASK_SET = 2
    CLEAR_ACA = 3
    CLEAR_TASK_SET = 4
    I_T_NEXUS_RESET = 5
    LOGICAL_UNIT_RESET = 6
    QUERY_ASYNCHRONOUS_EVENT = 7
    QUERY_TASK = 8
    QUERY_TASK_SET = 9
    TARGET_RESET = 10
    NEXUS_TASKS = 11


class OpenStatus(IntEnum):
    """How NEXUS_OPEN went."""

    OPENED = 0
    TARGET_GOING_AWAY = 1
    FAILED = 2
    NEXUS_IN_USE = 3


class AckStatus(IntEnum):
    """How an event went."""

    DONE = 0
    UNSUPPORTED = 1
    FAILED = 2


SILENT = 1
"""Flag of COMPLETION: the command was aborted, and its initiator is told nothing."""


def _kind(meaning: str = "message type") -> Field:
    return Field("type", "u8", meaning)


_ID = Field("id", "u64", "chosen by the driver, unique among its unanswered requests; the response carries it")
_NEXUS = Field("nexus", "u32", "number of the I_T nexus, chosen by the driver in NEXUS_OPEN")
_EVENT_ID = Field("id", "u64", "chosen by the core, never 0; the ACKNOWLEDGE carries it")
_RESERVED8 = Field("reserved", "u8", "0")
_RESERVED16 = Field("reserved2", "u16", "0")
_RESERVED32 = Field("reserved4", "u32", "0")
_OFFSET = Field("offset", "u64", "where the payload is in the data area")
_LENGTH = Field("length", "u32", "bytes of payload")


def _text_head(what: str) -> tuple[Field, ...]:
    return (_kind(), Field("status", "u8", what), _RESERVED16)


_TEXT = (Field("text_length", "u32", "bytes of text"), _ID, Field("text", SENSE_BYTES, "why, in UTF-8, for people"))

COMMAND = Layout(
    "command",
    "A SCSI command.  Its data-out and the room for its data-in are the driver's to choose in the data area, and the core's to use "
    "until the COMPLETION.",
    _kind(),
    Field(
        "attribute",
        "u8",
        "task attribute: 0 untagged, 1 simple, 2 ordered, 3 head of queue; others, which initiators may send, count as ordered",
    ),
    Field("cdb_length", "u16", "bytes of the CDB, at most 260"),
    _NEXUS,
    _ID,
    Field("lun", "u64", "the 8 bytes of the LUN field, read as one big-endian number"),
    Field("data_out_offset", "u64", "where the data-out that is here begins"),
    Field("data_in_offset", "u64", "where data-in is wanted"),
    Field("data_out_length", "u32", "bytes of data-out that are here; WANT_DATA asks for more"),
    Field("data_out_expected", "u32", "bytes of data-out that the initiator is going to send in all"),
    Field("data_in_room", "u32", "bytes reserved at data_in_offset"),
    Field("data_in_expected", "u32", "bytes of data-in that the initiator has room for"),
    Field("cdb_offset", "u64", "where a CDB of more than 32 bytes is in the data area, all of it"),
    Field("cdb", CDB_INLINE_BYTES, "a CDB of up to 32 bytes; of a shorter one than 16, zeroes up to there"),
)
DATA = Layout(
    "data",
    "All the data-out that WANT_DATA has asked for, from its first byte on.",
    _kind(),
    _RESERVED8,
    _RESERVED16,
    _LENGTH,
    Field("id", "u64", "that of the command"),
    _OFFSET,
)
TASK_MANAGEMENT = Layout(
    "task_management",
    "A task management function (SAM-5 clause 7).",
    _kind(),
    Field("function", "u8", "one of the functions below"),
    _RESERVED16,
    _NEXUS,
    _ID,
    Field("lun", "u64", "as in a command; functions on a nexus or target ignore it"),
    Field("referenced", "u64", "id of the command that ABORT_TASK and QUERY_TASK mean"),
)
NEXUS_OPEN = Layout(
    "nexus_open",
    "An initiator port has logged in.  Payload, each with its length before it as u16: initiator name, its address, "
    "its TransportID, name of the target port.",
    _kind(),
    Field("protocol", "u8", "PROTOCOL IDENTIFIER of the target port"),
    Field("relative_id", "u16", "relative target port identifier, from 1 on"),
    _NEXUS,
    _ID,
    _OFFSET,
    _LENGTH,
    Field("target", "u32", "number of the target, from TARGET_ADDED"),
    Field("group", "u32", "target port group, 1 to 65535"),
    _RESERVED32,
)
NEXUS_CLOSE = Layout(
    "nexus_close",
    "A nexus is lost: its tasks are aborted in silence, each with its COMPLETION; then comes NEXUS_CLOSED.",
    _kind(),
    Field(
        "logged_out",
        "u8",
        "1: its initiator has ended the session itself; 0: the connection was lost, or anything else",
    ),
    _RESERVED16,
    _NEXUS,
    _ID,
)
ADMIT = Layout(
    "admit",
    "Whether an initiator may log in to a target.  Payload, each with its length before it as u16: initiator name, "
    "its address, its TransportID, the portal.",
    _kind(),
    _RESERVED8,
    _RESERVED16,
    Field("target", "u32", "number of the target"),
    _ID,
    _OFFSET,
    _LENGTH,
    _RESERVED32,
)
ACCOUNT = Layout(
    "account",
    "Asks for a configured account.  Payload: its name.  The answer comes into the same place: user name and secret, each with its "
    "length before it as u16.",
    _kind(),
    _RESERVED8,
    _RESERVED16,
    _LENGTH,
    _ID,
    _OFFSET,
    Field("room", "u32", "bytes that the answer may have"),
    _RESERVED32,
)
INHERIT = Layout(
    "inherit",
    "Asks for a socket that listens already, at the address that is the payload.  If there is one, its descriptor comes over the "
    "socket of the attachment before the answer, in a packet with that address.",
    _kind(),
    _RESERVED8,
    _RESERVED16,
    _LENGTH,
    _ID,
    _OFFSET,
)
SIGNAL = Layout(
    "signal",
    "Something has happened that listeners in the daemon may want to know; whoever emits none loses nothing.  Payload: JSON, an "
    "object with signal, one of the names below; news, an object with its news; and who it comes from: target, the number of a "
    "target, or sender, a name for people, empty for the transport itself, or neither.",
    _kind(),
    _RESERVED8,
    _RESERVED16,
    _LENGTH,
    _ID,
    _OFFSET,
)
ACKNOWLEDGE = Layout(
    "acknowledge",
    "The answer to an event.  Payload, in the event's own buffer: what SHOW asks for, or why it failed, in UTF-8.",
    _kind(),
    Field("status", "u8", "0 done, 1 unsupported, 2 failed"),
    _RESERVED16,
    _LENGTH,
    _EVENT_ID,
)

COMPLETION = Layout(
    "completion",
    "A command has ended; its places in the data area are the driver's again.",
    _kind(),
    Field("status", "u8", "SCSI status"),
    Field("flags", "u16", "1: aborted, the initiator is told nothing"),
    Field("sense_length", "u32", "bytes of sense data"),
    _ID,
    Field("data_in_length", "u64", "bytes of data-in that there are; those that fit are in their place"),
    Field("wanted_out", "u32", "bytes of data-out that the command asked for"),
    _RESERVED32,
    Field("sense", SENSE_BYTES, "sense data"),
)
COMPLETION_HEAD = Layout("completion_head", "A completion without its sense data.", *COMPLETION.fields[:-1])
WANT_DATA = Layout(
    "want_data",
    "A command can go on when so much of its data-out is there; answer with DATA.",
    _kind(),
    _RESERVED8,
    _RESERVED16,
    Field("wanted_out", "u32", "bytes of data-out in all, never more than the initiator is going to send"),
    _ID,
)
TASK_MANAGEMENT_DONE = Layout(
    "task_management_done",
    "What a function aborted has ended.",
    _kind(),
    Field("response", "u8", "0 complete, 1 succeeded, 2 rejected, 3 incorrect LUN, 4 no such task"),
    _RESERVED16,
    _RESERVED32,
    _ID,
)
NEXUS_OPENED = Layout(
    "nexus_opened",
    "How NEXUS_OPEN went.",
    *_text_head("0 opened, 1 the target is going away, 2 failed, 3 commands of before have not ended"),
    *_TEXT,
)
NEXUS_CLOSED = Layout(
    "nexus_closed",
    "The last task of a nexus has ended; its number is free.",
    _kind(),
    _RESERVED8,
    _RESERVED16,
    _RESERVED32,
    _ID,
)
ADMITTED = Layout(
    "admitted",
    "Whether an initiator may log in.",
    _kind(),
    Field("admitted", "u8", "1 yes, 0 no"),
    _RESERVED16,
    _RESERVED32,
    _ID,
)
ACCOUNT_FOUND = Layout(
    "account_found",
    "The account, in the place that was asked for.",
    _kind(),
    Field("found", "u8", "1 yes, 0 no"),
    _RESERVED16,
    _LENGTH,
    _ID,
)
INHERITED = Layout(
    "inherited",
    "Whether there is such a socket.",
    _kind(),
    Field("found", "u8", "1 yes, 0 no"),
    _RESERVED16,
    _RESERVED32,
    _ID,
)
SIGNAL_HEARD = Layout(
    "signal_heard",
    "The listeners have been told.",
    _kind(),
    _RESERVED8,
    _RESERVED16,
    _RESERVED32,
    _ID,
)
EVENT = Layout(
    "event",
    "Something that the core wants; its payload is in an event buffer until the ACKNOWLEDGE.",
    _kind("which event"),
    _RESERVED8,
    _RESERVED16,
    _LENGTH,
    _EVENT_ID,
    Field("buffer", "u32", "number of the event buffer"),
    Field("target", "u32", "number of the target that it is about, or 0"),
    Field("timeout_ms", "u32", "how long initiators are given to log out"),
    _RESERVED32,
)

REQUESTS: dict[Request, Layout] = {
    Request.COMMAND: COMMAND,
    Request.DATA: DATA,
    Request.TASK_MANAGEMENT: TASK_MANAGEMENT,
    Request.NEXUS_OPEN: NEXUS_OPEN,
    Request.NEXUS_CLOSE: NEXUS_CLOSE,
    Request.ADMIT: ADMIT,
    Request.ACCOUNT: ACCOUNT,
    Request.ACKNOWLEDGE: ACKNOWLEDGE,
    Request.INHERIT: INHERIT,
    Request.SIGNAL: SIGNAL,
}
RESPONSES: dict[Response, Layout] = {
    Response.COMPLETION: COMPLETION,
    Response.WANT_DATA: WANT_DATA,
    Response.TASK_MANAGEMENT_DONE: TASK_MANAGEMENT_DONE,
    Response.NEXUS_OPENED: NEXUS_OPENED,
    Response.NEXUS_CLOSED: NEXUS_CLOSED,
    Response.ADMITTED: ADMITTED,
    Response.ACCOUNT_FOUND: ACCOUNT_FOUND,
    Response.INHERITED: INHERITED,
    Response.SIGNAL_HEARD: SIGNAL_HEARD,
}
EVENTS: dict[Event, str] = {
    Event.OPTIONS: "The transport's options.  Payload: JSON.  Before START those to begin with, later new ones to take into force.",
    Event.TARGET_ADDED: "There is a target.  Payload: the length of its name as u16, its name, then JSON: alias, options, open, "
    "drained.",
    Event.TARGET_CHANGED: "Something about a target is different; payload as of TARGET_ADDED.",
    Event.TARGET_REMOVED: "A target is gone; its number may be given to another one.",
    Event.LUNS_CHANGED: "The LUNs of a target that everybody sees.  Payload: each as u64, in the form of a command's LUN field.",
    Event.START: "Everything is known; take initiators in.",
    Event.STOP_LISTENING: "Take no new initiators; sessions that are there go on, logins under way end without one.",
    Event.DROP_TARGET: "End every session with a target at once; it is answered when its last command has ended.",
    Event.DROP_SESSION: "End a session at once.  Payload: its id, as SHOW tells it.  Answer, when its last command has ended: "
    "1, or 0 if there is none.",
    Event.CLOSE: "End every session at once; when the last command has ended, so does the driver.",
    Event.SHOW: "Payload: the name of what is asked for: portals, sessions, statistics, urls or ports; for sessions also a blank "
    "and how many are known already.  Answer: JSON.  A session has the number of its nexus.",
    Event.LISTENING: "Pass on the listening sockets, one packet for each over the socket of the attachment: its address and its "
    "descriptor.  Answer: how many there are, in decimal digits.",
    Event.ASK_TO_LOG_OUT: "Ask initiators to log out within timeout_ms, where the protocol can say that; go on to serve them.  "
    "Payload: the ids of the sessions, as a JSON array.",
}
