"""Every law of the store is shown on both databases."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import delete

from coordinator.store.database import Database
from coordinator.store.schema import TABLES, meta
from tests.coordinator.store.places import NOON, Place
from tests.doubles.postgres import PostgresServer, postgres_server

_NUMBERS = count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def shared_postgres(postgres: PostgresServer) -> str:
    """One store for all tests, because a server takes long to make another."""
    url = postgres.create("shared")
    Database.open(url, now=lambda: NOON).close()
    return url


@pytest.fixture
def fresh_postgres(postgres: PostgresServer, shared_postgres: str) -> Iterator[str]:
    """A store without a row, on a server; a test may not change its tables."""
    yield shared_postgres
    postgres.end_sessions("shared")
    emptied = [str(delete(table)) for table in reversed(TABLES.sorted_tables) if table is not meta]
    postgres.run("; ".join(emptied), database="shared")


@pytest.fixture
def empty_postgres(postgres: PostgresServer) -> Iterator[str]:
    """A database without a table."""
    name = f"empty_{next(_NUMBERS)}"
    yield postgres.create(name)
    postgres.drop(name)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A store without a row."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield Place(tmp_path / "store.sqlite", stack)
        else:
            yield Place(request.getfixturevalue("fresh_postgres"), stack)


@pytest.fixture(params=["sqlite", "postgres"])
def empty_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A place that is no store yet."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield Place(tmp_path / "store.sqlite", stack)
        else:
            yield Place(request.getfixturevalue("empty_postgres"), stack)
