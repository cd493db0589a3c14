"""Logical units and their stores: paths, read-only, and files that two would write to."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import DirectoryPath
from support.fakes import DeviceOptions, FakeDevice, FakeStore, Through

from tgtcore.config import Config, check, parse
from tgtcore.errors import ConfigError
from tgtcore.options import Options
from tgtcore.registry import Registry
from tgtcore.store import Buffer, Format


class FileOptions(Options):
    path: Path
    read_only: bool = False


class AboveOptions(Options):
    folder: DirectoryPath | None = None
    path: Path | None = None


class Above(Format):
    """Keeps what is written elsewhere."""

    Options = AboveOptions
    writes_base = False

    def read(self, offset: int, length: int) -> Buffer:
        return self.base.read(offset, length)


class SerialDevice(FakeDevice):
    """Wants to know the serial number that the core has too."""

    class Options(DeviceOptions):
        serial: str = ""


@pytest.fixture
def registry() -> Registry:
    made = Registry()
    made.store("file", type("FakeFile", (FakeStore,), {"Options": FileOptions}))
    made.filter("through", Through)
    made.format("above", Above)
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
    with pytest.raises(ConfigError, match="one that writes to it must have it alone"):
        checked(registry, one, f"read_only = true\n{other}")


def test_a_file_has_any_number_of_readers(registry: Registry) -> None:
    one = 'store = { type = "file", path = "a.img", read_only = true }'
    config = checked(registry, one, 'read_only = true\nstore = { type = "file", path = "x/../a.img" }', one)
    assert [unit.store and unit.store.written for unit in config.logical_units.values()] == [frozenset()] * 3


def test_beneath_what_never_writes_to_it_a_file_is_only_read(registry: Registry) -> None:
    golden = '{ type = "through", base = { type = "file", path = "golden.img" } }'
    above = f'store = {{ type = "above", folder = "/", path = "%s", base = {golden} }}'
    config = checked(registry, above % "one", above % "other")
    store: Any = config.logical_units["u0"].store
    assert store.base.base.options.read_only
    assert store.written == {Path("/base/one")}
    assert store.paths == {Path("/base/one"), Path("/base/golden.img")}
    assert "read_only" not in config.document["logical_units"]["u0"]["store"]["base"]["base"]
    with pytest.raises(ConfigError, match=r'u2.store: /base/golden.img is the store of logical unit "u0" too'):
        checked(registry, above % "one", above % "other", f"store = {golden}")
    with pytest.raises(ConfigError, match=r"u1.store: /base/one is the store"):
        checked(registry, above % "one", above % "one")


def test_beneath_what_never_writes_to_it_nothing_is_opened_for_writing(registry: Registry) -> None:
    base = '{ type = "file", path = "golden.img", read_only = false }'
    with pytest.raises(
        ConfigError, match=r"u0.store.base.read_only: expected true: above only reads what it stands on"
    ):
        checked(registry, f'store = {{ type = "above", base = {base} }}')


def test_two_that_read_one_file_need_two_names(registry: Registry) -> None:
    one = 'serial = "S-1"\nstore = { type = "file", path = "a.img", read_only = true }'
    with pytest.raises(ConfigError, match=r'u1.serial: that of logical unit "u0" too'):
        checked(registry, one, one)


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
