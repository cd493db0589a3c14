"""Checking a configuration: every problem with its place, all at once."""

from pathlib import Path
from typing import Any

import pytest
from support.fakes import fake_plugins

from tgtcore.config import EMPTY, Config, check, parse, plugin_names
from tgtcore.errors import ConfigError
from tgtcore.options import Options
from tgtcore.transport import ForeignTransport

GOOD = """
plugins = ["fake"]
[daemon]
drain_s = 1
[accounts.alice]
secret_env = "ALICE"
[transports.fake]
portals = [{ address = "one" }]
[logical_units.a]
device_type = "fake"
store = { type = "through", base = { type = "memory", size = 4096 } }
block_size = 4096
serial = "S1"
[logical_units.b]
device_type = "fake"
store = { type = "memory" }
[targets."t.one"]
transport = "fake"
alias = "first"
luns = ["a"]
allow = { initiators = ["HOST*"], addresses = ["10.0.0.0/8"] }
[[targets."t.one".private_luns]]
initiators = ["Other"]
luns = { 3 = "b" }
"""
ENVIRON = {"ALICE": "correct horse"}


def checked(text: str, environ: dict[str, str] = ENVIRON, known: Config = EMPTY) -> Config:
    source = parse(text.encode(), Path("/base"), "c.toml")
    return check(source, fake_plugins().registry, environ=environ, known=known)


