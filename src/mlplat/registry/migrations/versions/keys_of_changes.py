"""The audit log tells the key, as several may have one name."""

import sqlalchemy as sa
from alembic import op

from mlplat.registry.columns import word

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column; a registry of an older release, which does not know it, leaves it empty."""
    op.add_column("audit", sa.Column("key_id", word(16)))
