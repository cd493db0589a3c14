"""Small changes of a document."""

from typing import Any

import pytest

from tgtcore.errors import ConfigError
from tgtcore.management.edits import (
    add_filter,
    assign,
    change_filter,
    lun_table,
    new_entry,
    remove_entry,
    remove_filter,
)
from tgtcore.management.protocol import VerbError


def test_assignments_make_a_table() -> None:
    texts = [
        "store.type=file",
        "store.path=a b.img",
        "block_size=4096",
        "thin=true",
        'auth=["alice"]',
        'text="1"',
        "empty=",
    ]
    assert assign(texts) == {
        "store": {"type": "file", "path": "a b.img"},
        "block_size": 4096,
        "thin": True,
        "auth": ["alice"],
        "text": "1",
        "empty": "",
    }


@pytest.mark.parametrize(
    "texts",
    [["a"], ["=1"], ["a..b=1"], ["a=1", "a=2"], ["a=1", "a.b=2"], ["a.b=1", "a=2"], ["a={b" + ".c" * 5000 + "=1}"]],
)
def test_what_is_no_assignment_is_refused(texts: list[str]) -> None:
    with pytest.raises(ConfigError):
        assign(texts)


def test_what_is_no_toml_is_text() -> None:
    for text in ("1" * 5000, "/" + "a.b" * 50):
        assert assign([f"a={text}"]) == {"a": text}


def test_a_value_can_not_smuggle_in_other_keys() -> None:
    assert assign(["a=1\nb = 2"]) == {"a": "1\nb = 2"}


def test_lun_lists_become_tables_that_can_be_changed() -> None:
    document: dict[str, Any] = {"targets": {"t": {"luns": ["a", "b"], "private_luns": [{"luns": {"05": "c"}}]}}}
    lun_table(document, "t", 0)["7"] = "x"
    lun_table(document, "t", 1)["8"] = "y"
    assert document["targets"]["t"] == {
        "luns": {"0": "a", "1": "b", "7": "x"},
        "private_luns": [{"luns": {"5": "c", "8": "y"}}],
    }
    empty: dict[str, Any] = {"targets": {"t": {}}}
    assert lun_table(empty, "t", 0) == {}


def test_things_are_added_once() -> None:
    document: dict[str, Any] = {}
    new_entry(document, "accounts", "a", {"x": 1})
    with pytest.raises(ConfigError, match=r"accounts.a is there already"):
        new_entry(document, "accounts", "a", {})
    remove_entry(document, "accounts", "a")
    assert document == {"accounts": {}}


def test_filters_have_their_order() -> None:
    unit: dict[str, Any] = {}
    document = {"logical_units": {"a": unit}}
    add_filter(document, "a", {"type": "log"}, None)
    add_filter(document, "a", {"type": "delay", "name": "slow"}, "log")
    change_filter(document, "a", "slow", {"seconds": 1})
    assert unit["filters"] == [{"type": "delay", "name": "slow", "seconds": 1}, {"type": "log"}]
    change_filter(document, "a", "slow", {}, ["seconds", "name"])
    assert unit["filters"][0] == {"type": "delay", "name": "slow"}
    with pytest.raises(
        VerbError, match=r'logical_units.a has no filter called "slo" in its key "filters"; did you mean "slow"'
    ):
        remove_filter(document, "a", "slo")
    remove_filter(document, "a", "slow")
    remove_filter(document, "a", "log")
    assert unit == {}
