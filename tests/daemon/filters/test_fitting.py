"""Filters are made from the innermost outwards, and closed from the outermost inwards; those that can stay are the same objects."""

from typing import Any

import pytest
from support.fake_filters import FILTERS, FakeOptions, Noted
from support.fakes import FakeStore, MemoryOptions

from tgtcore.config import FilterConfig
from tgtcore.daemon.fitting import Fitted, Fitting, close_parts, command_filters
from tgtcore.daemon.stores import Stack
from tgtcore.errors import StoreError
from tgtcore.registry import Registry


@pytest.fixture
def registry() -> Registry:
    Noted.made.clear()
    made = Registry()
    for name, cls in FILTERS.items():
        made.filter(name, cls)
    return made


def config(name: str, kind: str = "", **keys: Any) -> FilterConfig:
    return FilterConfig(name, kind or name, FakeOptions(**keys))


def stack() -> Stack:
    return Stack([FakeStore(MemoryOptions())])


def fitted(registry: Registry, *wanted: FilterConfig, on: Fitted | None = None) -> Fitted:
    fitting = Fitting("logical unit a", registry, wanted, on.parts if on is not None else ())
    return fitting.make(on.stack if on is not None else stack())


def test_layers_stand_on_each_other_in_their_order(registry: Registry) -> None:
    made = fitted(registry, config("hold"), config("layer"), config("power"))
    hold, layer, power = (part.filter for part in made.parts)
    assert made.stack is not None
    assert made.stack.stores[1:] == [power, layer]
    assert made.stack.above(made.stack.stores[0]) == [power, layer]
    assert Noted.made == [power, layer, hold]
    assert made.fresh == made.parts
    assert command_filters(made.parts, made.stack) == [hold]


def test_what_can_stay_stays(registry: Registry) -> None:
    before = fitted(registry, config("hold"), config("layer"), config("power"))
    after = fitted(registry, config("layer", tag="x"), config("hold"), config("power"), on=before)
    hold, layer, power = before.parts
    assert after.parts[1:] == (hold, power)
    assert after.gone == (layer,)
    assert after.fresh == after.parts[:1]
    same = Fitting("a", registry, [part.config for part in after.parts], after.parts)
    assert not same.moves_storage
    assert same.make(after.stack).fresh == ()


@pytest.mark.parametrize(
    ("wanted", "moves"),
    [
        ([], True),
        ([config("hold"), config("layer")], False),
        ([config("layer"), config("hold")], False),
        ([config("layer")], False),
        ([config("hold", tag="x"), config("layer")], False),
        ([config("hold"), config("layer", tag="x")], True),
        ([config("hold"), config("power"), config("layer")], True),
        ([config("hold"), config("layer", "power")], True),
    ],
)
def test_it_is_known_whether_the_stack_changes(registry: Registry, wanted: list[FilterConfig], moves: bool) -> None:
    present = fitted(registry, config("hold"), config("layer")).parts
    assert Fitting("a", registry, wanted, present).moves_storage is moves


def test_one_that_nobody_has_asked_for_anew_keeps_its_number(registry: Registry) -> None:
    before = fitted(registry, config("layer"), config("hold"))
    numbers = [part.number for part in before.parts]
    assert len(set(numbers)) == 2
    beneath = fitted(registry, config("layer"), config("hold"), config("power"), on=before)
    assert beneath.parts[0].filter is not before.parts[0].filter
    assert [part.number for part in beneath.parts[:2]] == numbers
    anew = Fitting("a", registry, [config("layer"), config("hold")], before.parts, anew=True).make(stack())
    assert [part.number for part in anew.parts] == numbers
    assert anew.gone == ()
    assert anew.parts[1] is before.parts[1]
    reloaded = FilterConfig("layer", "layer", type("FakeOptions", (FakeOptions,), {})())
    assert reloaded != before.parts[0].config
    assert fitted(registry, reloaded, on=before).parts[0].number == numbers[0]
    other = fitted(registry, config("layer", tag="x"), config("hold", "power"), on=before)
    assert not set(numbers) & {part.number for part in other.parts}


def test_other_code_of_the_same_name_is_another_filter(registry: Registry) -> None:
    present = fitted(registry, config("hold")).parts
    other = Registry()
    other.filter("hold", type("Hold", (FILTERS["hold"],), {}))
    assert Fitting("a", other, [config("hold")], present).make(None).gone == present


def test_what_was_made_before_a_failure_is_closed(registry: Registry) -> None:
    before = fitted(registry, config("power"))
    with pytest.raises(StoreError, match=r"logical unit a: filter top \(hold\): input/output error"):
        fitted(registry, config("top", "hold", fails=True), config("layer"), config("power"), on=before)
    power, layer = Noted.made
    assert (power.closed, layer.closed) == (0, 1)


def test_all_are_closed_whatever_one_of_them_raises(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    made = fitted(registry, config("hold"), config("layer"), config("power"))
    order: list[str] = []

    def close(name: str) -> None:
        order.append(name)
        if name == "layer":
            raise OSError(5, "Input/output error")

    for part in made.parts:
        monkeypatch.setattr(part.filter, "close", lambda name=part.config.name: close(name))
    with pytest.raises(OSError, match="Input/output error"):
        close_parts(made.parts)
    assert order == ["hold", "layer", "power"]
