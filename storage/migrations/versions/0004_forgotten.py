"""Marks of the people who were forgotten, so that nobody who is still writing brings them back."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "forgotten",
        sa.Column("mark", sa.Text, nullable=False, comment="SHA-256 of the pseudonym"),
        sa.Column("forgotten_at", TIME, nullable=False, comment="when that was asked for, wall clock"),
        sa.PrimaryKeyConstraint("mark", name="forgotten_pkey"),
        comment="People who were forgotten: what is still written about them is left out",
    )
    if op.get_bind().dialect.name == "postgresql":
        for writer in writers():
            op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON forgotten TO {writer}")


def writers() -> Sequence[str]:
    """Who may write the tables of Postgres besides their owner: each write looks here."""
    who = "CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END"
    rights = "FROM pg_class, aclexplode(relacl) WHERE oid = to_regclass('person') AND privilege_type = 'INSERT'"
    return op.get_bind().scalars(sa.text(f"SELECT DISTINCT {who} {rights} AND grantee <> relowner")).all()
