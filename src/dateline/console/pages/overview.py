"""Where one begins."""

from __future__ import annotations

from dateline.console.pages.told import part
from dateline.web.call import Answer, Call

__all__ = ["start"]


async def start(call: Call) -> Answer:
    """Show where one begins: whom to look for, and what happened last."""
    query = call.request.query_params.get("subject", "").strip()
    if query:
        return Answer({}, status=303, headers={"location": f"{call.base}/subjects/{part(query)}"})
    return Answer({})
