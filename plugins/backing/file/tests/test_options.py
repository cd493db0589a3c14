from typing import Any

import pytest
from pydantic import ValidationError
from tgtcore_file.options import FileOptions, MemoryOptions


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "path"),
        ({"path": "a", "create": True}, "create = true needs a size, such as size = "),
        ({"path": "a", "size": "1G"}, "expected create = true beside it"),
        ({"path": "a", "create": True, "size": "1 Q"}, "is not a size"),
        ({"path": "a", "create": True, "size": 0}, "greater than 0"),
        ({"path": "a", "sparse": True}, "sparse"),
    ],
)
def test_wrong_keys_are_named(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FileOptions.model_validate(keys)


def test_sizes_are_written_as_people_do() -> None:
    options = FileOptions.model_validate({"path": "a", "create": True, "size": "1.5G"})
    assert options.size == 3 << 29
    assert MemoryOptions.model_validate({"size": "1T", "limit": "64K"}).limit == 65536
