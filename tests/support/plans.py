"""Plans as text."""


def plan(unit: str, *steps: tuple[float, str]) -> str:
    """One that is about a logical unit.

    :param steps: when, and the other keys, in TOML: each takes two lines and those of its keys.
    """
    return f'unit = "{unit}"\n' + "".join(step(at, keys) for at, keys in steps)


def step(at: float, keys: str = "") -> str:
    """One more step."""
    return f"[[step]]\nat = {at}\n" + (f"{keys}\n" if keys else "")
