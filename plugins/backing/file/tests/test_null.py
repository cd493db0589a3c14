from pathlib import Path

import pytest
from pydantic import ValidationError
from tgtcore_file.null import NullStore
from tgtcore_file.options import NullOptions

from tgtcore.testing.store import StoreConformance


class TestNullStore(StoreConformance):
    def make_store(self, folder: Path) -> NullStore:
        return NullStore(NullOptions(size=2 << 20))

    def kept(self, data: bytes) -> bytes:
        return bytes(len(data))


def test_long_reads_are_zeroes_too() -> None:
    assert NullStore(NullOptions(size=1 << 50)).read(1 << 40, 5 << 20) == bytes(5 << 20)


def test_it_needs_a_size() -> None:
    with pytest.raises(ValidationError, match="size"):
        NullOptions.model_validate({})
