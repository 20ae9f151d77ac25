"""Statements as text, each made once: SQLAlchemy reads a statement for its blanks when it is made, which takes longer than many run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Dialect, TextClause


@lru_cache(maxsize=1000)
def text(statement: str) -> TextClause:
    """The statement; the same one for the same words. What is changed of it (`bindparams`) is a copy."""
    return sqlalchemy.text(statement)


def write_many(connection: Connection, statement: TextClause, rows: Sequence[Mapping[str, Any]]) -> None:
    """Executes `statement`, which has two blanks or more, once for each of `rows`.

    For many rows what SQLAlchemy does for each of them takes longer than the database; here the driver has them as they are.
    """
    sql, blanks = _for_driver(statement, connection.dialect)
    if rows:
        values: list[Any] = list(rows) if blanks is None else list(map(itemgetter(*blanks), rows))
        connection.exec_driver_sql(sql, values)


@lru_cache(maxsize=100)
def _for_driver(statement: TextClause, dialect: Dialect) -> tuple[str, tuple[str, ...] | None]:
    """The statement in the driver's words, and its blanks in their order where they have no names there."""
    compiled = statement.compile(dialect=dialect)
    return str(compiled), None if compiled.positiontup is None else tuple(compiled.positiontup)
