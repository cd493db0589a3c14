"""The tables of docs/reference/ring.md, and the C header of contrib/ring-driver: both say what tgtcore.ring says."""

import re
import textwrap
from collections.abc import Callable, Iterator
from enum import IntEnum

from tgtcore import limits, signals
from tgtcore.isolation.signalling import PASSED_ON
from tgtcore.nexus import TmfResponse
from tgtcore.ring import geometry, messages
from tgtcore.ring.attach import HELLO, WELCOME, WelcomeStatus
from tgtcore.ring.layout import Field, Layout
from tgtcore.ring.passing import ADDRESS_BYTES_MAX
from tgtcore.task import Attribute

Table = Callable[[list[str], list[list[str]]], str]

STRUCTURES = (
    HELLO,
    WELCOME,
    geometry.HEADER,
    *messages.REQUESTS.values(),
    *messages.RESPONSES.values(),
    messages.EVENT,
)
ENUMERATIONS: dict[str, tuple[type[IntEnum], str]] = {
    "welcome": (WelcomeStatus, "status of a welcome"),
    "request": (messages.Request, "type of a request"),
    "response": (messages.Response, "type of a response"),
    "event": (messages.Event, "type of an event"),
    "attribute": (Attribute, "attribute of a command"),
    "function": (messages.RingFunction, "function of task_management"),
    "tmf": (TmfResponse, "response of task_management_done"),
    "open": (messages.OpenStatus, "status of nexus_opened"),
    "ack": (messages.AckStatus, "status of acknowledge"),
}
NUMBERS: dict[str, tuple[int, str]] = {
    "ABI_VERSION": (geometry.ABI_VERSION, "of this header"),
    "SILENT": (messages.SILENT, "flag of a completion: aborted, the initiator is told nothing"),
    "COUNT_BYTES": (8, "a count in a doorbell"),
    "REQUEST_SLOT_BYTES": (messages.REQUEST_SLOT_BYTES, "as the header page says too"),
    "RESPONSE_SLOT_BYTES": (messages.RESPONSE_SLOT_BYTES, "as the header page says too"),
    "CDB_INLINE_BYTES": (messages.CDB_INLINE_BYTES, "a longer CDB is in the data area"),
    "CDB_BYTES_MAX": (limits.CDB_BYTES_MAX, "the longest CDB"),
    "SENSE_BYTES": (messages.SENSE_BYTES, "room for sense data or a text"),
    "PAYLOAD_BYTES_MAX": (limits.RING_PAYLOAD_BYTES_MAX, "the longest payload of a request in the data area"),
    "ADDRESS_BYTES_MAX": (ADDRESS_BYTES_MAX, "the longest address of a socket that is passed on"),
    "NAME_BYTES_MAX": (limits.NAME_BYTES_MAX, "the longest name or address of an initiator port"),
    "TRANSPORT_ID_BYTES_MAX": (limits.TRANSPORT_ID_BYTES_MAX, "the longest TransportID"),
    "NEXUSES_MAX": (limits.NEXUSES_PER_DRIVER_MAX, "nexuses of one driver"),
    "TASKS_PER_NEXUS_MAX": (limits.TASKS_PER_NEXUS_MAX, "unfinished commands of one nexus; more get TASK SET FULL"),
}
_WIDTH = 100


# ---- the page ---------------------------------------------------------------------------------------------------------


