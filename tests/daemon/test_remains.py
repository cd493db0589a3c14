"""What is in force after a change that could not be undone."""

from dataclasses import replace

from tgtcore.config import Config, LogicalUnitConfig, LunMapConfig, TargetConfig, TransportConfig
from tgtcore.daemon.compare import Action, Kind, Step, compare
from tgtcore.daemon.remains import without
from tgtcore.options import NoOptions, Options
from tgtcore.target import AccessList


class Portals(Options):
    port: int


UNIT = LogicalUnitConfig("a", "fake", NoOptions(), None, False, None, {})
TARGET = TargetConfig(
    "t.one",
    "fake",
    "",
    NoOptions(),
    AccessList(),
    LunMapConfig(("*",), {0: "a"}),
    (LunMapConfig(("host",), {5: "a"}),),
)
CONFIG = Config(
    document={"as": "it was"},
    plugins=("fake",),
    transports={"fake": TransportConfig(Portals(port=1))},
    logical_units={"a": UNIT},
    targets={"t.one": TARGET},
)


def names(steps: list[Step]) -> list[str]:
    return [str(step) for step in steps]


def test_with_nothing_lost_all_is_in_force() -> None:
    assert without(CONFIG, []) == CONFIG


def test_what_is_gone_is_made_again_by_the_next_change() -> None:
    lost = [
        Step(Action.REMOVE, Kind.LOGICAL_UNIT, "a", old=UNIT),
        Step(Action.REMOVE, Kind.LUN, "t.one", place=(0, 0, "a")),
        Step(Action.REMOVE, Kind.LUN, "t.one", place=(1, 5, "a")),
    ]
    left = without(CONFIG, lost)
    assert left.document == CONFIG.document
    assert left.logical_units == {}
    assert [dict(one.luns) for one in left.targets["t.one"].maps()] == [{}, {}]
    assert names(compare(left, CONFIG)) == [
        "add logical unit a",
        "add LUN t.one: LUN 0, logical unit a",
        "add LUN t.one: LUN 5, logical unit a",
    ]


def test_a_target_that_is_gone_takes_its_luns_along() -> None:
    lost = [
        Step(Action.REMOVE, Kind.TARGET, "t.one", old=TARGET),
        Step(Action.REMOVE, Kind.LUN, "t.one", place=(0, 0, "a")),
    ]
    assert names(compare(without(CONFIG, lost), CONFIG)) == ["add target t.one"]


def test_what_stayed_changed_is_in_force() -> None:
    lost = [
        Step(
            Action.CHANGE,
            Kind.TRANSPORT,
            "fake",
            old=TransportConfig(Portals(port=1)),
            new=TransportConfig(Portals(port=2)),
        ),
        Step(Action.CHANGE, Kind.DAEMON, "", new=CONFIG.daemon.model_copy(update={"drain_s": 7})),
    ]
    left = without(CONFIG, lost)
    assert left.transports == {"fake": TransportConfig(Portals(port=2))}
    assert left.daemon.drain_s == 7
    assert left == replace(CONFIG, transports=left.transports, daemon=left.daemon)
