"""How a run would be undone, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from planner.review.paint import Paint, clean
from planner.review.text import back_out_lines, step_lines, warning_lines
from planner.review.view import Review


def render(run: str, when: str, review: Review, colours: Paint | None = None,
           restored: Mapping[str, tuple[str, Review | None]] | None = None) -> str:
    """The reverse steps of what a run did. `review` holds them as its back-out.

    `restored`: hosts on which nothing is undone, since they were reborn: why, and the review of what is done instead.
    """
    paint = colours or Paint()
    head = f"{paint.bold(f'Rollback of run {clean(run)}')}  {paint.dim(clean(when))}"
    return "\n".join([head, *back_out_lines(review, paint), *_restored(restored or {}, paint)])


def _restored(restored: Mapping[str, tuple[str, Review | None]], paint: Paint) -> Iterator[str]:
    for host, (why, review) in restored.items():
        yield f"  {paint.alarm('restored')}: {clean(host)}: {clean(why)}; on it nothing is undone, what was applied" \
              " before the run is put back"
        if review is not None:
            yield from warning_lines(review, paint)
            yield from step_lines(review, paint)