def page_tables(table: Table) -> dict[str, Callable[[], str]]:
    """Every table of the page by its name."""

    def fields(layout: Layout) -> str:
        head = ["offset", "field", "type", "meaning"]
        rows = [[str(at), f"`{field.name}`", _kind(field), field.meaning] for at, field in layout.placed()]
        return f"{layout.meaning} {layout.size} bytes.\n\n{table(head, rows)}"

    def section(member: IntEnum, layout: Layout) -> str:
        return f"### `{member.name}` ({member.value})\n\n{fields(layout)}"

    def values(kind: type[IntEnum]) -> str:
        return table(["number", "name"], [[str(member.value), f"`{member.name}`"] for member in kind])

    def events() -> str:
        rows = [
            [
                str(event.value),
                f"`{event.name}`",
                "yes" if event in messages.OPTIONAL_EVENTS else "no",
                messages.EVENTS[event],
            ]
            for event in messages.Event
        ]
        return table(["number", "event", "may be unsupported", "meaning"], rows)

    def passed_on() -> str:
        rows = [[f"`{name}`", ", ".join(kind.model_fields), _news(name)] for name, kind in PASSED_ON.items()]
        return table(["signal", "news", "what has happened"], rows)

    def numbers() -> str:
        return table(
            ["name", "value", "meaning"],
            [[f"`{name}`", str(value), meaning] for name, (value, meaning) in NUMBERS.items()],
        )

    return {
        "ring hello": lambda: fields(HELLO),
        "ring welcomed": lambda: fields(WELCOME),
        "ring header": lambda: fields(geometry.HEADER),
        "ring event": lambda: fields(messages.EVENT),
        "ring requests": lambda: "\n".join(section(*item) for item in messages.REQUESTS.items()),
        "ring responses": lambda: "\n".join(section(*item) for item in messages.RESPONSES.items()),
        "ring events": events,
        "ring signals": passed_on,
        "ring numbers": numbers,
        **{f"ring {name}": (lambda kind=kind: values(kind)) for name, (kind, _) in ENUMERATIONS.items()},
    }


def _news(signal: str) -> str:
    return signals.every_signal()[signal].__doc__ or ""


def _kind(field: Field) -> str:
    return f"{field.kind} bytes" if isinstance(field.kind, int) else field.kind


# ---- the C header -----------------------------------------------------------------------------------------------------

_TOP = """\
/* SPDX-License-Identifier: Apache-2.0
 *
 * The mapped ring between tgtcore and a driver: every structure, number and limit of docs/reference/ring.md, which says how they
 * are used. For C11 and C++11.
 *
 * Generated by docs/generate.py from tgtcore/ring; edit that instead.
 */

#ifndef TGTRING_H
#define TGTRING_H

#include <stddef.h>
#include <stdint.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "all numbers of a ring are little-endian; on this machine every one has to be converted"
#endif

#ifdef __cplusplus
#define TGTRING_ASSERT(truth) static_assert(truth, #truth)
#else
#define TGTRING_ASSERT(truth) _Static_assert(truth, #truth)
#endif

#define TGTRING_MAGIC "TGTRING" /* with the zero that ends it: 8 bytes */
"""
_CTYPES = {"u8": "uint8_t", "u16": "uint16_t", "u32": "uint32_t", "u64": "uint64_t"}


def c_header() -> str:
    """The text of tgtring.h."""
    parts = [_TOP, *_enumeration_numbers(), *map(_enumeration, ENUMERATIONS), *map(_structure, STRUCTURES)]
    return "\n".join([*parts, "#endif\n"])


def _enumeration_numbers() -> Iterator[str]:
    yield "".join(f"#define TGTRING_{name} {value} /* {meaning} */\n" for name, (value, meaning) in NUMBERS.items())


def _enumeration(name: str) -> str:
    kind, meaning = ENUMERATIONS[name]
    members = "".join(f"    TGTRING_{name.upper()}_{member.name} = {member.value},\n" for member in kind)
    return f"/* {meaning} */\nenum {{\n{members}}};\n"


def _structure(layout: Layout) -> str:
    name = f"struct tgtring_{layout.name}"
    lines = [_comment(layout.meaning, ""), f"{name} {{\n"]
    for _, field in layout.placed():
        declared = f"uint8_t {field.name}[{field.kind}]" if isinstance(field.kind, int) else _member(field)
        lines.append(f"{_comment(field.meaning, '    ')}    {declared};\n")
    lines.append("};\n")
    lines.append(f"TGTRING_ASSERT(sizeof({name}) == {layout.size});\n")
    lines += [
        f"TGTRING_ASSERT(offsetof({name}, {field.name}) == {offset});\n" for offset, field in layout.placed() if offset
    ]
    return "".join(lines)


def _member(field: Field) -> str:
    return f"{_CTYPES[str(field.kind)]} {field.name}"


def _comment(text: str, indent: str) -> str:
    words = re.sub(r"\s+", " ", text)
    lines = textwrap.wrap(words, _WIDTH - len(indent), initial_indent="/* ", subsequent_indent=" * ")
    return "".join(f"{indent}{line}{' */' if line is lines[-1] else ''}\n" for line in lines)
