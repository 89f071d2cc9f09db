"""A review as JSON data: the plan's own document, with what a program would otherwise have to look up.

`fleet show` and `fleet apply` accept the printed document as a plan file.
"""

from __future__ import annotations

from typing import Any

from planner.planfile import plan_document
from planner.review.view import Review


def document(review: Review) -> dict[str, Any]:
    """`plan_document`, and what a program would look up.

    `empty`, `summary` (counts), `reboots` and `not_restored` (hosts); per step `number`, `call`, `guard`, `limit` and
    `loses`.
    """
    result = plan_document(review.plan)
    views = {view.step.id: view for view in review.every_step()}
    for step in result["steps"]:
        view = views[step["id"]]
        step.update(number=view.number, call=view.call, guard=view.guard, limit=view.limit, loses=view.loses)
    result["empty"] = review.plan.empty
    result["summary"] = dict(review.counts)
    result["reboots"] = list(review.reboots)
    result["not_restored"] = list(review.lost)
    return result
