"""Cameras that are added and removed while the workers run, and who reads them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
CREATED_AT = "start of the camera's earliest run, event time; or when it was added, if earlier"


def upgrade() -> None:
    url = "address that the ingest workers read, with its password; null for none"
    op.add_column("camera", sa.Column("url", sa.Text, comment=url))
    op.add_column("camera", sa.Column("lease_owner", sa.Text, comment="the ingest worker that reads it"))
    until = "from then on another worker may take it, wall clock"
    op.add_column("camera", sa.Column("lease_until", TIME, comment=until))
    epoch = "counts up with every change of the worker"
    op.add_column("camera", sa.Column("lease_epoch", sa.BigInteger, nullable=False, server_default="0", comment=epoch))
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("camera", "created_at", comment=CREATED_AT)
    op.create_table(
        "ingest_worker",
        sa.Column("owner", sa.Text, nullable=False, comment="name of the worker's process"),
        sa.Column("joined_at", TIME, nullable=False, comment="when it came, wall clock"),
        sa.Column("lease_until", TIME, nullable=False, comment="it counts as dead from then on, wall clock"),
        sa.PrimaryKeyConstraint("owner", name="ingest_worker_pkey"),
        comment="Ingest workers that share out the cameras among themselves",
    )
