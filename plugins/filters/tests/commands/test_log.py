import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tgtcore_filters.commands.black_hole import BlackHole
from tgtcore_filters.commands.choice import ChoiceOptions
from tgtcore_filters.commands.error import Error, ErrorOptions
from tgtcore_filters.commands.log import Log, LogOptions

from tgtcore import CommandFilter, NoOptions, Tmf, TmfRequest, manage
from tgtcore.testing.initiator import Initiator

READ, WRITE, READY = "28 00 00000010 00 0008", "2a 00 00000010 00 0001", "00"
SECRET = b"the content of the disk".ljust(512)


class Logged:
    """A log before a disk, and what it says at the end."""

    def __init__(self, unit: Any, path: Path, *behind: CommandFilter) -> None:
        self.path = path
        self.log = Log(LogOptions(path=path))
        unit.use(self.log, *behind)

    def lines(self) -> list[dict[str, Any]]:
        self.log.close()
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def logged(unit: Any, tmp_path: Path) -> Logged:
    return Logged(unit, tmp_path / "log")


def test_a_line_says_all_about_a_command_but_its_data(logged: Logged, initiator: Initiator) -> None:
    before = datetime.now(UTC)
    initiator.execute(WRITE, SECRET)
    initiator.execute(READ)
    write, read = logged.lines()
    assert before <= datetime.fromisoformat(write.pop("time")) <= datetime.now(UTC)
    assert 0 <= write.pop("latency_us") < 10_000_000
    assert write == {
        "initiator": "iqn.2025-01.example:host",
        "lun": 0,
        "tag": 1,
        "command": "WRITE (10)",
        "cdb": "2a000000001000000100",
        "status": "GOOD",
        "bytes_in": 0,
        "bytes_out": 512,
        "blocks": [[16, 1]],
    }
    assert (read["command"], read["bytes_in"], read["blocks"]) == ("READ (10)", 4096, [[16, 8]])
    assert b"content" not in logged.path.read_bytes()


def test_commands_that_never_run_are_there_too(logged: Logged, initiator: Initiator) -> None:
    initiator.execute("28 00 ffffffff 00 0001")
    initiator.execute("c1")
    refused, unknown = logged.lines()
    assert refused["status"] == unknown["status"] == "CHECK CONDITION"
    assert refused["sense"] == "illegal request, logical block address out of range (21h/00h)"
    assert refused["blocks"] == [[0xFFFFFFFF, 1]]
    assert unknown["command"] == "opcode C1h"
    assert "blocks" not in unknown


def test_the_blocks_of_an_unmap_are_told(logged: Logged, initiator: Initiator) -> None:
    descriptors = b"".join((10 * n).to_bytes(8, "big") + b"\0\0\0\1" + bytes(4) for n in range(10))
    initiator.execute("42 00 00 00 00 00 00 00a8 00", b"\0\xa6\0\xa0" + bytes(4) + descriptors)
    assert logged.lines()[0]["blocks"] == [[10 * n, 1] for n in range(8)]


def test_what_an_inner_filter_answers(unit: Any, initiator: Initiator, tmp_path: Path) -> None:
    logged = Logged(unit, tmp_path / "log", Error(ErrorOptions(sense="3/11/00", commands="READ")))
    initiator.execute(READ)
    assert logged.lines()[0]["sense"] == "medium error, unrecovered read error (11h/00h), information 0x10"


def test_aborted_commands(unit: Any, initiator: Initiator, other: Initiator, tmp_path: Path) -> None:
    logged = Logged(unit, tmp_path / "log", BlackHole(ChoiceOptions(commands="READ")))
    answers: list[Any] = []
    initiator.start(READ, data_in=4096)
    manage(initiator.nexus, TmfRequest(Tmf.ABORT_TASK_SET, 0, 0), answers.append)
    other.start(READ, data_in=4096)
    manage(initiator.nexus, TmfRequest(Tmf.LOGICAL_UNIT_RESET, 0, 0), answers.append)
    unit.run_until(lambda: len(answers) == 2)
    own, others = logged.lines()
    assert (own["status"], own["aborted"], own["bytes_in"]) == (None, True, 0)
    assert (others["status"], others["aborted"], others["initiator"]) == (
        "TASK ABORTED",
        True,
        "iqn.2025-01.example:other",
    )
    assert not logged.log._about


def test_rotate_and_figures(unit: Any, logged: Logged, initiator: Initiator) -> None:
    initiator.execute(READY)
    assert logged.log.rotate(NoOptions()) == {}
    unit.run_until(lambda: logged.path.with_name("log.1").exists() and logged.path.exists())
    initiator.execute(READY)
    assert len(logged.lines()) == 1
    assert logged.log.figures() == {"written": 2, "waiting": 0, "dropped": 0}


@pytest.mark.parametrize(
    ("keys", "message"),
    [({}, "Field required"), ({"path": "x", "max_bytes": 10}, "65536"), ({"path": "x", "keep": 1000}, "100")],
)
def test_what_can_not_be_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        LogOptions(**keys)
    assert message in str(caught.value)
