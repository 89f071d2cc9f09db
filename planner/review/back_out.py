"""How a run would be undone, as text."""

from __future__ import annotations

from planner.review.paint import Paint, clean
from planner.review.text import back_out_lines
from planner.review.view import Review


def render(run: str, when: str, review: Review, colours: Paint | None = None) -> str:
    """The reverse steps of what a run did. `review` holds them as its back-out."""
    paint = colours or Paint()
    head = f"{paint.bold(f'Rollback of run {clean(run)}')}  {paint.dim(clean(when))}"
    return "\n".join([head, *back_out_lines(review, paint)])
