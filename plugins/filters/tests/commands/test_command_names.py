import pytest
from tgtcore_filters.commands.command_names import FAMILIES, codes_of

from tgtcore.scsi.cdb import command_name


@pytest.mark.parametrize(
    ("word", "codes"),
    [
        ("READ (10)", {(0x28, None)}),
        ("read(10)", {(0x28, None)}),
        ("Read  (10)", {(0x28, None)}),
        ("READ", {(0x08, None), (0x28, None), (0x88, None), (0xA8, None), (0x7F, 0x09)}),
        ("PRE-FETCH (16)", {(0x90, None)}),
        ("COMPARE AND WRITE", {(0x89, None)}),
        ("READ CAPACITY", {(0x25, None), (0x9E, 0x10)}),
        ("PERSISTENT RESERVE OUT", {(0x5F, None)}),
        ("PREEMPT AND ABORT", {(0x5F, 0x05)}),
        ("flushes", {(0x35, None), (0x91, None)}),
        (0x28, {(0x28, None)}),
        ("0x28", {(0x28, None)}),
        ("0x9E/0x12", {(0x9E, 0x12)}),
        ("0x7f/0x000b", {(0x7F, 0x0B)}),
    ],
)
def test_a_word_means_commands(word: str | int, codes: set[tuple[int, int | None]]) -> None:
    assert codes_of([word]) == codes


def test_several_words_mean_all_of_theirs() -> None:
    assert codes_of(["READ (10)", 0x2A, "READ (10)"]) == {(0x28, None), (0x2A, None)}
    assert codes_of([]) == frozenset()


def test_families_are_about_the_medium() -> None:
    names = {
        family: {
            command_name(bytes((code, action or 0)).ljust(9, b"\0") + bytes((action or 0,)))
            for code, action in codes_of([family])
        }
        for family in FAMILIES
    }
    assert {"READ (6)", "VERIFY (16)", "PRE FETCH (10)"} <= names["reads"]
    assert {"WRITE (10)", "UNMAP", "WRITE SAME (16)", "FORMAT UNIT", "ORWRITE (16)"} <= names["writes"]
    assert not names["reads"] & names["writes"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("READ (11)", '"READ (11)" is no command; did you mean "READ (16)"?'),
        ("RAED (10)", '"RAED (10)" is no command; did you mean "READ (10)"?'),
        ("flush", '"flush" is no command; did you mean "FLUSHES"?'),
        ("", '"" is no command; expected a name such as "READ (10)", or an operation code'),
        ("0x128", "is no command"),
        (256, "256 is not an operation code; expected a number from 0 to 0xFF, or a command's name"),
        (-1, "-1 is not an operation code"),
    ],
)
def test_what_is_no_command_is_refused(word: str | int, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        codes_of([word])
    assert message in str(caught.value)
