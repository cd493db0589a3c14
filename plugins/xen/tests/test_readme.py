"""The manual page says what there is, and its example is accepted."""

import re
from pathlib import Path

import pytest
from tgtcore_xen.options import HbaOptions, XenOptions, XenTargetOptions
from tgtcore_xen.platform.emulated import EmulatedOptions
from tgtcore_xen.platform.hypervisor import HypervisorOptions

from tgtcore.config import parse
from tgtcore.daemon import load_source

PAGE = (Path(__file__).parents[1] / "README.md").read_text()
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
KEYS = [
    (section, key)
    for section, model in (
        ("HBAs", XenOptions),
        ("HBAs", HbaOptions),
        ("Targets", XenTargetOptions),
        ("Platforms", EmulatedOptions),
        ("Platforms", HypervisorOptions),
    )
    for key in model.model_fields
]


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_every_key_is_explained(section, key):
    assert re.search(rf"^\|[ ,`\w]*`{key}`[ ,`\w]*\| ", SECTIONS[section], re.MULTILINE)


def test_the_example_is_accepted(tmp_path):
    (example,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    _, config = load_source(parse(example.encode(), tmp_path))
    assert [hba.target_name for hba in config.transports["xen"].options.portals] == ["web1", "database"]
    assert config.targets["database"].options.devices == {"0:0:1:0": 0}
