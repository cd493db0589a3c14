"""The registry: one owner for each name, and errors that name both."""

import pytest
from support.fakes import DeviceOptions, FakeDevice, FakeStore, Through

from tgtcore.errors import PluginError
from tgtcore.registry import AdminCommands, OptionsRegistry, Owner, Registry, nearest

ACME, OTHER = Owner("acme", "acme 1.0"), Owner("other", "other 2.0")


def test_a_name_finds_its_class_and_owner() -> None:
    registry = Registry()
    with registry.owned_by(ACME):
        registry.store("memory", FakeStore)
    assert registry.stores.get("memory") is FakeStore
    assert str(registry.stores.owner("memory")) == "acme 1.0"
    assert registry.stores.get("other") is None
    assert registry.offered_by("acme") == {"store": ["memory"]}


def test_a_second_owner_is_an_error_that_names_both() -> None:
    registry = Registry()
    with registry.owned_by(ACME):
        registry.store("memory", FakeStore)
    with (
        registry.owned_by(OTHER),
        pytest.raises(PluginError, match=r'acme 1.0 and other 2.0 both offer a store called "memory"'),
    ):
        registry.store("memory", FakeStore)


def test_stores_formats_and_filters_share_their_names() -> None:
    registry = Registry()
    with registry.owned_by(ACME):
        registry.store("memory", FakeStore)
    with (
        registry.owned_by(OTHER),
        pytest.raises(PluginError, match=r"acme 1.0 offers a store .* other 2.0 a filter"),
    ):
        registry.filter("memory", Through)
    assert registry.medium_names() == ["memory"]


@pytest.mark.parametrize("name", ["", "Upper", "with space", "1st", "a" * 33])
def test_malformed_names_are_refused(name: str) -> None:
    with pytest.raises(PluginError, match=r"expected 1 to 32 lower case"):
        Registry().device_type(name, FakeDevice)


def test_a_class_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(PluginError, match=r"expected a subclass of Store"):
        Registry().store("memory", FakeDevice)  # type: ignore[arg-type]


def test_options_of_a_plugin_are_declared_once_and_handed_over() -> None:
    options = OptionsRegistry()
    given: list[object] = []
    with options.owned_by(ACME):
        options.add(DeviceOptions, given.append)
        with pytest.raises(PluginError, match=r'acme 1.0 declares the options of plugin "acme" twice'):
            options.add(DeviceOptions)
    options.use("acme", DeviceOptions(block_size=4096))
    options.use("unknown", DeviceOptions())
    assert given == [DeviceOptions(block_size=4096)]
    assert options.model("acme") is DeviceOptions
    assert options.model("unknown").model_fields == {}


def test_admin_verbs_have_one_owner() -> None:
    commands = AdminCommands()
    with commands.owned_by(ACME):
        commands.add("acme  attach", lambda arguments: None, help="attach")
    assert list(commands.found()) == ["acme attach"]
    with commands.owned_by(OTHER), pytest.raises(PluginError, match=r"acme 1.0 and other 2.0 both"):
        commands.add("acme attach", lambda arguments: None, help="attach")
    with pytest.raises(PluginError, match=r"two or three lower case words"):
        commands.add("attach", lambda arguments: None, help="attach")


def test_the_nearest_name_is_a_hint() -> None:
    assert nearest("fiel", ["file", "memory"]) == '; did you mean "file"?'
    assert nearest("zzz", ["file", "memory"]) == ""
