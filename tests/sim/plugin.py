"""The simulated transport and store as a plugin, beside the real disk."""

from types import ModuleType
from typing import Any

import tgtcore_disk
from sim.store import SimStore
from sim.transport import SimTransport

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

    for hook in (tgt_register_transports, tgt_register_stores):
        setattr(module, hook.__name__, hook)
    return Plugins(
        [
            Record("sim", "tgtcore-sim", "1.0", "sim", module),
            Record("disk", "tgtcore-disk", "1.0", "tgtcore_disk", tgtcore_disk),
        ]
    )
