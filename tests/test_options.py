from typing import Any

import pytest
from pydantic import Field, ValidationError

from tgtcore.options import Options


class Example(Options):
    truth: bool = False
    perhaps: bool | None = None
    number: int = Field(default=1, ge=1)


@pytest.mark.parametrize("key", ["truth", "perhaps"])
@pytest.mark.parametrize("value", ["yes", "true", 1, 0.0])
def test_only_true_and_false_are_truth(key: str, value: Any) -> None:
    with pytest.raises(ValidationError, match="valid boolean"):
        Example.model_validate({key: value})


def test_right_values_are_taken() -> None:
    assert Example.model_validate({"truth": True, "perhaps": False, "number": 2}) == Example(
        truth=True, perhaps=False, number=2
    )
    assert Example.model_validate({"perhaps": None}).perhaps is None


def test_unknown_keys_are_errors_and_values_never_change() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Example.model_validate({"truht": True})
    with pytest.raises(ValidationError, match="frozen"):
        Example().number = 2
