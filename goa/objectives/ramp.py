"""Numbers that change over a run."""

from pydantic import Field

from goa.settings import Settings


class RampSettings(Settings):
    """A number that moves in a straight line and then stays."""

    start: float = Field(ge=0.0)
    """In the first round."""
    end: float = Field(ge=0.0)
    """From the round ``rounds`` on."""
    rounds: int = Field(ge=1)
    """In which the number moves."""

    def at(self, update: int) -> float:
        """Give the number after so many updates."""
        return self.start + (self.end - self.start) * min(1.0, update / self.rounds)
