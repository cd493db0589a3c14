"""From a configuration file to loaded plugins and a checked configuration."""

from collections.abc import Iterable
from pathlib import Path

from tgtcore.config import Config, Source, check, plugin_names, read
from tgtcore.errors import ConfigError
from tgtcore.plugins import Plugins


def load_file(path: Path, readers: Iterable[str] = ()) -> tuple[Plugins, Config]:
    """Read a file, load the plugins that it enables and check it.

    :param readers: plugins that may read the file because it is not TOML (``tgt_load_config``).
    :raises ConfigError: every problem of the file.
    :raises PluginError: a plugin can't be used.
    """
    early = list(readers)
    source = read(path, Plugins.load(early).load_config) if early else read(path)
    return load_source(source)


def load_source(source: Source) -> tuple[Plugins, Config]:
    """The same for a configuration that was read already."""
    plugins = Plugins.load(plugin_names(source))
    return plugins, check_source(source, plugins)


def check_source(source: Source, plugins: Plugins) -> Config:
    """Check a configuration with the plugins that are loaded, and ask them too.

    :raises ConfigError: every problem.
    """
    config = check(source, plugins.registry, plugins.options.model)
    problems = plugins.check_config(config)
    if problems:
        prefix = f"{source.name}: " if source.name else ""
        raise ConfigError(*(prefix + problem for problem in problems))
    return config
