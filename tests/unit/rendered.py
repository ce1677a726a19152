"""What is rendered in tests: a plan's step, its sample, and a style without colours."""

from __future__ import annotations

from datetime import UTC, datetime

from bson import ObjectId

from goaime_migrate.render.style import Style
from goaime_migrate.results import (
    OperationPlan,
    Sample,
    StepPlan,
    WarningCount,
)

PIPE = Style()
AT = datetime(2025, 11, 23, 12, 0, 1, tzinfo=UTC)
OID = ObjectId("65f0a1b2c3d4e5f6a7b8c9d0")


SAMPLE = Sample(OID, {"_id": OID, "a": 1}, {"_id": OID, "a": 1, "user_id": None})
STEP = StepPlan(
    "0001",
    "add_user_id",
    (
        OperationPlan("transform sessions", "sessions", 1200, 1100, 100),
        OperationPlan("index x", None, None, None, None),
    ),
    (SAMPLE,),
    False,
    (WarningCount("0001", "no such problem", 12, ("x", OID)),),
    ("be careful",),
)
