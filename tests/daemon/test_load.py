"""From a file to plugins and a configuration."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.fakes import fake_plugins

from tgtcore import hookimpl
from tgtcore.config import parse
from tgtcore.daemon.load import check_source, load_file
from tgtcore.errors import ConfigError, PluginError


def test_plugins_of_a_file_are_loaded_before_it_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('plugins = ["file"]\n')
    plugins, config = load_file(path)
    assert plugins.names == ["file"]
    assert config.plugins == ("file",)


def test_a_plugin_that_is_not_installed_is_a_plugin_error(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('plugins = ["flie"]\n')
    with pytest.raises(PluginError, match='no installed plugin is called "flie"; did you mean "file"'):
        load_file(path)


def test_what_plugins_find_wrong_is_shown_together() -> None:
    module: Any = ModuleType("strict")

    @hookimpl
    def tgt_check_config(config: object) -> list[str]:
        return ["one thing", "another thing"]

    module.tgt_check_config = tgt_check_config
    with pytest.raises(ConfigError) as caught:
        check_source(parse(b'plugins = ["fake", "strict"]', Path("/"), "c.toml"), fake_plugins(module))
    assert caught.value.problems == ("c.toml: one thing", "c.toml: another thing")
