"""Who was forgotten: the marks by which every writer knows whom to leave out.

A run that goes on has its people in memory, and what was written once may be written again. So a writer looks the marks
up in the transaction of its rows. A mark is a hash of the pseudonym: it recognises and tells nothing.

In Postgres the two sides meet at a lock on the table: a writer shares it with other writers, who forgets does not. So
whoever looked before the mark was there has committed by the time that it is, and its rows are found and erased;
whoever looks later sees the mark. In SQLite there is only one who writes anyway.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from hashlib import sha256

from sqlalchemy import Connection, insert, select, text

from contracts.rows import Rows
from storage.tables import forgotten
from storage.values import storable


def mark(person_id: str) -> str:
    """The mark of a pseudonym."""
    return sha256(storable(person_id).encode()).hexdigest()


def leave_out(connection: Connection, people: Collection[str]) -> None:
    """From the end of this transaction on, nobody stores anything about these people any more."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE forgotten IN EXCLUSIVE MODE"))
    known, now = marked(connection, people), datetime.now(UTC)
    new = [{"mark": mark(person_id), "forgotten_at": now} for person_id in sorted(set(people) - known)]
    if new:
        connection.execute(insert(forgotten), new)


def marked(connection: Connection, people: Collection[str]) -> set[str]:
    """Those of the people who were forgotten."""
    marks = {mark(person_id): person_id for person_id in people}
    found = connection.scalars(select(forgotten.c.mark).where(forgotten.c.mark.in_(list(marks))))
    return {marks[one] for one in found}


def allowed(connection: Connection, rows: Rows) -> Rows:
    """The rows without those of forgotten people; they stay allowed until the end of the transaction."""
    named = (rows.observations, rows.windows, rows.people, rows.episodes)
    people = {row.person_id for table in named for row in table} - {""}
    if not people:
        return rows
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE forgotten IN ROW SHARE MODE"))
    gone = marked(connection, people)
    if not gone:
        return rows
    return Rows(
        observations=[row for row in rows.observations if row.person_id not in gone],
        windows=[row for row in rows.windows if row.person_id not in gone],
        people=[row for row in rows.people if row.person_id not in gone],
        episodes=[row for row in rows.episodes if row.person_id not in gone],
        dead_letters=rows.dead_letters,
        revived=rows.revived,
    )
