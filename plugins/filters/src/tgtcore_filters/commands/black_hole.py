"""The filter ``black-hole``: commands are accepted and never answered, until they are released."""

from time import monotonic
from typing import Any

from pydantic import Field

from tgtcore import Options, Task, action
from tgtcore_filters.commands.choice import ChoosingFilter


class Release(Options):
    """What to release."""

    count: int | None = Field(None, ge=1, description="how many, the oldest first; all of them")


class BlackHole(ChoosingFilter):
    """Holds commands until somebody releases them, or the filter goes away."""

    def meet(self, task: Task) -> Any:
        """Hold it."""
        return self.hold(task)

    @action("Let commands that are held go on, the oldest first.", Release)
    def release(self, release: Release) -> dict[str, int]:
        """All, or some of them."""
        released = self.held[: release.count]
        for task in released:
            self.go_on(task)
        return {"released": len(released), "held": len(self.held)}

    def figures(self) -> dict[str, Any]:
        """And how many it holds now, and for how long the oldest has been there."""
        held = self.held
        oldest_s = monotonic() - held[0].since_s if held else 0.0
        return {**super().figures(), "held": len(held), "oldest_s": round(oldest_s, 3)}
