"""How often somebody may ask."""

from __future__ import annotations

import math
import time

from limits import RateLimitItem, RateLimitItemPerMinute, parse_many
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from service.access.visitor import Visitor

_FAILURES = RateLimitItemPerMinute(20)


class Rates:
    """Counts the calls of each key and person, and the wrong keys from each address."""

    def __init__(self, limit: str) -> None:
        self._limits = parse_many(limit) if limit else []
        self._counts = MovingWindowRateLimiter(MemoryStorage())

    def wait_of(self, visitor: Visitor) -> int:
        """Count a call; the seconds to wait where it was one too many, or else 0.

        Whoever comes in without being asked, or as the owner, is not counted.
        """
        if visitor.by not in {"key", "sign-in"}:
            return 0
        who = (visitor.by, visitor.name)
        over = [one for one in self._limits if not self._counts.hit(one, *who)]
        return max((self._wait(one, *who) for one in over), default=0)

    def wait_after_failure(self, address: str) -> int:
        """Count a wrong key; the seconds to wait where there were too many, or else 0."""
        if self._counts.hit(_FAILURES, "failed", address):
            return 0
        return self._wait(_FAILURES, "failed", address)

    def _wait(self, limit: RateLimitItem, *who: str) -> int:
        left = self._counts.get_window_stats(limit, *who).reset_time - time.time()
        return max(1, math.ceil(left))
