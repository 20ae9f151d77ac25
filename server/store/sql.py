"""Statements as text, each made once: SQLAlchemy reads a statement for its blanks when it is made, which takes longer than many run."""

from __future__ import annotations

from functools import lru_cache

import sqlalchemy
from sqlalchemy import TextClause


@lru_cache(maxsize=1000)
def text(statement: str) -> TextClause:
    """The statement; the same one for the same words. What is changed of it (`bindparams`) is a copy."""
    return sqlalchemy.text(statement)
