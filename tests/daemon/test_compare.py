"""The steps between two configurations, and their order."""

from pathlib import Path

import pytest
from daemon.conftest import CONFIG
from support.fakes import fake_plugins

from tgtcore.config import EMPTY, Config, parse
from tgtcore.daemon.compare import Action, Kind, compare
from tgtcore.daemon.load import check_source
from tgtcore.errors import ConfigError

PLUGINS = fake_plugins()


def config(*replacements: tuple[str, str]) -> Config:
    text = CONFIG
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new)
    return check_source(parse(text.encode(), Path("/base")), PLUGINS)


def shown(old: Config, new: Config) -> list[str]:
    return [str(step).partition(":")[0] for step in compare(old, new)]


def test_nothing_differs_from_itself() -> None:
    assert compare(config(), config()) == []


def test_a_start_opens_portals_last_and_plugins_go_when_nothing_is_left_of_them() -> None:
    start, stop = shown(EMPTY, config()), shown(config(), Config(daemon=config().daemon))
    assert start[-1] == "add transport fake"
    assert start.index("add logical unit b") < start.index("add target t.one")
    assert stop[-2:] == ["remove transport fake", "remove plugin fake"]
    assert start[:2] == ["change daemon", "add plugin fake"]
    assert stop.index("remove target t.one") < stop.index("remove logical unit a")


def test_portals_of_running_transports_are_tried_before_anything_goes_away() -> None:
    steps = compare(config(), config(('address = "one"', 'address = "two"'), ('luns = ["a", "b"]', 'luns = ["b"]')))
    assert [(step.action, step.kind) for step in steps] == [
        (Action.CHANGE, Kind.TRANSPORT),
        (Action.REMOVE, Kind.LUN),
        (Action.REMOVE, Kind.LUN),
        (Action.ADD, Kind.LUN),
    ]


def test_details_name_the_keys_but_not_their_values() -> None:
    (step,) = compare(config(), config(("luns =", 'alias = "very private"\nluns =')))
    assert str(step) == "change target t.one: alias"


def test_what_is_fixed_while_running_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"daemon.workers: can't change while the daemon runs; restart it"):
        compare(config(), config(("workers = 2", "workers = 3")))


def test_a_renamed_logical_unit_waits_for_its_file(tmp_path: Path) -> None:
    """The one with the file must be gone before the other can lock it; one with another file comes first."""
    one = config()
    two = config(("[logical_units.a]", "[logical_units.c]"), ('["a", "b"]', '["c", "b"]'))
    (tmp_path / "link.img").symlink_to(tmp_path / "disk.img")
    for part, name in ((one.logical_units["a"], "disk.img"), (two.logical_units["c"], "link.img")):
        assert part.store is not None
        object.__setattr__(part.store, "paths", frozenset({tmp_path / name}))
    steps = shown(one, two)
    assert steps.index("remove logical unit a") < steps.index("add logical unit c")
    assert two.logical_units["c"].store is not None
    object.__setattr__(two.logical_units["c"].store, "paths", frozenset({tmp_path / "other.img"}))
    steps = shown(one, two)
    assert steps.index("add logical unit c") < steps.index("remove LUN t.one")


def test_other_times_for_snapshots_are_no_reason_to_make_a_unit_anew() -> None:
    unit = "[logical_units.b]"
    hourly, daily = (
        config((unit, f"[logical_units.a.snapshots]\nevery_s = {every_s}\n{unit}")) for every_s in (3600, 86400)
    )
    for old, new in ((config(), hourly), (hourly, daily), (daily, config())):
        assert [str(step) for step in compare(old, new)] == ["change logical unit a: snapshots"]
    thick = config((unit, f"block_size = 4096\n[logical_units.a.snapshots]\nevery_s = 60\n{unit}"))
    assert shown(hourly, thick) == ["remove LUN t.one", "remove logical unit a", "add logical unit a", "add LUN t.one"]
