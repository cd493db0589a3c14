"""Sectors: what a device writes whole or not at all."""


def power_of_two(value: int) -> int:
    """Check the size of a sector.

    :raises ValueError: no device has such.
    """
    if value & (value - 1):
        raise ValueError(f"{value} is no power of two")
    return value
