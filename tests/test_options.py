from typing import Any, ClassVar, Literal

import pytest
from pydantic import Field, StrictInt, StrictStr, ValidationError

from tgtcore import PlatformOptions, Size
from tgtcore.options import Options


class Example(Options):
    truth: bool = False
    perhaps: bool | None = None
    number: int = Field(default=1, ge=1)
    seconds: float | None = None
    sizes: tuple[Size, ...] = ()
    shares: dict[str, float] = {}
    words: tuple[StrictStr | StrictInt, ...] = ()
    either: int | bool = 0
    anything: dict[str, Any] = {}
    inner: "Example | int" = 0


@pytest.mark.parametrize("key", ["truth", "perhaps"])
@pytest.mark.parametrize("value", ["yes", "true", 1, 0.0])
def test_only_true_and_false_are_truth(key: str, value: Any) -> None:
    with pytest.raises(ValidationError, match="valid boolean"):
        Example.model_validate({key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("number", True),
        ("seconds", True),
        ("sizes", [1, True]),
        ("shares", {"a": 0.5, "b": True}),
        ("words", [True]),
        ("words", True),
    ],
)
def test_true_is_no_number(key: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=r"valid (number|integer)") as caught:
        Example.model_validate({key: value})
    assert caught.value.error_count() == 1


@pytest.mark.parametrize(
    ("key", "value"), [("either", True), ("anything", {"a": True}), ("inner", {"truth": True}), ("seconds", 1)]
)
def test_truth_and_numbers_are_taken_where_they_belong(key: str, value: Any) -> None:
    assert getattr(Example.model_validate({key: value}), key) == (Example(truth=True) if key == "inner" else value)


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


class OneOfTwo(PlatformOptions):
    table: ClassVar[str] = "transports.example"
    platform: Literal["here", "there"] = "here"
    here: Example = Example()
    there: Example | None = None


def test_the_options_of_the_chosen_platform() -> None:
    assert OneOfTwo().platform_options == Example()
    chosen = OneOfTwo(platform="there", there=Example(number=7))
    assert chosen.platform_options == Example(number=7)
    assert chosen.machine == ("there", Example(number=7))
    assert list(OneOfTwo.model_fields) == ["platform", "here", "there"]


def test_a_platform_without_its_options() -> None:
    with pytest.raises(
        ValidationError, match=r"platform there needs its keys, expected a table \[transports.example.there\]"
    ):
        OneOfTwo(platform="there")
