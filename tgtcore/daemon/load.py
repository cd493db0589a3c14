"""From a configuration file to loaded plugins and a checked configuration."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tgtcore.config import EMPTY, Config, Source, check, plugin_names, read
from tgtcore.errors import PluginError
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
    names = plugin_names(source)
    with problems_with_plugins(source):
        plugins = Plugins.load(names)
    return plugins, check_source(source, plugins)


@contextmanager
def problems_with_plugins(source: Source) -> Iterator[None]:
    """While the plugins of a configuration are loaded: what is wrong with them is told with the line that names them."""
    try:
        yield
    except PluginError as error:
        problems = source.problems()
        for problem in error.problems:
            problems.add(("plugins",), problem)
        raise PluginError(*problems.found()) from error


def check_source(source: Source, plugins: Plugins, known: Config = EMPTY) -> Config:
    """Check a configuration with the plugins that are loaded, and ask them too.

    :param known: was checked with the same plugins; see :func:`~tgtcore.config.check`.
    :raises ConfigError: every problem.
    """
    config = check(source, plugins.registry, plugins.options.model, known=known)
    problems = source.problems()
    for place, problem in plugins.check_config(config):
        problems.add(place, problem)
    problems.raise_if_any()
    return config
