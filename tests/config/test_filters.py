"""The key ``filters`` of logical units: what may stand there, and what is said of what may not."""

from pathlib import Path
from typing import Any

import pytest
from support.fakes import FakeDevice, FakeStore, Through

from tgtcore import CommandFilter, Options
from tgtcore.config import Config, FilterConfig, check, parse, to_toml
from tgtcore.errors import ConfigError
from tgtcore.registry import Registry


class SlowOptions(Options):
    seconds: float = 1.0
    path: Path | None = None


class Slow(CommandFilter):
    Options = SlowOptions


@pytest.fixture
def registry() -> Registry:
    made = Registry()
    made.store("memory", FakeStore)
    made.store("file", type("FakeFile", (FakeStore,), {"Options": SlowOptions}))
    made.filter("through", Through)
    made.filter("slow", Slow)
    made.device_type("fake", FakeDevice)
    made.device_type("idle", type("Idle", (FakeDevice,), {"needs_store": False}))
    return made


def checked(
    registry: Registry, filters: str, unit: str = 'device_type = "fake"\nstore = { type = "memory" }'
) -> Config:
    text = f"plugins = []\n[logical_units.u]\n{unit}\nfilters = {filters}\n"
    return check(parse(text.encode(), Path("/base"), "c.toml"), registry)


def refused(registry: Registry, filters: str, **unit: str) -> str:
    with pytest.raises(ConfigError) as caught:
        checked(registry, filters, **unit)
    return str(caught.value)


def test_filters_are_in_the_order_of_the_list(registry: Registry) -> None:
    config = checked(registry, '[\n{ type = "slow", path = "x", seconds = 2 },\n{ type = "through" }]')
    slow, through = config.logical_units["u"].filters
    assert slow == FilterConfig("slow", "slow", SlowOptions(seconds=2, path=Path("/base/x")))
    assert (through.name, str(through)) == ("through", "through")
    assert config.document["logical_units"]["u"]["filters"][0]["path"] == "/base/x"


def test_what_is_checked_can_be_written_and_read_again(registry: Registry) -> None:
    config = checked(registry, '[{ type = "slow", name = "a", seconds = 2 }, { type = "slow", name = "b" }]')
    again = check(parse(to_toml(config.document).encode(), Path("/other")), registry)
    assert again.logical_units["u"].filters == config.logical_units["u"].filters
    assert str(again.logical_units["u"].filters[0]) == "a (slow)"


def test_other_filters_do_not_make_another_logical_unit(registry: Registry) -> None:
    one, other = checked(registry, "[]").logical_units["u"], checked(registry, '[{ type = "slow" }]').logical_units["u"]
    assert one == other
    assert one.filters != other.filters


def test_a_logical_unit_without_the_key_has_none_in_its_document(registry: Registry) -> None:
    text = 'plugins = []\n[logical_units.u]\ndevice_type = "fake"\nstore = { type = "memory" }\n'
    config = check(parse(text.encode(), Path("/base")), registry)
    assert config.logical_units["u"].filters == ()
    assert "filters" not in config.document["logical_units"]["u"]


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ("5", "c.toml:5: logical_units.u.filters: expected a list, got 5"),
        ("[5]", "c.toml:5: logical_units.u.filters[0]: expected a table, got 5"),
        ("[{}]", "c.toml:5: logical_units.u.filters[0].type: this key is missing"),
        ("[{ type = 5 }]", "logical_units.u.filters[0].type: expected text in quotes, got 5"),
        (
            '[{ type = "slwo" }]',
            'there is no filter called "slwo"; did you mean "slow"? (expected one of: slow, through)',
        ),
        ('[\n{ type = "slow" },\n{ type = "memory" }]', "c.toml:7: logical_units.u.filters[1].type: memory is a store"),
        ('[{ type = "slow", secnods = 1 }]', 'filters[0].secnods: unknown key; did you mean "seconds"?'),
        ('[{ type = "slow", name = "" }]', "filters[0].name: expected text that matches"),
        ('[{ type = "through", base = { type = "memory" } }]', 'one with a "base" belongs in the key "store"'),
        (
            '[{ type = "slow" }, { type = "slow" }, { type = "slow" }]',
            'filters[1].type: another filter of this logical unit is called "slow" already; give this one a name of its own: '
            'name = "slow-2"',
        ),
        ('[{ type = "slow", name = "a" }, { type = "through", name = "a" }]', "filters[1].name: another filter"),
        ("[" + ", ".join(f'{{ type = "slow", name = "n{n}" }}' for n in range(17)) + "]", "at most 16 items"),
    ],
)
def test_mistakes_are_named_with_their_place(registry: Registry, filters: str, said: str) -> None:
    assert said in refused(registry, filters)


def test_a_filter_on_storage_calls_needs_a_store(registry: Registry) -> None:
    idle: Any = 'device_type = "idle"'
    assert "through is a filter on storage calls, and this logical unit has no store" in refused(
        registry, '[{ type = "through" }]', unit=idle
    )
    assert checked(registry, '[{ type = "slow" }]', idle).logical_units["u"].filters


def test_a_filter_on_commands_is_no_store(registry: Registry) -> None:
    unit = 'device_type = "fake"\nstore = { type = "slow", base = { type = "memory" } }'
    assert refused(registry, "[]", unit=unit) == (
        "c.toml:4: logical_units.u.store.type: slow is a filter on commands, not on storage calls: it belongs in the logical "
        'unit\'s key "filters", filters = [{ type = "slow" }]'
    )


def test_a_filter_does_not_write_to_a_disk(registry: Registry) -> None:
    unit = 'device_type = "fake"\nstore = { type = "file", path = "a.img" }'
    assert refused(registry, '[{ type = "slow", path = "x/../a.img" }]', unit=unit) == (
        'c.toml:5: logical_units.u.filters[0]: /base/x/../a.img is the store of logical unit "u"; a filter needs a file of its own'
    )
    assert checked(registry, '[{ type = "slow", path = "b" }]', unit).logical_units["u"].filters
