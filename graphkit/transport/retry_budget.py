"""How much may be sent again in all, so that a service in trouble is not stormed."""

from __future__ import annotations

from dataclasses import dataclass, field

from graphkit.protocol.message import Request
from graphkit.protocol.routes import workload

STOCK = 10_000.0


@dataclass(slots=True)
class RetryBudget:
    """The retry budget of each workload: 10,000 tokens, 5 for a repeat, 10 after no answer, 1 back for each success.

    The figures are those of boto/botocore botocore/retries/standard.py, but for the stock, which is twenty times as
    large because one failed call may carry twenty requests.
    """

    left: dict[str, float] = field(default_factory=dict)

    def spend(self, name: str, tokens: float) -> bool:
        left = self.left.get(name, STOCK)
        if left < tokens:
            return False
        self.left[name] = left - tokens
        return True

    def earn(self, request: Request) -> None:
        if self.left and (name := workload(request.path)) in self.left:
            self.left[name] += 1
            if self.left[name] >= STOCK:
                del self.left[name]
