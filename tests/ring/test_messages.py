"""The messages: every one has a table, and fits where it goes."""

import pytest

from tgtcore.nexus import Tmf
from tgtcore.ring import messages
from tgtcore.ring.messages import EVENTS, OPTIONAL_EVENTS, REQUESTS, RESPONSES, Event, Request, Response, RingFunction

HEAD_BYTES = 8


def test_every_message_has_its_table() -> None:
    assert set(REQUESTS) == set(Request)
    assert set(RESPONSES) == set(Response)
    assert set(EVENTS) == set(Event)
    assert set(Event) > OPTIONAL_EVENTS


def test_types_of_responses_and_events_do_not_overlap() -> None:
    assert max(Response) < min(Event)
    assert max(Event) <= 0xFF


@pytest.mark.parametrize("kind", Request, ids=lambda kind: kind.name)
def test_a_request_fits_into_its_slot(kind: Request) -> None:
    layout = REQUESTS[kind]
    assert layout.size <= messages.REQUEST_SLOT_BYTES
    assert layout.fields[0].name == "type"


@pytest.mark.parametrize("layout", [*RESPONSES.values(), messages.EVENT], ids=lambda layout: layout.name)
def test_a_response_fits_into_its_slot_and_has_its_id_where_every_one_has_it(layout: messages.Layout) -> None:
    assert layout.size <= messages.RESPONSE_SLOT_BYTES
    assert layout.fields[0].name == "type"
    (offset,) = (offset for offset, field in layout.placed() if field.name == "id")
    assert offset == HEAD_BYTES


def test_slots_keep_their_messages_aligned() -> None:
    assert messages.REQUEST_SLOT_BYTES % 8 == messages.RESPONSE_SLOT_BYTES % 8 == 0


def test_the_longest_sense_data_fits() -> None:
    assert messages.COMPLETION_HEAD.size + messages.SENSE_BYTES == messages.COMPLETION.size
    assert messages.SENSE_BYTES >= 252


def test_every_task_management_function_has_a_number() -> None:
    assert {member.name for member in RingFunction} == {member.name for member in Tmf} | {"NEXUS_TASKS"}
