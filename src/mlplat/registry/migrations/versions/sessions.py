"""Sessions of people."""

import sqlalchemy as sa
from alembic import op

from mlplat.registry.columns import Moment, word

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make their table."""
    op.create_table(
        "sessions",
        sa.Column("sha256", word(64), nullable=False),
        sa.Column("key_id", word(16), nullable=False),
        sa.Column("proof", word(64)),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_sessions"),
    )
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
