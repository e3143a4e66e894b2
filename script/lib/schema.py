"""Tells whether a database that was migrated before is still up to date with the code, without asking Django."""

import hashlib
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WHAT_MIGRATE_DEPENDS_ON = (
    "*/*migrations/*.py",
    "*/management/commands/*.py",
    "*/apps.py",
    "accounts/kit/at_once.py",
    "accounts/upkeep/database_roles.py",
    "credits/partitions/*.py",
    "config/settings/*.py",
    "requirements.txt",
)


def fingerprint() -> str:
    """Return a fingerprint that changes whenever `manage.py migrate` might have something to do."""
    digest = hashlib.sha256(os.environ.get("LEDGER_PARTITIONS", "").encode())
    for pattern in WHAT_MIGRATE_DEPENDS_ON:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:32]
