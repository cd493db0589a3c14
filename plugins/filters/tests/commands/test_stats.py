from typing import Any

import pytest
from tgtcore_filters.commands.black_hole import BlackHole
from tgtcore_filters.commands.choice import ChoiceOptions
from tgtcore_filters.commands.stats import NAMES_MAX, REST, Stats

from tgtcore import NoOptions, Tmf, TmfRequest, manage
from tgtcore.testing.initiator import Initiator

READ, WRITE, TOO_FAR = "28 00 00000010 00 0008", "2a 00 00000010 00 0001", "28 00 ffffffff 00 0001"


@pytest.fixture
def stats(unit: Any) -> Stats:
    stats = Stats(NoOptions())
    unit.use(stats, BlackHole(ChoiceOptions(commands="WRITE (16)")))
    return stats


def counts(found: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name → count, errors, aborted, bytes in and out."""
    return {name: tuple(list(figures.values())[:5]) for name, figures in found.items()}


def test_by_name_and_by_initiator(stats: Stats, initiator: Initiator, other: Initiator) -> None:
    for cdb in (READ, READ, TOO_FAR, "00"):
        initiator.execute(cdb)
    other.execute(WRITE, bytes(512))
    other.execute("c1")
    figures = stats.figures()
    assert counts(figures["commands"]) == {
        "READ (10)": (3, 1, 0, 8192, 0),
        "TEST UNIT READY": (1, 0, 0, 0, 0),
        "WRITE (10)": (1, 0, 0, 0, 512),
        "opcode C1h": (1, 1, 0, 0, 0),
    }
    assert counts(figures["initiators"]) == {
        "iqn.2025-01.example:host": (4, 1, 0, 8192, 0),
        "iqn.2025-01.example:other": (2, 1, 0, 0, 512),
    }
    assert sum(figures["commands"]["READ (10)"]["below_us"].values()) == 3
    assert figures["seconds"] >= 0


def test_what_was_aborted(unit: Any, stats: Stats, initiator: Initiator) -> None:
    initiator.start("8a 00 0000000000000000 00000001", bytes(512))
    answers: list[Any] = []
    manage(initiator.nexus, TmfRequest(Tmf.ABORT_TASK_SET, 0, 0), answers.append)
    unit.run_until(lambda: answers)
    assert counts(stats.figures()["commands"]) == {"WRITE (16)": (1, 0, 1, 0, 0)}


def test_reset_tells_what_there_was(stats: Stats, initiator: Initiator) -> None:
    initiator.execute(READ)
    assert counts(stats.reset(NoOptions())["commands"]) == {"READ (10)": (1, 0, 0, 4096, 0)}
    assert stats.figures()["commands"] == stats.figures()["initiators"] == {}
    initiator.execute(READ)
    assert stats.figures()["commands"]["READ (10)"]["count"] == 1


def test_only_so_many_names_are_told_apart(stats: Stats, initiator: Initiator) -> None:
    for action in range(NAMES_MAX + 50):
        initiator.execute(b"\x7f" + bytes(7) + (0x8000 + action).to_bytes(2, "big") + bytes(22))
    commands = stats.figures()["commands"]
    assert len(commands) == NAMES_MAX + 1
    assert commands[REST]["count"] == 50
