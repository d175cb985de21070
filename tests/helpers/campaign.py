"""How many examples a property test tries: a few, always the same, or as many new ones as CAMPAIGN says."""

import os

from hypothesis import HealthCheck, settings

FEW = 25
EXAMPLES = int(os.environ.get("CAMPAIGN", FEW))
campaign = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES == FEW,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
