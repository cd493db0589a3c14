from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tgtcore_filters.commands.choice import ChoiceOptions, ChoosingFilter

from tgtcore import Task
from tgtcore.testing.initiator import Initiator

READ, READ_16, WRITE, READY = (
    "28 00 00000010 00 0004",
    "88 00 0000000000000100 00000001",
    "2a 00 00000700 00 0001",
    "00",
)
UNMAP = "42 00 00 00 00 00 00 0028 00"


class Noting(ChoosingFilter):
    """Notes what was chosen."""

    def __init__(self, **keys: Any) -> None:
        super().__init__(ChoiceOptions(**keys))
        self.met: list[int] = []
        self.blocks: list[int | None] = []

    def meet(self, task: Task) -> None:
        self.met.append(task.cdb[0])
        self.blocks.append(self.choice.first_block(task))


def chosen(unit: Any, initiator: Initiator, *cdbs: str, **keys: Any) -> list[int]:
    """The operation codes of those that are chosen."""
    unit.use(noting := Noting(**keys))
    for cdb in cdbs:
        initiator.execute(cdb, bytes(512) if cdb is WRITE else b"")
    return noting.met


def test_without_any_key_every_command_is_chosen(unit: Any, initiator: Initiator) -> None:
    assert chosen(unit, initiator, READ, READY, WRITE) == [0x28, 0x00, 0x2A]


@pytest.mark.parametrize(
    ("commands", "met"),
    [
        ("READ (10)", [0x28]),
        (["reads"], [0x28, 0x88]),
        (0x2A, [0x2A]),
        (["0x9E/0x10"], [0x9E]),
        (["0x9E/0x12"], []),
        (["READ CAPACITY (16)", "READ (10)"], [0x28, 0x9E]),
    ],
)
def test_by_command(unit: Any, initiator: Initiator, commands: Any, met: list[int]) -> None:
    capacity = "9e 10 0000000000000000 00000020"
    assert chosen(unit, initiator, READ, READ_16, WRITE, READY, capacity, commands=commands) == met


@pytest.mark.parametrize(
    ("lba", "met"),
    [("0-16", [0x28]), (19, [0x28]), ([20, "0x100-"], [0x88, 0x2A]), ("0-", [0x28, 0x88, 0x2A]), ("20-255", [])],
)
def test_by_block(unit: Any, initiator: Initiator, lba: Any, met: list[int]) -> None:
    assert chosen(unit, initiator, READ, READ_16, WRITE, READY, lba=lba) == met


def test_an_unmap_by_the_blocks_of_its_list(unit: Any, initiator: Initiator) -> None:
    unit.use(noting := Noting(lba="70-80"))
    for lba in (10, 66, 75):
        descriptors = (
            (5).to_bytes(8, "big") + b"\0\0\0\1" + bytes(4) + lba.to_bytes(8, "big") + b"\0\0\0\x06" + bytes(4)
        )
        initiator.execute(UNMAP, b"\0\x26\0\x20" + bytes(4) + descriptors)
    assert noting.blocks == [70, 75]


@pytest.mark.parametrize(
    ("initiators", "met"), [("*:host", [0x28]), (["*other"], [0x2A]), (["*"], [0x28, 0x2A]), ("host", []), ("IQN*", [])]
)
def test_by_initiator(unit: Any, initiator: Initiator, other: Initiator, initiators: Any, met: list[int]) -> None:
    unit.use(noting := Noting(initiators=initiators))
    initiator.execute(READ)
    other.execute(WRITE, bytes(512))
    assert noting.met == met


def test_only_what_all_conditions_are_true_for_is_counted(unit: Any, initiator: Initiator) -> None:
    unit.use(noting := Noting(commands="READ", lba="0-31", first=2))
    for cdb in (READ, WRITE, READ_16, READY, READ, READ):
        initiator.execute(cdb, bytes(512) if cdb is WRITE else b"")
    assert noting.met == [0x28, 0x28]
    assert noting.figures() == {"matched": 3, "chosen": 2}


def test_while_a_file_exists(unit: Any, initiator: Initiator, tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    unit.use(noting := Noting(while_file_exists=switch))
    initiator.execute(READ)
    switch.touch()
    initiator.execute(WRITE, bytes(512))
    switch.unlink()
    initiator.execute(READ_16)
    assert noting.met == [0x2A]


def test_chance_is_the_same_for_the_same_commands(unit: Any, initiator: Initiator) -> None:
    filters = [Noting(probability=0.5, seed=seed) for seed in (7, 7, 8)]
    unit.use(*filters)
    for number in range(200):
        initiator.execute(READ if number % 3 else READ_16)
    one, same, another = (noting.met for noting in filters)
    assert one == same != another
    assert 50 < len(one) < 150


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"commands": "RAED"}, '"RAED" is no command; did you mean "READ"?'),
        ({"commands": True}, "should be a valid"),
        ({"commands": [1.5]}, "should be a valid"),
        ({"commands": ["READ"] * 257}, "at most 256 items"),
        ({"lba": "1-0"}, "it ends before it begins"),
        ({"initiators": 5}, "should be a valid string"),
        ({"colour": "red"}, "Extra inputs are not permitted"),
    ],
)
def test_what_can_not_be_is_refused_with_the_reason(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ChoiceOptions(**keys)
    assert message in str(caught.value)
