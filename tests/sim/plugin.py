"""The simulated transport and store as a plugin, beside the real disk and the real filters."""

from types import ModuleType
from typing import Any

import tgtcore_disk
import tgtcore_filters
from sim.store import SimStore
from sim.transport import SimTransport
from tgtcore_filters.storage.through import Through

from tgtcore import hookimpl
from tgtcore.plugins import Plugins, Record


def sim_plugins() -> Plugins:
    """The enabled plugins of a run."""
    module = ModuleType("sim_plugin")

    @hookimpl
    def tgt_register_transports(registry: Any) -> None:
        registry.transport("sim", SimTransport)

    @hookimpl
    def tgt_register_stores(registry: Any) -> None:
        registry.store("sim", SimStore)

    @hookimpl
    def tgt_register_filters(registry: Any) -> None:
        registry.filter("through", Through)

    for hook in (tgt_register_transports, tgt_register_stores, tgt_register_filters):
        setattr(module, hook.__name__, hook)
    return Plugins(
        [
            Record("sim", "tgtcore-sim", "1.0", "sim", module),
            Record("disk", "tgtcore-disk", "1.0", "tgtcore_disk", tgtcore_disk),
            Record("filters", "tgtcore-filters", "1.0", "tgtcore_filters", tgtcore_filters),
        ]
    )
