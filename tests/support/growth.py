"""How much more memory a daemon may need in the end than when it had all that it ever needs."""

from collections.abc import Iterable, Mapping

_MORE = {
    "objects": 500,
    "blocks": 10_000,
    "allocated": 4 << 20,
    "resident": 32 << 20,  # with what is free in pages of which something is in use; that levels off
    "untidied": 48 << 20,  # with all that comes and goes
}
"""By figure: those of the verb of :mod:`support.memory`, and what is resident before it tidies up."""


def least(looks: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The least of each figure in several looks at the same state of things: what comes and goes is no growth."""
    every = list(looks)
    return {name: min(look[name] for look in every) for name in every[0]}


def grown(before: Mapping[str, int], after: Mapping[str, int], **other: int) -> dict[str, int]:
    """What has grown by more than it may, and by how much.

    :param other: limits in the place of the usual ones.
    """
    limits = {**_MORE, **other}
    return {name: after[name] - before[name] for name, more in limits.items() if after[name] >= before[name] + more}
