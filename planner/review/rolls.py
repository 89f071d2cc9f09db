"""Hosts that get another image while their cluster goes on, in words: their order, their VMs, and the way back."""

from __future__ import annotations

from collections.abc import Sequence

from planner.model import Roll
from planner.review.values import count

RULE = "one host of a cluster at a time; the next one leaves once the one before is back, and read back clean"
COLUMNS = ("", "host", "image", "from", "to", "running VMs that move away")
MANY = 8


def clusters(rolls: Sequence[Roll]) -> dict[str, list[Roll]]:
    """By cluster, each in the order of its steps."""
    found: dict[str, list[Roll]] = {}
    for roll in rolls:
        found.setdefault(roll.cluster, []).append(roll)
    return found


def heading(cluster: str, rolls: Sequence[Roll]) -> str:
    return f"{cluster}: {count(len(rolls), 'host')}, {count(sum(len(r.evacuation.moves) for r in rolls), 'VM')} to move"


def cells(number: int, roll: Roll, *, details: bool = False) -> tuple[str, ...]:
    """Cells for `COLUMNS`."""
    return (str(number), str(roll.address), roll.image, _image(roll.before, roll.builds[0]),
            _image(roll.after, roll.builds[1]), _vms(roll, details))


def _image(digest: str, build: str) -> str:
    parts = f"{digest[:12]}…" if digest else "unknown", f"build {build}" if build else ""
    return " ".join(part for part in parts if part)


def _vms(roll: Roll, details: bool) -> str:
    """How many, and which; those that cannot move are a warning of their own."""
    names = roll.evacuation.moves
    if not names:
        return "none"
    shown = names if details or len(names) <= MANY else (*names[:MANY], f"… {len(names) - MANY} more")
    return f"{len(names)}: {', '.join(shown)}"


def ways_back(rolls: Sequence[Roll]) -> list[str]:
    """What undoing it means: a sentence for all hosts that go back, and one for those that do not."""
    back, stays = [r for r in rolls if r.before], [r for r in rolls if not r.before]
    found = []
    if back:
        found.append(f"{_names(back)}: undone by another evacuating reboot, into the image before, one host of a "
                     "cluster at a time; what was last applied is then put back; VMs stay where they have moved to")
    if stays:
        found.append(f"{_names(stays)}: keeps the new image, since nobody knows the one before; what was last "
                     "applied is put back on it")
    return found


def _names(rolls: Sequence[Roll]) -> str:
    names = [str(r.address) for r in rolls]
    return ", ".join(names[:MANY]) + (f" and {len(names) - MANY} more" if len(names) > MANY else "")
