"""Configurations with many logical units."""

from collections.abc import Callable
from pathlib import Path

_HEAD = """
[transports.iscsi]
portals = [{ address = "127.0.0.1:0" }]
connections_max = 2048
"""


def targets(count: int) -> list[str]:
    """The names of so many targets."""
    return [f"iqn.2025-01.example.scale:t{number}" for number in range(count)]


def null_units(units: int, in_targets: int = 1) -> str:
    """A configuration whose logical units have no data, spread evenly over targets."""
    return _configuration(units, in_targets, lambda number: '{ type = "null", size = "1M" }')


def file_units(folder: Path, units: int, in_targets: int = 1) -> str:
    """A configuration whose logical units are sparse files in a folder, which are made, spread evenly over targets."""
    for number in range(units):
        with (folder / f"{number}.img").open("wb") as image:
            image.truncate(1 << 20)
    return _configuration(units, in_targets, lambda number: f'{{ type = "file", path = "{folder}/{number}.img" }}')


def _configuration(units: int, in_targets: int, store: Callable[[int], str]) -> str:
    lines = [_HEAD]
    for number in range(units):
        lines.append(f'[logical_units.d{number}]\ndevice_type = "disk"\nstore = {store(number)}')
    for number, name in enumerate(targets(in_targets)):
        luns = ", ".join(f'"d{unit}"' for unit in range(number, units, in_targets))
        lines.append(f'[targets."{name}"]\ntransport = "iscsi"\nallow = {{ initiators = ["*"] }}\nluns = [{luns}]')
    return "\n".join(lines)
