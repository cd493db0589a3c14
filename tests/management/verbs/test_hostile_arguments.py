"""Whatever a client sends as arguments, a verb answers with an error of ours or does what it says; nothing fails inside."""

from typing import Any

import pytest
from management.conftest import Managed

from tgtcore.errors import TgtError
from tgtcore.management.verbs import VERBS

RIGHT: dict[str, Any] = {
    "address": "one",
    "device_type": "fake",
    "id": "host",
    "keys": ["store.type=memory"],
    "lun": 0,
    "name": "a",
    "size": "1M",
    "target": "t.one",
    "transport": "fake",
    "unit": "a",
}
NEW = {"target add": {"target": "t.new", "keys": []}, "lu add": {"name": "new"}, "lun add": {"lun": 5}}
HOSTILE: list[Any] = [
    None,
    True,
    -1,
    10**30,
    1.5,
    float("nan"),
    float("inf"),
    "",
    " ",
    "\0",
    "a\nb",
    "../../etc",
    "x" * 100_000,
    [],
    [[]],
    ["\0"],
    ["="],
    ["a.b.c=1", "a.b=2"],
    ["store=x"],
    ["store.type=memory", "store.path=\0"],
    ["store.type=through", "store.base.type=through", "store.base.base=1"],
    ["allow=x"],
    {},
    {"a": {}},
]


@pytest.mark.asyncio
@pytest.mark.parametrize("verb", sorted(VERBS))
async def test_hostile_arguments_are_refused(manage: Managed, verb: str) -> None:
    fields = list(VERBS[verb].arguments.model_fields)
    refused = 0
    for field in [*fields, "nonsense"]:
        for value in HOSTILE:
            arguments = {name: RIGHT[name] for name in fields if name in RIGHT} | NEW.get(verb, {}) | {field: value}
            try:
                await manage(verb, **arguments)
            except (TgtError, OSError):
                refused += 1
    assert refused >= len(HOSTILE)
    assert (await manage("stat"))["daemon"]["state"] == "serving"
