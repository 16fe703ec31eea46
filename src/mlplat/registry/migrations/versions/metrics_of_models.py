"""Metrics know their model, so that its versions can be listed by one in the order of an index."""

import sqlalchemy as sa
from alembic import op

from mlplat.registry.columns import Id

revision = "0003"
down_revision = "0002"

POSTGRESQL = (  # a function outlives its tables
    """
    CREATE OR REPLACE FUNCTION set_model_of_metric() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.model_id := (SELECT model_id FROM versions WHERE id = NEW.version_id);
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER set_model_of_metric BEFORE INSERT ON metrics FOR EACH ROW
    WHEN (NEW.model_id IS NULL) EXECUTE FUNCTION set_model_of_metric()
    """,
)
SQLITE = (
    """
    CREATE TRIGGER set_model_of_metric AFTER INSERT ON metrics FOR EACH ROW
    WHEN NEW.model_id IS NULL
    BEGIN
        UPDATE metrics SET model_id = (SELECT model_id FROM versions WHERE id = NEW.version_id)
        WHERE version_id = NEW.version_id AND name = NEW.name;
    END
    """,
)


def upgrade() -> None:
    """Add the column and its index; a trigger fills it where a registry of an older release, which does not know it, writes."""
    op.add_column("metrics", sa.Column("model_id", Id))
    op.execute("UPDATE metrics SET model_id = (SELECT model_id FROM versions WHERE id = metrics.version_id)")
    op.create_index("ix_metrics_model_id_name_value_version_id", "metrics", ["model_id", "name", "value", "version_id"])
    for statement in POSTGRESQL if op.get_bind().dialect.name == "postgresql" else SQLITE:
        op.execute(statement)
