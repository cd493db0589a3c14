"""What is installed, broken ones included."""

import json

import pytest
from pytest_mock import MockerFixture

from tgtcore.cli.plugin_list import show_installed
from tgtcore.plugins import Record


def test_a_broken_plugin_is_listed_with_its_error(mocker: MockerFixture, capsys: pytest.CaptureFixture[str]) -> None:
    broken = Record("no-such", "acme-broken", "1.0", "acme_broken")
    mocker.patch("tgtcore.cli.plugin_list.installed", return_value={"no-such": [broken]})
    show_installed(as_json=True)
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["distribution"], row["offers"]) == ("no-such", "acme-broken", {})
    assert 'no installed plugin is called "no-such"' in row["error"]
