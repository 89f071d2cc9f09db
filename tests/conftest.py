"""What holds for every test: the same run everywhere, whatever the terminal or the CI system says."""

from __future__ import annotations

import os
import resource

import pytest
from hypothesis import settings

from planner.cli.main import collect_seldom
from tests.support.places import SHARED, session_folder

# What the contract honours (`CI=true`, `NO_COLOR`, no terminal) is set by the tests that are about it.
for _name in ("CI", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "ESX_ROOT_PASSWORD"):
    os.environ.pop(_name, None)

# Six hundred machines and the servers that they knock at are one process here; a user's soft limit is often 1,024.
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
_wanted = 8192 if _hard == resource.RLIM_INFINITY else min(8192, _hard)
if _soft != resource.RLIM_INFINITY and _soft < _wanted:
    resource.setrlimit(resource.RLIMIT_NOFILE, (_wanted, _hard))

collect_seldom()  # as every process of the command line does: 8 % less CPU time for the property tests

# Derandomised: a red run is red again. No deadline: the machine may be busy. No database: HOME may not be writable.
settings.register_profile("fleet", derandomize=True, deadline=None, database=None)
settings.load_profile("fleet")


@pytest.fixture(scope="session", autouse=True)
def _shared_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is costly to find is found by one worker and read by the others (tests.support.places.once)."""
    os.environ[SHARED] = str(session_folder(tmp_path_factory.getbasetemp()))
