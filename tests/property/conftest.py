"""Reproducible in CI; elsewhere each run looks at new examples and remembers those that failed."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_SLOW_IS_FINE = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}

settings.register_profile("explore", max_examples=70, **_SLOW_IS_FINE)
settings.register_profile("ci", max_examples=70, derandomize=True, **_SLOW_IS_FINE)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "explore"))
