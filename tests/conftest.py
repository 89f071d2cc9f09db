"""What holds for every test: the same run everywhere, whatever the terminal or the CI system says."""

from __future__ import annotations

import os

from hypothesis import settings

# What the contract honours (`CI=true`, `NO_COLOR`, no terminal) is set by the tests that are about it.
for _name in ("CI", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "ESX_ROOT_PASSWORD"):
    os.environ.pop(_name, None)

# Derandomised: a red run is red again. No deadline: the machine may be busy. No database: HOME may not be writable.
settings.register_profile("fleet", derandomize=True, deadline=None, database=None)
settings.load_profile("fleet")
