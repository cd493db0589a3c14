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
from tgtcore.hookspecs import Problem


def test_plugins_of_a_file_are_loaded_before_it_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('plugins = ["file"]\n')
    plugins, config = load_file(path)
    assert plugins.names == ["file"]
    assert config.plugins == ("file",)


def test_plugins_that_are_not_installed_are_one_plugin_error(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('\nplugins = ["flie", "disk", "quantum"]\n')
    with pytest.raises(PluginError) as caught:
        load_file(path)
    flie, quantum = caught.value.problems
    assert flie.startswith(
        f'{path}:2: plugins: no installed plugin is called "flie"; did you mean "file"? (installed: '
    )
    assert '"quantum"; try: pip install tgtcore-quantum (installed: ' in quantum


def test_what_plugins_find_wrong_is_shown_together() -> None:
    module: Any = ModuleType("strict")

    @hookimpl
    def tgt_check_config(config: object) -> list[Problem]:
        return [(("targets", "a"), "another thing"), (("plugins",), "one thing")]

    module.tgt_check_config = tgt_check_config
    with pytest.raises(ConfigError) as caught:
        check_source(parse(b'\nplugins = ["fake", "strict"]', Path("/"), "c.toml"), fake_plugins(module))
    assert caught.value.problems == ("c.toml:1: targets.a: another thing", "c.toml:2: plugins: one thing")
