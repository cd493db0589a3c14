import pytest

from tgtcore.store import Features, Store


class ReadOnlyStore(Store):
    size_bytes = 1024

    def read(self, offset: int, length: int) -> bytes:
        return bytes(length)


class FullStore(ReadOnlyStore):
    def write(self, offset: int, data: object) -> None: ...

    def flush(self) -> None: ...

    def unmap(self, offset: int, length: int) -> None: ...


def test_what_a_class_does_not_define_is_not_offered() -> None:
    assert ReadOnlyStore().features() is Features.NONE
    assert FullStore().features() == Features.WRITE | Features.UNMAP


def test_writes_without_flush_are_refused_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match=r"Careless defines one of write\(\) and flush\(\) without the other"):

        class Careless(ReadOnlyStore):
            def write(self, offset: int, data: object) -> None: ...


def test_the_nowait_forms_decline_by_default() -> None:
    store = FullStore()
    assert store.read_nowait(0, 512) is None
    assert store.write_nowait(0, b"x") is False
    assert store.region(0, 512) is None
