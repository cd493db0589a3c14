"""Keys of many parts are refused, and nothing else is that has dots."""

import time
import tomllib

import pytest

from tgtcore.config.key_parts import check_key_parts
from tgtcore.errors import ConfigError
from tgtcore.limits import CONFIG_BYTES_MAX, CONFIG_KEY_PARTS_MAX

DOTS = "." * 100
LONGEST = ".".join("k" * CONFIG_KEY_PARTS_MAX)

SENSIBLE = {
    "numbers": "a = [" + "1.5, " * 100 + "]",
    "text": f"a = \"{DOTS}\"\nb = '{DOTS}'",
    "text with quotes": f'a = "{DOTS}\\"{DOTS}\\\\"',
    "long text": f'a = """\n{DOTS}""{DOTS}\\"""""',
    "long text as it is": f"a = '''\n{DOTS}''{DOTS}\\'''",
    "comments": f'# {DOTS}\na = 1 # "{DOTS}',
    "quoted keys": f"\"{DOTS}\".'{DOTS}' = 1",
    "many short keys": "a = {" + ", ".join(f"b.c{number} = 1" for number in range(100)) + "}",
    "the longest key": f"[{LONGEST}]\n{LONGEST} = {{ {LONGEST} = 1 }}",
}

TOO_LONG = {
    "a key": f"k.{LONGEST} = 1",
    "a table": f"[k.{LONGEST}]",
    "a list": f"[[k . {LONGEST}]]",
    "within braces": f"a = [1.5, {{ b = 1, k.{LONGEST} = 1 }}]",
    "with quotes": f"\"k\" . 'k'.{LONGEST[2:]} = 1",
}


@pytest.mark.parametrize("text", SENSIBLE.values(), ids=SENSIBLE)
def test_sensible_text_is_left_alone(text: str) -> None:
    assert tomllib.loads(text)
    check_key_parts(text)


@pytest.mark.parametrize("before", ["", "a1 = \"'''\"\n", "a1 = '''\n\n'''\n", 'a1 = """\n"""""\n', '# """\n'])
@pytest.mark.parametrize("text", TOO_LONG.values(), ids=TOO_LONG)
def test_too_many_parts_are_found_on_their_line(text: str, before: str) -> None:
    assert tomllib.loads(before + text)
    line = before.count("\n") + 1
    with pytest.raises(ConfigError, match=rf"^c\.toml:{line}: a key of 17 parts, expected at most 16$"):
        check_key_parts(before + text, "c.toml")


@pytest.mark.parametrize("text", ['"', "'", '"""', "'''", '\\"""', '"""\\"', "#", "x"])
def test_what_never_ends_costs_no_more_than_its_length(text: str) -> None:
    since = time.process_time()
    check_key_parts(text * (CONFIG_BYTES_MAX // 16 // len(text)))
    assert time.process_time() - since < 2
