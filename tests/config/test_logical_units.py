"""Logical units and their stores: paths, read-only, and files that two would write to."""

from pathlib import Path
from typing import Any

import pytest
from support.fakes import DeviceOptions, FakeDevice, FakeStore, Through

from tgtcore.config import Config, check, parse
from tgtcore.errors import ConfigError
from tgtcore.options import Options
from tgtcore.registry import Registry


class FileOptions(Options):
    path: Path
    read_only: bool = False


class SerialDevice(FakeDevice):
    """Wants to know the serial number that the core has too."""

    class Options(DeviceOptions):
        serial: str = ""


@pytest.fixture
def registry() -> Registry:
    made = Registry()
    made.store("file", type("FakeFile", (FakeStore,), {"Options": FileOptions}))
    made.filter("through", Through)
    made.device_type("fake", FakeDevice)
    made.device_type("serial", SerialDevice)
    return made


def checked(registry: Registry, *units: str) -> Config:
    text = "plugins = []\n" + "".join(
        f'[logical_units.u{number}]\ndevice_type = "fake"\n{unit}\n' for number, unit in enumerate(units)
    )
    return check(parse(text.encode(), Path("/base"), "c.toml"), registry)


def test_relative_paths_count_from_the_file(registry: Registry) -> None:
    config = checked(registry, 'store = { type = "through", base = { type = "file", path = "a.img" } }')
    store: Any = config.logical_units["u0"].store
    assert store.base.options.path == Path("/base/a.img")
    assert store.paths == {Path("/base/a.img")}
    assert config.document["logical_units"]["u0"]["store"]["base"]["path"] == "/base/a.img"
    assert str(store) == "through(file(/base/a.img))"


def test_what_is_read_only_is_opened_read_only(registry: Registry) -> None:
    config = checked(
        registry, 'read_only = true\nstore = { type = "file", path = "a" }', 'store = { type = "file", path = "b" }'
    )
    stores: list[Any] = [unit.store for unit in config.logical_units.values()]
    assert [store.options.read_only for store in stores] == [True, False]
    assert "read_only" not in config.document["logical_units"]["u0"]["store"]


def test_a_file_has_one_writer(registry: Registry) -> None:
    one, other = 'store = { type = "file", path = "a.img" }', 'store = { type = "file", path = "x/../a.img" }'
    with pytest.raises(
        ConfigError, match=r'c.toml:7: logical_units.u1.store: /base/x/../a.img is the store of logical unit "u0" too'
    ):
        checked(registry, one, other)
    assert set(checked(registry, one, f"read_only = true\n{other}").logical_units) == {"u0", "u1"}


def test_stores_do_not_stand_on_each_other_for_ever(registry: Registry) -> None:
    deep = '{ type = "file", path = "a" }'
    for _ in range(20):
        deep = f'{{ type = "through", base = {deep} }}'
    with pytest.raises(ConfigError, match="more than 16 stores stand on each other"):
        checked(registry, f"store = {deep}")


def test_a_device_type_gets_keys_of_the_core_that_it_asks_for(registry: Registry) -> None:
    text = 'plugins = []\n[logical_units.a]\ndevice_type = "serial"\nserial = "S1"\nstore = { type = "file", path = "a" }\n'
    unit = check(parse(text.encode(), Path("/base")), registry).logical_units["a"]
    assert unit.options.model_dump()["serial"] == "S1"
    assert unit.names == {"serial": "S1"}


@pytest.mark.parametrize("name", ['unique_id = "00000000-0000-0000-0000-00000000000a"', 'serial = "S-1"'])
def test_two_logical_units_of_one_name_would_be_taken_for_one(registry: Registry, name: str) -> None:
    unit = 'store = { type = "file", path = "%s.img" }'
    key = name.partition(" ")[0]
    with pytest.raises(ConfigError, match=rf'c.toml:\d+: logical_units.u2.{key}: that of logical unit "u0" too'):
        checked(registry, f"{name}\n{unit % 'a'}", unit % "b", f"{name}\n{unit % 'c'}")
