"""The first tables."""

import sqlalchemy as sa
from alembic import op

from mlplat.registry.columns import Id, Json, Moment, word

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "audit",
        sa.Column("id", Id, nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("who", sa.String(255), nullable=False),
        sa.Column("role", word(16), nullable=False),
        sa.Column("action", word(63), nullable=False),
        sa.Column("model", word(63)),
        sa.Column("target", sa.String(255)),
        sa.Column("before", Json()),
        sa.Column("after", Json()),
        sa.Column("request_id", sa.String(255)),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_action_id", "audit", ["action", "id"])
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_model_id", "audit", ["model", "id"])
    op.create_index("ix_audit_who_id", "audit", ["who", "id"])
    op.create_table(
        "idempotency",
        sa.Column("who", word(64), nullable=False),
        sa.Column("key", word(255), nullable=False),
        sa.Column("request", word(64), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("answer", sa.Text()),
        sa.PrimaryKeyConstraint("who", "key", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_at", "idempotency", ["at"])
    op.create_table(
        "keys",
        sa.Column("id", word(16), nullable=False),
        sa.Column("sha256", word(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("role", word(16), nullable=False),
        sa.Column("pattern", word(255)),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment()),
        sa.Column("revoked_at", Moment()),
        sa.Column("last_used_at", Moment()),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
    )
    op.create_table(
        "models",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", word(63), nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("owner", sa.String(255)),
        sa.Column("tags", Json(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.Column("versions", sa.Integer(), nullable=False),
        sa.Column("latest", word(63)),
        sa.PrimaryKeyConstraint("id", name="pk_models"),
        sa.UniqueConstraint("name", name="uq_models_name"),
    )
    op.create_index("ix_models_created_at_id", "models", ["created_at", "id"])
    op.create_index("ix_models_owner", "models", ["owner"])
    op.create_index("ix_models_updated_at_id", "models", ["updated_at", "id"])
    op.create_table(
        "aliases",
        sa.Column("model_id", Id, nullable=False),
        sa.Column("alias", word(63), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("version", word(63), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_aliases_model_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("model_id", "alias", name="pk_aliases"),
    )
    op.create_index("ix_aliases_model_id_version", "aliases", ["model_id", "version"])
    op.create_table(
        "model_tags",
        sa.Column("model_id", Id, nullable=False),
        sa.Column("key", word(63), nullable=False),
        sa.Column("value", word(255), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_model_tags_model_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("model_id", "key", name="pk_model_tags"),
    )
    op.create_index("ix_model_tags_key_value_model_id", "model_tags", ["key", "value", "model_id"])
    op.create_table(
        "moves",
        sa.Column("model_id", Id, nullable=False),
        sa.Column("alias", word(63), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", word(63), nullable=False),
        sa.Column("previous", word(63)),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_moves_model_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("model_id", "alias", "number", name="pk_moves"),
    )
    op.create_table(
        "terms",
        sa.Column("term", word(63), nullable=False),
        sa.Column("model_id", Id, nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_terms_model_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("term", "model_id", name="pk_terms"),
    )
    op.create_index("ix_terms_model_id", "terms", ["model_id"])
    op.create_table(
        "versions",
        sa.Column("id", Id, nullable=False),
        sa.Column("model_id", Id, nullable=False),
        sa.Column("version", word(63), nullable=False),
        sa.Column("natural", word(512), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("published_at", Moment(), nullable=False),
        sa.Column("by", sa.String(255)),
        sa.Column("task", word(63), nullable=False),
        sa.Column("recipe", sa.Text(), nullable=False),
        sa.Column("params", Json(), nullable=False),
        sa.Column("runtime", word(63), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("metrics", Json(), nullable=False),
        sa.Column("tags", Json(), nullable=False),
        sa.Column("sha256", word(64), nullable=False),
        sa.Column("facts", Json(), nullable=False),
        sa.Column("card", sa.Text()),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_versions_model_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_versions"),
        sa.UniqueConstraint("model_id", "version", name="uq_versions_model_id_version"),
    )
    op.create_index("ix_versions_model_id_created_at_id", "versions", ["model_id", "created_at", "id"])
    op.create_index("ix_versions_model_id_natural_id", "versions", ["model_id", "natural", "id"])
    op.create_table(
        "metrics",
        sa.Column("version_id", Id, nullable=False),
        sa.Column("name", word(200), nullable=False),
        sa.Column("value", sa.Float(53), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name="fk_metrics_version_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("version_id", "name", name="pk_metrics"),
    )
    op.create_table(
        "version_tags",
        sa.Column("version_id", Id, nullable=False),
        sa.Column("key", word(63), nullable=False),
        sa.Column("value", word(255), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name="fk_version_tags_version_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("version_id", "key", name="pk_version_tags"),
    )
    op.create_index("ix_version_tags_key_value_version_id", "version_tags", ["key", "value", "version_id"])
