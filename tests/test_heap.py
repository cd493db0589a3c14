"""Memory that was freed is there for the next burst of large commands."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from tgtcore import heap

_BURSTS = """
import resource
from tgtcore import heap
heap.keep_freed()
def burst():
    return [bytearray(256 * 1024) for _ in range(8)]
for _ in range(3):
    burst()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    burst()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_the_pages_of_a_burst_are_not_made_again() -> None:
    """Otherwise a burst takes 512 page faults."""
    done = subprocess.run([sys.executable, "-c", _BURSTS], capture_output=True, text=True, timeout=30, check=True)
    assert int(done.stdout) < 100


@pytest.mark.parametrize("can_be_told", [True, False])
def test_only_a_library_that_can_be_told_is_told(can_be_told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    library = SimpleNamespace(mallopt=lambda option, value: told.append(option)) if can_be_told else SimpleNamespace()
    monkeypatch.setattr("ctypes.CDLL", lambda name: library)
    heap.keep_freed()
    assert bool(told) is can_be_told
