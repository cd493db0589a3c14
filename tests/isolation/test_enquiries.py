"""What a driver asks and tells the core, and what comes back in time, late or never."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from isolation.counterpart import Counterpart, Said, command, counterpart, settled

from tgtcore.errors import RingError
from tgtcore.limits import RING_PAYLOAD_BYTES_MAX
from tgtcore.ring import Request, Response, messages


@pytest_asyncio.fixture
async def core() -> AsyncIterator[Counterpart]:
    async with counterpart() as core:
        yield core


def ask(core: Counterpart, payload: bytes = b"alice", room: int = 16, late: Any = None) -> bytes:
    def values(offset: int) -> tuple[int | None, ...]:
        return Request.ACCOUNT, 0, 0, len(payload), None, offset, room, 0

    return bytes(core.correspondent.enquiries.ask(messages.ACCOUNT, payload, room, values, late))


def answer(core: Counterpart, text: bytes) -> Any:
    def found(said: Said) -> None:
        core.end.piece(said.fields["offset"], len(text))[:] = text
        core.say(Response.ACCOUNT_FOUND, id=said.id, found=1, length=len(text))

    return found


@pytest.mark.asyncio
async def test_a_question_is_answered_with_what_is_in_its_place_then_and_nothing_of_it_stays(core: Counterpart) -> None:
    offsets = []

    def found(said: Said) -> None:
        assert said.payload == b"alice"
        offsets.append(said.fields["offset"])
        answer(core, b"a secret")(said)

    core.answers[Request.ACCOUNT] = found
    answers = [ask(core) for _ in range(100)]
    assert {one[messages.RESPONSE_SLOT_BYTES :] for one in answers} == {b"a secret".ljust(16, b"\0")}
    assert {bytes(core.end.piece(offset, 4096)) for offset in offsets} == {bytes(4096)}


@pytest.mark.asyncio
async def test_what_comes_while_a_question_waits_is_handled_afterwards_in_order(core: Counterpart) -> None:
    tasks = [command(core.nexus()) for _ in range(2)]
    first, second = await core.heard(Request.COMMAND, Request.COMMAND)

    def found(said: Said) -> None:
        core.say(Response.COMPLETION, id=second.id)
        answer(core, b"x")(said)
        core.say(Response.COMPLETION, id=first.id)

    ends: list[int] = []
    for task in tasks:
        task.when_ended(lambda task=task: ends.append(task.nexus.number))  # type: ignore[misc]
    core.answers[Request.ACCOUNT] = found
    assert ask(core)[1] == 1
    assert ends == []
    await settled()
    assert ends == [2, 1]


@pytest.mark.asyncio
async def test_a_question_that_is_too_long_is_not_asked(core: Counterpart) -> None:
    for refused in (
        lambda: ask(core, bytes(RING_PAYLOAD_BYTES_MAX + 1)),
        lambda: core.correspondent.enquiries.tell(
            messages.SIGNAL, bytes(RING_PAYLOAD_BYTES_MAX + 1), lambda: None, lambda _: ()
        ),
    ):
        with pytest.raises(RingError, match="a payload of 4097 bytes, expected at most 4096"):
            refused()
    await core.heard()


@pytest.mark.asyncio
async def test_a_core_that_has_gone_is_not_waited_for(core: Counterpart) -> None:
    core.answers[Request.ACCOUNT] = lambda said: core.link.close()
    with pytest.raises(RingError, match="the core is gone"):
        ask(core)


@pytest.mark.asyncio
async def test_an_answer_that_comes_too_late_harms_no_other_question(
    core: Counterpart, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The core may write into the place until it has answered."""
    unanswered: list[Said] = []
    late: list[int] = []
    core.answers[Request.ACCOUNT] = unanswered.append
    monkeypatch.setattr("tgtcore.isolation.enquiries._ANSWER_S", 0.01)
    with pytest.raises(RingError, match="the core does not answer"):
        ask(core, late=lambda slots, at: late.append(slots[at + 1]))
    monkeypatch.undo()

    def both(said: Said) -> None:
        answer(core, b"an old secret")(unanswered[0])
        assert said.payload == b"bob"
        assert bytes(core.end.piece(said.fields["offset"], 3)) == b"bob"
        answer(core, b"new")(said)

    core.answers[Request.ACCOUNT] = both
    assert ask(core, b"bob")[messages.RESPONSE_SLOT_BYTES :] == b"new".ljust(16, b"\0")
    await settled()
    assert late == [1]
    assert not any(core.memory.data), "a secret has stayed"
    assert core.correspondent.end.unanswered == 0


@pytest.mark.asyncio
async def test_what_is_told_is_answered_later_and_there_is_an_end_to_it(core: Counterpart) -> None:
    answered: list[bytes] = []

    def tell(payload: bytes) -> None:
        core.correspondent.enquiries.tell(
            messages.SIGNAL,
            payload,
            lambda: answered.append(payload),
            lambda offset: (Request.SIGNAL, 0, 0, len(payload), None, offset),
        )

    told = [bytes([number]) for number in range(16)]  # a page each
    for payload in told:
        tell(payload)
    with pytest.raises(RingError, match="too many questions are unanswered"):
        tell(b"one more")
    with pytest.raises(RingError, match="too many questions are unanswered"):
        ask(core)
    said = await core.heard(*[Request.SIGNAL] * 16)
    assert ([one.payload for one in said], answered) == (told, [])
    for one in said:
        core.say(Response.SIGNAL_HEARD, id=one.id)
    await settled()
    assert answered == told
    tell(b"again")
    await core.heard(Request.SIGNAL)
