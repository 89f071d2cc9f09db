"""Assertions of the shared helpers say what differs, as those of tests do."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.faults.kit")
