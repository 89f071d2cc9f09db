"""The disk under the record of births is full: SQLite itself says so, at a real commit."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from providers.midwife import ledger


def fill(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """The next `times` commits of births fail; after that there is room again."""
    real, left = ledger.open_for_writing, [None] * times

    def opened(folder: Path | None) -> sqlite3.Connection:
        db = real(folder)
        if left:
            left.pop()
            pages = db.execute("PRAGMA page_count").fetchone()[0]
            db.execute(f"PRAGMA max_page_count = {pages}")
            db.execute("CREATE TEMP TRIGGER large AFTER INSERT ON birth BEGIN INSERT INTO refusal (time, mac, record) "
                       "VALUES ('', '', hex(zeroblob(100000))); END")  # what fills the last free pages
        return db

    monkeypatch.setattr(ledger, "open_for_writing", opened)
