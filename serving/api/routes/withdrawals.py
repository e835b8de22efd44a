"""Routes of withdrawals."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(tags=["withdrawals"])
