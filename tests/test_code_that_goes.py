"""When a plugin is unloaded nothing of its code stays: a daemon may reload its plugins for years."""

import subprocess
import sys

import pytest

_PLUGINS = ("tgtcore_cow", "tgtcore_disk", "tgtcore_file", "tgtcore_filters", "tgtcore_iscsi")

_UNLOAD = """
import gc, importlib, pkgutil, sys, weakref
import tgtcore
package = sys.argv[1]
whole = importlib.import_module(package)
for module in pkgutil.walk_packages(whole.__path__, f"{package}."):
    importlib.import_module(module.name)
names = [name for name in sys.modules if name.partition(".")[0] == package]
assert names
classes = [
    weakref.ref(one)
    for name in names
    for one in list(vars(sys.modules[name]).values())
    if isinstance(one, type) and one.__module__.partition(".")[0] == package
]
assert classes
for name in names:
    del sys.modules[name]
del whole, module
gc.collect()
gc.collect()
print(sorted({f"{one().__module__}.{one().__name__}" for one in classes if one() is not None}))
"""


@pytest.mark.parametrize("package", _PLUGINS)
def test_its_classes_are_gone(package: str) -> None:
    command = [sys.executable, "-c", _UNLOAD, package]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout.strip() == "[]"
