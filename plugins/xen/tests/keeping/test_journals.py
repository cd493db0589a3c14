"""Whether there are journals at all, and whether that is said."""

import os

import pytest
from tgtcore_xen.keeping.journals import FOLDER, journal_folder
from tgtcore_xen.options import XenOptions

MISSING = "there is no folder for the journals"


@pytest.mark.parametrize(
    ("platform", "uid", "key", "folder"),
    [
        ("hypervisor", 0, None, FOLDER),
        ("hypervisor", 1000, None, None),
        ("emulated", 0, None, None),
        ("hypervisor", 1000, "/run/mine", "/run/mine"),
    ],
)
def test_root_has_a_folder_and_others_name_one(monkeypatch, platform, uid, key, folder):
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    found = journal_folder(XenOptions(platform=platform, emulated={"machine": "lab"}, journal=key))
    assert found == (folder and type(FOLDER)(folder))


@pytest.mark.asyncio
async def test_who_has_none_is_told_once(site, caplog):
    async with site("web1/0", "web2/0", journal=None) as one:
        await one.connected(one.guest("web1"))
        await one.connected(one.guest("web2"))
        assert caplog.text.count(MISSING) == 1


@pytest.mark.asyncio
async def test_who_has_some_is_not(site, caplog):
    async with site("web1/0") as one:
        await one.connected(one.guest())
        assert MISSING not in caplog.text
