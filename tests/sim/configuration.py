"""Random configurations and random changes of one, as documents."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sim.initiator import LUNS
from sim.medium import BLOCK_BYTES
from sim.transport import TAKEN

Document = dict[str, Any]
Change = Callable[[random.Random, Document], None]

TARGETS = ("t.one", "t.two")
UNITS = ("a", "b", "c")
SIZES = tuple(blocks * BLOCK_BYTES for blocks in (8, 24, 32, 40))
_EVERYBODY = {"initiators": ["*"]}
_FILTERS: tuple[Document, ...] = (
    {"type": "through"},
    {"type": "through", "name": "through-2"},
    {"type": "stats"},
    {"type": "delay", "seconds": 0.003, "distribution": "exponential", "probability": 0.5},
    {"type": "delay", "name": "rarely", "seconds": 2.0, "every": 7},
    {"type": "error", "status": "BUSY", "probability": 0.2},
    {"type": "error", "name": "full", "status": "TASK SET FULL", "every": 5, "commands": ["WRITE (10)"]},
)
_LACKS = ((), (), ("WRITE_THROUGH",), ("UNMAP",), ("WRITE_ZEROES", "EXTENTS"), ("RESIZE",))


def first_document(chance: random.Random, state_directory: Path) -> Document:
    """What a run begins with."""
    document: Document = {
        "plugins": ["sim", "disk", "filters"],
        "daemon": {
            "state_directory": str(state_directory),
            "workers": chance.choice((1, 2, 4, 8)),
            "drain_s": chance.choice((0, 0.5, 2)),
            "log_level": "error",
        },
        "transports": {"sim": _transport("one")},
        "logical_units": {name: _unit(chance, name) for name in UNITS[: chance.randint(1, len(UNITS))]},
        "targets": {name: {"transport": "sim", "allow": _EVERYBODY, "luns": {}} for name in TARGETS},
    }
    for target in TARGETS:
        for _ in range(3):
            map_lun(chance, document)
        if not document["targets"][target]["luns"]:
            document["targets"][target]["luns"]["0"] = "a"
    if chance.random() < 0.3:
        document["targets"][TARGETS[0]]["private_luns"] = [{"initiators": ["*host3"], "luns": {"1": "a"}}]
    return document


def _transport(address: str) -> Document:
    return {"portals": [{"address": address}]}


def _unit(chance: random.Random, name: str) -> Document:
    store = {"type": "sim", "medium": name, "size": chance.choice(SIZES), "parallel": chance.random() < 0.7}
    store["lacks"] = list(chance.choice(_LACKS))
    unit: Document = {"device_type": "disk", "store": store, "write_cache": chance.random() < 0.8}
    if chance.random() < 0.05:
        unit["read_only"] = True
    if chance.random() < 0.2:
        unit["filters"] = _filters(chance)
    return unit


def _filters(chance: random.Random) -> list[Document]:
    return [
        {**one, "seed": chance.randrange(100)} if "probability" in one else dict(one)
        for one in chance.sample(_FILTERS, chance.randint(0, 3))
    ]


def _luns(chance: random.Random, document: Document) -> Document:
    """Some LUN map; an empty one where there is none."""
    targets = document["targets"].values()
    return chance.choice([one["luns"] for target in targets for one in _maps(target)] or [{}])


def _maps(target: Document) -> list[Document]:
    return [target, *target.get("private_luns", [])]


def _some(chance: random.Random, table: Document) -> str | None:
    return chance.choice(list(table)) if table else None


# ---- changes: each leaves the document as it is where it does not fit -----------------------------------------------------


def map_lun(chance: random.Random, document: Document) -> None:
    """Map a logical unit somewhere."""
    luns, unit = _luns(chance, document), _some(chance, document["logical_units"])
    if unit is not None and unit not in luns.values():
        luns[str(chance.randrange(LUNS))] = unit


def unmap_lun(chance: random.Random, document: Document) -> None:
    """Take a LUN away."""
    luns = _luns(chance, document)
    if (lun := _some(chance, luns)) is not None:
        del luns[lun]


def move_lun(chance: random.Random, document: Document) -> None:
    """Map the same under another LUN."""
    luns = _luns(chance, document)
    if (lun := _some(chance, luns)) is not None:
        luns[str(chance.randrange(LUNS))] = luns.pop(lun)


def add_unit(chance: random.Random, document: Document) -> None:
    """Make a logical unit, and map it."""
    document["logical_units"].setdefault(name := chance.choice(UNITS), _unit(chance, name))
    map_lun(chance, document)


def remove_unit(chance: random.Random, document: Document) -> None:
    """Remove a logical unit, wherever it is mapped."""
    name = _some(chance, document["logical_units"])
    if name is not None:
        del document["logical_units"][name]
        for target in document["targets"].values():
            for one in _maps(target):
                one["luns"] = {lun: unit for lun, unit in one["luns"].items() if unit != name}


def change_unit(chance: random.Random, document: Document) -> None:
    """Make a logical unit anew with other options."""
    name = _some(chance, document["logical_units"])
    if name is not None:
        document["logical_units"][name] = _unit(chance, name)


def change_filters(chance: random.Random, document: Document) -> None:
    """Have other filters, some of them perhaps the same, before and on a logical unit."""
    name = _some(chance, document["logical_units"])
    if name is not None:
        document["logical_units"][name]["filters"] = _filters(chance)


def toggle_target(chance: random.Random, document: Document) -> None:
    """Remove a target, or add it."""
    name = chance.choice(TARGETS)
    if document["targets"].pop(name, None) is None:
        document["targets"][name] = {"transport": "sim", "allow": _EVERYBODY, "luns": {}}
        for _ in range(3):
            map_lun(chance, document)


def change_access(chance: random.Random, document: Document) -> None:
    """Admit others."""
    target = _some(chance, document["targets"])
    if target is not None:
        document["targets"][target]["allow"] = chance.choice((_EVERYBODY, _EVERYBODY, {"initiators": ["*host1"]}))


def change_portals(chance: random.Random, document: Document) -> None:
    """Listen elsewhere, sometimes where that can't be."""
    if "sim" in document["transports"]:
        document["transports"]["sim"] = _transport(chance.choice(("one", "two", TAKEN)))


def toggle_transport(chance: random.Random, document: Document) -> None:
    """Remove the transport, or add it."""
    if document["transports"].pop("sim", None) is None:
        document["transports"]["sim"] = _transport("one")


def change_drain(chance: random.Random, document: Document) -> None:
    """Wait longer or shorter for what is removed."""
    document["daemon"]["drain_s"] = chance.choice((0, 0.5, 2))


CHANGES: dict[Change, int] = {
    map_lun: 6,
    unmap_lun: 3,
    move_lun: 2,
    add_unit: 4,
    remove_unit: 2,
    change_unit: 2,
    change_filters: 4,
    toggle_target: 3,
    change_access: 1,
    change_portals: 1,
    toggle_transport: 1,
    change_drain: 1,
}
"""How often each comes."""


def change_randomly(chance: random.Random, document: Document, times: int) -> list[str]:
    """Change a document; returns how."""
    chosen = chance.choices(list(CHANGES), list(CHANGES.values()), k=times)
    for change in chosen:
        change(chance, document)
    return [change.__name__ for change in chosen]
