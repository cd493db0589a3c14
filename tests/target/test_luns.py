from typing import Any

import pytest

from tgtcore.errors import ConfigError
from tgtcore.target import LunMap


class Unit:
    def __init__(self, name: str) -> None:
        self.name = name
        self.maps: dict[LunMap, int] = {}

    def __str__(self) -> str:
        return f"logical unit {self.name}"


def units(*names: str) -> Any:
    return [Unit(name) for name in names]


def test_luns_come_in_order() -> None:
    a, b = units("a", "b")
    luns = LunMap("target t")
    luns.add(5, a)
    luns.add(0, b)
    assert list(luns.luns().items()) == [(0, b), (5, a)]
    assert luns.remove(5) is a
    assert luns.remove(5) is None
    assert 5 not in luns


@pytest.mark.parametrize(
    ("lun", "unit", "message"),
    [
        (0, 1, "target t: LUN 0 is taken by logical unit a"),
        (1, 0, "target t: logical unit a is mapped already, as LUN 0"),
        (-1, 1, "LUN -1 is out of range, expected 0 to 16383"),
        (16384, 1, "LUN 16384 is out of range, expected 0 to 16383"),
    ],
)
def test_what_does_not_fit_is_refused(lun: int, unit: int, message: str) -> None:
    both = units("a", "b")
    luns = LunMap("target t")
    luns.add(0, both[0])
    with pytest.raises(ConfigError, match=message):
        luns.add(lun, both[unit])
    assert list(luns.luns()) == [0]


def test_maps_are_for_the_initiators_that_fit() -> None:
    luns = LunMap("target t", ["iqn.2026-11.org.example:blade-*"])
    assert luns.fits("iqn.2026-11.org.EXAMPLE:blade-7")
    assert not luns.fits("iqn.2026-11.org.example:other")


def test_a_logical_unit_knows_the_maps_that_it_is_in() -> None:
    (unit,) = units("a")
    one, other = LunMap("target t"), LunMap("target u")
    one.add(3, unit)
    other.add(4, unit)
    assert unit.maps == {one: 3, other: 4}
    one.remove(3)
    assert unit.maps == {other: 4}
    other.clear()
    assert (unit.maps, len(other)) == ({}, 0)
