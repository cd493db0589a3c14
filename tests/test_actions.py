"""Actions that people may ask for."""

import pytest

from tgtcore.actions import Aftermath, Operable, action
from tgtcore.options import Options


class Depth(Options):
    """Arguments."""

    depth: int = 1


class Base(Operable):
    """Offers two actions."""

    @action("Let it all go.")
    def let_go(self, _: Options) -> str:
        """Do it."""
        return "gone"

    @action("Dive.", Depth, pauses=True, after=Aftermath.MEDIUM_CHANGED)
    def dive(self, depth: Depth) -> int:
        """Do it."""
        return depth.depth


class Less(Base):
    """Overrides one, and does not offer it any more."""

    def dive(self, depth: Depth) -> int:
        """Do it."""
        return -depth.depth


class Other(Base):
    """Overrides one, and offers it differently."""

    @action("Dive at once.", Depth)
    def dive(self, depth: Depth) -> int:
        """Do it."""
        return 0


def test_a_class_knows_its_actions() -> None:
    assert list(Base.actions) == ["let-go", "dive"]
    dive = Base.actions["dive"]
    assert (dive.help, dive.arguments, dive.pauses, dive.after) == ("Dive.", Depth, True, Aftermath.MEDIUM_CHANGED)
    assert getattr(Base(), dive.method)(Depth(depth=3)) == 3
    assert Operable.actions == {}
    assert Base().figures() == {}


def test_an_action_is_inherited_until_it_is_overridden() -> None:
    assert list(Less.actions) == ["let-go"]
    assert (Other.actions["dive"].pauses, Other.actions["let-go"]) == (False, Base.actions["let-go"])


def test_what_initiators_see_is_not_changed_under_their_commands() -> None:
    with pytest.raises(TypeError, match="dive changes what initiators see"):
        action("Dive.", after=Aftermath.POWER_ON)(Less.dive)
