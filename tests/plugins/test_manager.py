"""The enabled plugins as one object."""

import logging
from types import ModuleType
from typing import Any

import pytest
from support.fakes import fake_module, fake_plugins, record

from tgtcore import Format, Options, hookimpl, signals
from tgtcore.errors import ConfigError, PluginError
from tgtcore.plugins import Plugins


def module(name: str, **hooks: Any) -> ModuleType:
    made = ModuleType(name)
    for hook, function in hooks.items():
        setattr(made, hook, hookimpl(function))
    return made


def test_what_a_plugin_offers_is_recorded() -> None:
    (fake,) = fake_plugins().records
    assert fake.offers == {
        "transport": ["fake"],
        "device type": ["fake"],
        "store": ["memory"],
        "filter": ["through"],
    }


def test_two_plugins_that_offer_one_name_are_both_named() -> None:
    with pytest.raises(PluginError, match=r"tgtcore-fake 1.0 and tgtcore-other 1.0 both offer a transport"):
        Plugins([record(fake_module()), record(fake_module("other"))])


def test_a_loaded_plugin_is_news() -> None:
    seen: list[object] = []

    def listen(sender: object) -> None:
        seen.append(sender)

    with signals.plugin_loaded.connected_to(listen):
        plugins = fake_plugins()
    assert seen == plugins.records


def test_every_plugin_checks_the_configuration() -> None:
    one = module("one", tgt_check_config=lambda config: [(("a",), "first")])
    two = module("two", tgt_check_config=lambda config: [((), "second"), ((), "third")])
    found = fake_plugins(one, two).check_config(None)
    assert sorted(found) == [((), "second"), ((), "third"), (("a",), "first")]


def test_the_first_plugin_that_knows_a_file_reads_it(tmp_path: Any) -> None:
    ignorant = module("ignorant", tgt_load_config=lambda path: None)
    reader = module("reader", tgt_load_config=lambda path: {"plugins": [path.name]})
    assert fake_plugins(reader, ignorant).load_config(tmp_path / "a.ini") == {"plugins": ["a.ini"]}
    assert fake_plugins(ignorant).load_config(tmp_path / "a.ini") is None


def test_opinions_on_a_login_leave_out_those_who_have_none() -> None:
    plugins = fake_plugins(
        module("yes", tgt_authorize_login=lambda: True),
        module("none", tgt_authorize_login=lambda: None),
        module("no", tgt_authorize_login=lambda initiator_port: False),
    )
    target: Any = None
    assert sorted(plugins.authorize_login(target, target, "portal")) == [False, True]


def test_commands_are_amended_by_those_who_want_to() -> None:
    asked = []
    amending = module("amending", tgt_amend_commands=lambda transport, lu: asked.append((transport, lu)))
    unit: Any = "unit"
    plugins = fake_plugins(amending)
    assert plugins.amends_commands()
    plugins.amend_commands("fake", unit, unit)
    assert asked == [("fake", "unit")]
    assert not fake_plugins().amends_commands()


def test_one_vpd_page_has_one_owner() -> None:
    unit: Any = "unit"
    first = module("first", tgt_vpd_pages=lambda: {0xC0: b"one"})
    second = module("second", tgt_vpd_pages=lambda: {0xC1: b"two"})
    assert fake_plugins(first, second).vpd_pages("fake", unit) == {0xC0: b"one", 0xC1: b"two"}
    third = module("third", tgt_vpd_pages=lambda: {0xC0: b"three"})
    with pytest.raises(PluginError, match=r"two plugins offer VPD page C0h of unit"):
        fake_plugins(first, third).vpd_pages("fake", unit)


def test_hook_calls_are_traced_on_demand(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("TGTCORE_TRACE_HOOKS", "1")
    plugins = fake_plugins(module("one", tgt_status=lambda detail: {"one": 1}))
    with caplog.at_level(logging.WARNING, "tgtcore.hooks"):
        plugins.status(detail=False)
    assert "tgt_status(detail=False) asks one" in caplog.messages
    assert "tgt_status -> [{'one': 1}]" in caplog.messages


class Level(Options):
    level: int = 1


class Coded(Format):
    """A format that is only registered."""

    def read(self, offset: int, length: int) -> bytes:
        return bytes(length)


def test_plugins_have_keys_of_their_own() -> None:
    given: list[Level] = []
    plugins = fake_plugins(module("mine", tgt_register_options=lambda options: options.add(Level, given.append)))
    assert plugins.options.model("mine") is Level
    plugins.use_options({"mine": Level(level=3), "fake": Level()})
    assert given == [Level(level=3)]


def test_plugins_offer_formats_and_verbs() -> None:
    plugins = fake_plugins(
        module(
            "mine",
            tgt_register_formats=lambda registry: registry.format("coded", Coded),
            tgt_register_admin=lambda commands: commands.add("mine show", lambda arguments: "mine", help="Show mine."),
        )
    )
    assert plugins.registry.formats.get("coded") is Coded
    assert str(plugins.registry.formats.owner("coded")) == "tgtcore-mine 1.0"
    verb = plugins.admin.found()["mine show"]
    assert (verb.handler(None), str(verb.owner)) == ("mine", "tgtcore-mine 1.0")


FAILING = {
    "tgt_amend_commands": lambda plugins: plugins.amend_commands("fake", None, None),
    "tgt_authorize_login": lambda plugins: plugins.authorize_login(None, None, ""),
    "tgt_check_config": lambda plugins: plugins.check_config(None),
    "tgt_load_config": lambda plugins: plugins.load_config(None),
    "tgt_status": lambda plugins: plugins.status(detail=True),
    "tgt_vpd_pages": lambda plugins: plugins.vpd_pages("fake", None),
}


@pytest.mark.parametrize("hook", FAILING)
def test_a_plugin_whose_hook_fails_is_named(hook: str) -> None:
    def fail() -> None:
        raise ZeroDivisionError("inside")

    plugins = fake_plugins(module("innocent", **{hook: lambda: None}), module("bad", **{hook: fail}))
    with pytest.raises(
        PluginError, match=rf'plugin "bad" \(tgtcore-bad 1.0\): {hook}\(\) failed: ZeroDivisionError: inside'
    ):
        FAILING[hook](plugins)


def test_an_error_that_a_plugin_means_is_passed_on() -> None:
    def refuse() -> None:
        raise ConfigError("as it is")

    with pytest.raises(ConfigError, match="as it is"):
        fake_plugins(module("strict", tgt_check_config=refuse)).check_config(None)
