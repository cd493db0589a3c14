"""Stacks of stores are opened from below, and closed from above."""

import pytest
from support.fakes import FakeStore, MemoryOptions, Through, fake_plugins

from tgtcore.config import StoreConfig
from tgtcore.daemon.stores import Stack, layers_of, open_stack
from tgtcore.errors import StoreError, describe
from tgtcore.options import NoOptions
from tgtcore.store import Concurrency
from tgtcore.testing.ram import RamStore, SnapshotRamStore

REGISTRY = fake_plugins().registry


def stacked(fails: str = "") -> StoreConfig:
    return StoreConfig("through", NoOptions(), StoreConfig("memory", MemoryOptions(size=4096, fails=fails)))


def test_a_stack_is_opened_from_below() -> None:
    stack = open_stack(REGISTRY, stacked(), "logical unit a")
    base, top = stack.stores
    assert isinstance(base, FakeStore)
    assert isinstance(top, Through)
    assert top is stack.top
    assert top.base is base
    top.close()
    stack.close_bases()
    assert base.closed


def test_a_store_that_fails_is_named_with_its_user() -> None:
    with pytest.raises(StoreError, match=r"logical unit a: store memory: /x: no such file or directory"):
        open_stack(REGISTRY, stacked(fails="/x"), "logical unit a")


def test_what_stands_beneath_a_failure_is_closed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Through, base: object, options: object) -> None:
        raise ValueError("not an image")

    monkeypatch.setattr(Through, "__init__", fail)
    FakeStore.opened.clear()
    with pytest.raises(StoreError, match="not an image"):
        open_stack(REGISTRY, stacked(), "logical unit a")
    assert [(store.unmade, store.closed) for store in FakeStore.opened] == [(True, True)]


def test_a_stack_that_nobody_uses_is_unmade_and_closed() -> None:
    stack = open_stack(REGISTRY, stacked(), "logical unit a")
    base, top = stack.stores
    assert isinstance(base, FakeStore)
    assert isinstance(top, Through)
    stack.discard()
    assert (base.unmade, base.closed, top.closed) == (True, True, True)


def test_the_strictest_store_decides_how_many_calls_may_be_under_way() -> None:
    serial, parallel = FakeStore(MemoryOptions(size=512)), FakeStore(MemoryOptions(size=512))
    parallel.concurrency = Concurrency.PARALLEL
    assert Stack([serial, parallel]).concurrency is Concurrency.SERIAL
    assert Stack([parallel, parallel]).concurrency is Concurrency.PARALLEL


def test_the_uppermost_store_that_keeps_snapshots_is_found() -> None:
    lower, upper, other = SnapshotRamStore(), SnapshotRamStore(), RamStore()
    assert Stack([lower, upper, other]).keeper is upper
    assert Stack([lower, other]).keeper is lower
    assert Stack([other]).keeper is None


def test_the_layers_of_a_stack_are_told_from_below() -> None:
    assert [layer.type for layer in layers_of(stacked())] == ["memory", "through"]


def test_errors_are_described_in_our_style() -> None:
    assert describe(OSError(13, "Permission denied", "/x")) == "/x: permission denied"
    assert describe(ValueError("so what")) == "so what"
    assert describe(ValueError()) == "ValueError"