def problems(text: str, **options: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        checked(text, **options)
    return caught.value.problems


def test_a_good_configuration_becomes_objects() -> None:
    config = checked(GOOD)
    assert config.plugins == ("fake",)
    assert config.daemon.drain_s == 1
    assert (config.accounts["alice"].user, config.accounts["alice"].secret) == ("alice", b"correct horse")
    unit = config.logical_units["a"]
    assert unit.store is not None
    assert (unit.store.type, unit.store.base.type if unit.store.base else None) == ("through", "memory")
    assert unit.options.model_dump() == {"block_size": 4096, "refuses": False}
    assert unit.names == {"serial": "S1"}
    target = config.targets["t.one"]
    assert target.luns.luns == {0: "a"}
    assert (target.private_luns[0].initiators, target.private_luns[0].luns) == (("other",), {3: "b"})
    assert target.allow.admits("host1", "10.1.2.3")
    assert not target.allow.admits("host1", "11.1.2.3")


def test_no_representation_shows_a_secret() -> None:
    assert "correct horse" not in repr(checked(GOOD))


WRONG: dict[str, tuple[str, str, str]] = {
    "an unknown table": ("[daemon]", "typo = 1\n[daemon]", "c.toml:3: typo: unknown key"),
    "an unknown key": ("drain_s = 1", "drian_s = 1", 'c.toml:4: daemon.drian_s: unknown key; did you mean "drain_s"?'),
    "a value of the wrong type": ("drain_s = 1", 'drain_s = "x"', "c.toml:4: daemon.drain_s: expected a number"),
    "a value out of range": (
        "drain_s = 1",
        "workers = 999",
        "daemon.workers: expected less than or equal to 64, got 999",
    ),
    "a secret in the file": ("secret_env", "secret", "c.toml:5: accounts.alice: secret: a secret does not belong"),
    "two sources of a secret": (
        "secret_env",
        'secret_file = "x"\nsecret_env',
        "c.toml:5: accounts.alice: expected exactly one of secret_file and secret_env",
    ),
    "an unknown store": (
        'base = { type = "memory"',
        'base = { type = "memroy"',
        'logical_units.a.store.base.type: there is no store called "memroy"; did you mean "memory"?',
    ),
    "a missing base": (
        ', base = { type = "memory", size = 4096 }',
        "",
        'logical_units.a.store: the key "base" is missing',
    ),
    "a missing type": ('store = { type = "memory" }', "store = {}", 'logical_units.b.store: the key "type" is missing'),
    "a missing store": ('store = { type = "memory" }', "", 'logical_units.b: the key "store" is missing'),
    "a store's key": ("size = 4096", "siez = 4096", 'store.base.siez: unknown key; did you mean "size"?'),
    "a device type's key": (
        "block_size = 4096",
        "blocksize = 4096",
        'a.blocksize: unknown key; did you mean "block_size"?',
    ),
    "an unknown device type": (
        'device_type = "fake"',
        'device_type = "fkae"',
        "a.device_type: there is no device type",
    ),
    "a missing device type": ('device_type = "fake"', "", "logical_units.a.device_type: this key is missing"),
    "an unknown transport": (
        'transport = "fake"',
        'transport = "fkae"',
        'transport: there is no transport called "fkae"',
    ),
    "a bad target name": ('"t.one"', '"one"', 'c.toml:17: targets.one: expected a name such as "t.one"'),
    "an unknown logical unit": (
        'luns = ["a"]',
        'luns = ["aa"]',
        'there is no logical unit called "aa"; did you mean "a"?',
    ),
    "a LUN twice": ('luns = ["a"]', 'luns = { 0 = "a", 00 = "b" }', 'LUN 0 is "a" already'),
    "a logical unit twice": ('luns = ["a"]', 'luns = ["a", "a"]', 'logical unit "a" is mapped here already'),
    "a LUN out of range": ('luns = ["a"]', 'luns = { 16384 = "a" }', "luns.16384: expected a LUN from 0 to 16383"),
    "a LUN that is no number": ('luns = ["a"]', 'luns = { x = "a" }', "luns.x: expected a LUN from 0 to 16383"),
    "an address that is none": (
        '"10.0.0.0/8"',
        '"10.0.0.0/99"',
        "allow.addresses: '10.0.0.0/99' does not appear to be",
    ),
    "a target's key": ('alias = "first"', 'alais = "first"', 'alais: unknown key; did you mean "alias"?'),
    "a logical unit's name": ("[logical_units.b]", '[logical_units."b c"]', "expected a name of at most 64"),
    "an attached driver without its socket": (
        "[transports.fake]",
        '[transports.fake]\nisolation = "attached"',
        'transports.fake: socket: a transport with isolation = "attached" must have one, and no other can',
    ),
    "a socket without an attached driver": (
        "[transports.fake]",
        '[transports.fake]\nsocket = "ring.sock"',
        'transports.fake: socket: a transport with isolation = "attached" must have one, and no other can',
    ),
    "a user of no process": (
        "[transports.fake]",
        '[transports.fake]\nuser = "nobody"',
        'transports.fake: user: only a transport with isolation = "process" or "attached" has one',
    ),
    "options of a disabled plugin": (
        "[daemon]",
        "[plugin.other]\n[daemon]",
        'no enabled plugin called "other"',
    ),
}


@pytest.mark.parametrize(("old", "new", "message"), WRONG.values(), ids=WRONG)
def test_a_mistake_has_a_place_and_an_explanation(old: str, new: str, message: str) -> None:
    assert old in GOOD
    found = problems(GOOD.replace(old, new, 1))
    assert any(message in problem for problem in found), found
    assert all(problem.startswith("c.toml:") for problem in found)


def test_all_mistakes_are_shown_at_once_in_the_order_of_the_file() -> None:
    text = GOOD.replace("drain_s = 1", "workers = 0").replace("siez", "size").replace('luns = ["a"]', 'luns = ["x"]')
    found = problems(text.replace('alias = "first"', "alias = 3"))
    lines = [int(problem.split(":")[1]) for problem in found]
    assert len(set(lines)) == 3
    assert lines == sorted(lines)


def test_a_secret_never_shows_in_a_message() -> None:
    found = problems(GOOD.replace('secret_env = "ALICE"', 'secret = "hush-hush"\nuser = ["hush-hush"]'))
    assert "hush-hush" not in " ".join(found)


def test_an_environment_variable_that_is_not_set_is_named() -> None:
    assert problems(GOOD, environ={}) == ("c.toml:5: accounts.alice: the environment variable ALICE is not set",)


class Foreign(ForeignTransport):
    protocol = 5


def test_a_foreign_transport_needs_its_attached_driver() -> None:
    registry = fake_plugins().registry
    registry.transport("foreign", Foreign)
    text = GOOD + "[transports.foreign]\n"
    with pytest.raises(
        ConfigError, match=r"transports\.foreign\.isolation: the driver of foreign is a program of its own"
    ):
        check(parse(text.encode(), Path("/base"), "c.toml"), registry, environ=ENVIRON)
    text += 'isolation = "attached"\nsocket = "run/ring.sock"\n'
    config = check(parse(text.encode(), Path("/base"), "c.toml"), registry, environ=ENVIRON)
    assert config.transports["foreign"].keys.socket == Path("/base/run/ring.sock")


def test_plugin_names_must_be_there() -> None:
    with pytest.raises(ConfigError, match=r'c.toml:1: the key "plugins" is missing'):
        plugin_names(parse(b"[daemon]\n", Path("/"), "c.toml"))
    with pytest.raises(ConfigError, match=r"plugins: expected a list of plugin names"):
        plugin_names(parse(b"plugins = 'x'\n", Path("/"), "c.toml"))


def test_options_of_plugins_are_checked_with_their_models() -> None:
    class Mine(Options):
        level: int = 1

    source = parse(GOOD.replace("[daemon]", "[plugin.fake]\nlevel = 'x'\n[daemon]", 1).encode(), Path("/"), "c.toml")
    with pytest.raises(ConfigError, match=r"c.toml:4: plugin.fake.level: expected a whole number, got"):
        check(source, fake_plugins().registry, lambda name: Mine, ENVIRON)
    config = check(parse(GOOD.encode(), Path("/")), fake_plugins().registry, lambda name: Mine, ENVIRON)
    assert config.plugin == {"fake": Mine()}


def test_default_options_of_the_transports_that_targets_use() -> None:
    config = checked(GOOD.replace('[transports.fake]\nportals = [{ address = "one" }]\n', ""))
    assert config.transports["fake"].options.model_dump() == {"portals": ()}


def test_logical_units_that_are_known_and_the_same_are_not_checked_again() -> None:
    known = checked(GOOD)
    changed = GOOD.replace('serial = "S1"', 'serial = "S2"')
    found = checked(changed, known=known)
    assert found == checked(changed)
    assert found.document == checked(changed).document
    assert found.logical_units["b"] is known.logical_units["b"]
    assert found.logical_units["a"].names == {"serial": "S2"}


def test_what_is_wrong_between_known_logical_units_and_others_is_found() -> None:
    known = checked(GOOD)
    twice = GOOD.replace('store = { type = "memory" }', 'store = { type = "memory" }\nserial = "S1"')
    assert problems(twice, known=known) == problems(twice)
    gone = GOOD.replace("[logical_units.b]", "[logical_units.c]")
    assert problems(gone, known=known) == problems(gone)
