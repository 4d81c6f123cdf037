"""Who is there: any traffic of a process counts as a beat; three missed and it is gone. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from common.api.bus import Beat

BEAT_S = 1.0
DEAF_AFTER_S = 2.5
GONE_AFTER_S = 3.5


@dataclass
class _Member:
    beat: Beat
    last_heard: float


class Presence:
    """The processes that are there, as this one sees them. Times are of the caller's clock."""

    def __init__(self) -> None:
        self._members: dict[str, _Member] = {}

    def heard(self, name: str, epoch: int, now: float) -> None:
        """Something came from `name`."""
        member = self._members.get(name)
        if member is not None and member.beat.epoch == epoch:
            member.last_heard = now

    def beat(self, beat: Beat, now: float) -> bool:
        """Take a beat in; true where it is a newcomer's, or that of a new start."""
        known = self._members.get(beat.name)
        if known is not None and known.beat.epoch > beat.epoch:
            return False  # an older start's last words
        self._members[beat.name] = _Member(beat, now)
        return known is None or known.beat.epoch != beat.epoch

    def excuse(self, now: float) -> None:
        """Nobody could be heard for a while: their silence counts from now."""
        for member in self._members.values():
            member.last_heard = max(member.last_heard, now)

    def silence_of(self, name: str, now: float) -> float:
        """Seconds since something was heard of a process; 0 for one that is not known."""
        member = self._members.get(name)
        return 0.0 if member is None else now - member.last_heard

    def remove_gone(self, now: float, *, deaf: bool = False) -> list[Beat]:
        """Forget who left or was silent too long, and say who that was.

        `deaf`: not even one's own beats come back, so it is the backplane that is silent, and
        nothing is known of the others.
        """
        gone = [
            member.beat
            for member in self._members.values()
            if member.beat.leaving
            or (
                now - member.last_heard > GONE_AFTER_S
                and (not deaf or member.beat.kind == "backplane")
            )
        ]
        for beat in gone:
            del self._members[beat.name]
        return gone

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def members(self) -> list[Beat]:
        """The last beat of each process that is there, by name."""
        return [self._members[name].beat for name in sorted(self._members)]

    def names(self, kind: str) -> list[str]:
        """The names of the processes of one kind."""
        return [beat.name for beat in self.members() if beat.kind == kind]
