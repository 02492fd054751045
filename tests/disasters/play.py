"""Plays one disaster from its first sync to its end, says what it came to, and what of that must not be."""

from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass

from tests.disasters.catalogue import Disaster
from tests.disasters.measure import Measure
from tests.disasters.scene import Scene


BUG = "internal"


@dataclass(frozen=True, slots=True)
class Result:
    """What a disaster came to."""

    disaster: Disaster
    measure: Measure
    told: dict[str, str]
    """Each code that an admin was told, with its first wording; in the order told."""
    runs: int
    bound: int
    """The most that the limits let any seven days take of a domain."""

    @property
    def lost(self) -> int:
        """Living recipients whose mail was refused or put off; what a person's own decision put off is none."""
        lost = self.measure.refused if self.disaster.is_decided else self.measure.lost
        return len(lost)

    @property
    def put_off(self) -> int:
        """Living recipients whose mail a person's own decision put off."""
        return len(self.measure.put_off) if self.disaster.is_decided else 0

    def broken(self) -> Iterator[str]:
        """Name the promises that were not kept."""
        disaster, measure = self.disaster, self.measure
        if self.lost and not disaster.is_bounded:
            yield f"{self.lost} living recipients were lost"
        if measure.worst_week > self.bound and disaster.is_bounded:
            yield f"{measure.worst_week} were lost in a week; the limits allow {self.bound}"
        if measure.unlisted:
            yield f"{len(measure.unlisted)} living recipients are not valid in the end"
        if measure.late:
            yield f"{len(measure.late)} who left are still on the list in the end"
        if not disaster.told <= self.told.keys():
            yield f"nobody was told {', '.join(sorted(disaster.told - self.told.keys()))}"
        if self.told and not disaster.told:
            yield f"somebody was bothered with {', '.join(self.told)}"
        if BUG in self.told:
            yield "a run broke"


async def play(disaster: Disaster, scene: Scene) -> Result:
    """Play it."""
    async with aclosing(disaster.story(scene)) as story:
        async for how_long in story:
            await scene.live(how_long)
    return Result(disaster, scene.measure, await scene.told(), scene.completed, scene.bound)
