"""What authors of plugins test with: conformance kits for each contract, and fakes that pass them.

The kits need pytest, those with random tests also hypothesis; nothing here is imported by a running daemon.
"""

import sys

_KITS = (
    "tgtcore.testing.command_filter",
    "tgtcore.testing.device",
    "tgtcore.testing.layer",
    "tgtcore.testing.ring",
    "tgtcore.testing.store",
    "tgtcore.testing.store_absent",
    "tgtcore.testing.store_model",
    "tgtcore.testing.transport",
    "tgtcore.testing.transport_rig",
)

if (_pytest := sys.modules.get("pytest")) is not None:  # a failed assertion then shows its values
    _pytest.register_assert_rewrite(*_KITS)
