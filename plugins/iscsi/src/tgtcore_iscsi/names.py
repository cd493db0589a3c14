"""iSCSI names: what is one, when two are the same, which ones a pattern means (RFC 7143 4.2.7, RFC 3722, RFC 3980)."""

import re
import unicodedata
from typing import Final

from tgtcore_iscsi.limits import NAME_BYTES_MAX

_FORMS: Final = {
    "iqn.": (re.compile(r"iqn\..+"), re.compile(r"iqn\.\d{4}-(0[1-9]|1[0-2])\.[^.:][^:]*(:.+)?")),
    "eui.": (re.compile(r"eui\.[0-9a-f]{16}"),) * 2,
    "naa.": (re.compile(r"naa\.([0-9a-f]{16}|[0-9a-f]{32})"),) * 2,
}
"""Prefix: the form accepted of a peer, the form demanded of our own configuration."""

_ASCII_ALLOWED: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-.:")


class InvalidName(ValueError):
    """Not an iSCSI name; the message says why and shows the name with escapes."""


def canonical_name(name: str) -> str:
    """Return the form in which names are stored and compared: RFC 3722 folds case and compatibility characters."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def own_name(name: str) -> str:
    """Return the canonical form of a name from our configuration.

    :raises InvalidName: it breaks RFC 7143 or RFC 3722 in any point.
    """
    name = _checked(name, strict=True)
    wrong = sorted({char for char in name if char.isascii() and char not in _ASCII_ALLOWED})
    if wrong:
        raise InvalidName(f"name {name!r} contains {''.join(wrong)!r}, expected a-z, 0-9, '-', '.' and ':'")
    return name


def peer_name(name: str) -> str:
    """Return the canonical form of a name that a peer has sent.

    Underscores and the like are let through: initiators in daily use have them.

    :raises InvalidName: it is no name of any of the three types, too long, or unfit to be printed or stored.
    """
    return _checked(name, strict=False)


def _checked(name: str, *, strict: bool) -> str:
    length = len(name.encode("utf-8", "surrogatepass"))
    if length > NAME_BYTES_MAX:
        raise InvalidName(f"name {name[:32]!r}... has {length} bytes, at most {NAME_BYTES_MAX} are allowed")
    folded = canonical_name(name)
    if not folded.isprintable() or " " in folded or "," in folded:
        raise InvalidName(f"name {name!r} contains a blank, a comma or an unprintable character")
    forms = _FORMS.get(folded[:4])
    if forms is None or not forms[strict].fullmatch(folded):
        raise InvalidName(
            f"name {name!r} is not of the form iqn.YYYY-MM.reversed.domain[:text], "
            "eui. with 16 hex digits, or naa. with 16 or 32"
        )
    return folded


def target_port_name(name: str, portal_group_tag: int) -> str:
    """Return the SCSI name of a target port (RFC 7143 4.4.2)"""
    return f"{name},t,0x{portal_group_tag:04x}"
