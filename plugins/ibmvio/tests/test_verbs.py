"""``tgtadm ibmvio show``."""

import asyncio

import pytest
from tgtcore_ibmvio import tgt_register_admin
from tgtcore_ibmvio.verbs import ShownAdapter, show

from tgtcore import TgtError
from tgtcore.registry import AdminCommands

FIGURES = {
    "30000003": {"location": "U1-V1-C3", "state": "connected"},
    "30000004": {"location": "", "state": "closed"},
}


class Driver:
    def __init__(self, statistics):
        self._statistics = statistics

    async def statistics(self):
        return self._statistics


def shown(adapter=None, statistics=None):
    driver = Driver({"adapters": FIGURES} if statistics is None else statistics)
    return asyncio.run(show(ShownAdapter(adapter=adapter), driver))


def test_every_adapter_is_shown():
    assert shown() == FIGURES


@pytest.mark.parametrize("name", ["30000003", 30000003, "U1-V1-C3"])
def test_one_adapter_by_either_name(name):
    assert list(shown(name)) == ["30000003"]


@pytest.mark.parametrize("name", ["", "30000005"])
def test_an_adapter_that_is_not_there(name):
    with pytest.raises(TgtError, match="expected one of: 30000003, 30000004"):
        shown(name)


def test_a_driver_that_does_not_answer_has_nothing_to_show():
    assert shown(statistics={"process": {"state": "starting"}}) == {}


def test_the_verb_is_about_the_transport():
    commands = AdminCommands()
    tgt_register_admin(commands=commands)
    assert commands.found()["ibmvio show"].transport == "ibmvio"
