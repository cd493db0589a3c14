"""Where each key of a TOML document stands: what ``tomllib`` knows and does not tell.

The text has been parsed by ``tomllib`` before, so it is valid TOML, and this scanner only has to find its way.
"""

import tomllib

Place = tuple[str | int, ...]
"""A place in a document: keys and list indexes from the top."""


class Positions:
    """The lines of a document's keys.

    :param text: valid TOML.
    """

    def __init__(self, text: str) -> None:
        self._lines: dict[Place, int] = {(): 1}
        _Scanner(text, self._lines).scan()

    def line(self, path: Place) -> int:
        """The line of a key; of the nearest table around it, when the key itself is not there."""
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]


class _Scanner:
    def __init__(self, text: str, lines: dict[Place, int]) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._found = lines
        self._lists: dict[Place, int] = {}

    def scan(self) -> None:
        table: Place = ()
        while self._skip_blank(newlines=True):
            if self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)

    # ---- characters -------------------------------------------------------------------------------------------------

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, count: int = 1) -> str:
        taken = self._text[self._at : self._at + count]
        self._line += taken.count("\n")
        self._at += count
        return taken

    def _skip_blank(self, *, newlines: bool) -> bool:
        """Move over white space and comments; whether anything is left."""
        blank = " \t\r\n" if newlines else " \t"
        while self._at < len(self._text):
            if self._peek() == "#":
                while self._peek() not in ("\n", ""):
                    self._take()
            elif self._peek() in blank:
                self._take()
            else:
                return True
        return False

    # ---- keys -------------------------------------------------------------------------------------------------------

    def _header(self) -> Place:
        is_list = self._text.startswith("[[", self._at)
        self._take(2 if is_list else 1)
        line = self._line
        path = self._absolute(self._key())
        self._take(2 if is_list else 1)
        if is_list:
            index = self._lists[path] = self._lists.get(path, -1) + 1
            self._mark(path, line)
            path = (*path, index)
        self._mark(path, line)
        return path

    def _absolute(self, key: Place) -> Place:
        """A header's key with the index of each list of tables that it goes through."""
        path: Place = ()
        for part in key[:-1]:
            path = (*path, part)
            if path in self._lists:
                path = (*path, self._lists[path])
        return (*path, key[-1])

    def _key(self) -> Place:
        parts: list[str | int] = []
        while True:
            self._skip_blank(newlines=False)
            parts.append(self._key_part())
            self._skip_blank(newlines=False)
            if self._peek() != ".":
                return tuple(parts)
            self._take()

    def _key_part(self) -> str:
        start = self._at
        if self._peek() in "\"'":
            self._string()
            part = tomllib.loads(f"key = {self._text[start : self._at]}")["key"]
            assert isinstance(part, str)
            return part
        while self._peek().isalnum() or self._peek() in ("_", "-"):
            self._take()
        return self._text[start : self._at]

    def _pair(self, table: Place) -> None:
        line = self._line
        path = (*table, *self._key())
        for depth in range(len(table) + 1, len(path) + 1):
            self._mark(path[:depth], line)
        self._take()  # the equals sign
        self._skip_blank(newlines=False)
        self._value(path)

    def _mark(self, path: Place, line: int) -> None:
        while path not in self._found:  # where a place is known, all around it are
            self._found[path] = line
            path = path[:-1]

    # ---- values -----------------------------------------------------------------------------------------------------

    def _value(self, path: Place) -> None:
        first = self._peek()
        if first in "\"'":
            self._string()
        elif first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        else:
            while self._peek() not in (",", "]", "}", "#", "\n", "\r", ""):
                self._take()

    def _string(self) -> None:
        quote = self._peek()
        if self._text.startswith(quote * 3, self._at):
            self._take(3)
            end = quote * 3
        else:
            self._take()
            end = quote
        while not self._text.startswith(end, self._at):
            self._take(2 if quote == '"' and self._peek() == "\\" else 1)
        self._take(len(end))
        while len(end) == 3 and self._peek() == quote:  # up to two quotes may stand before the closing ones
            self._take()

    def _array(self, path: Place) -> None:
        self._take()
        index = 0
        while self._skip_blank(newlines=True) and self._peek() != "]":
            self._mark((*path, index), self._line)
            self._value((*path, index))
            self._skip_blank(newlines=True)
            if self._peek() == ",":
                self._take()
            index += 1
        self._take()

    def _inline_table(self, path: Place) -> None:
        self._take()
        while self._skip_blank(newlines=True) and self._peek() != "}":
            self._pair(path)
            self._skip_blank(newlines=True)
            if self._peek() == ",":
                self._take()
        self._take()


def describe(path: Place) -> str:
    """A place as it is written in TOML, such as ``targets."iqn.2025-01.example:a".luns[0]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _bare(part) else _quoted(part))
    return text


def _bare(part: str) -> bool:
    return bool(part) and all(letter.isascii() and (letter.isalnum() or letter in "_-") for letter in part)


def _quoted(part: str) -> str:
    return '"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"'
