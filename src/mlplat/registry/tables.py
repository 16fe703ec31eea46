"""The tables. Models, versions, moves and aliases are a copy of the store; the others hold what the store cannot."""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from mlplat.registry.columns import Id, Json, Moment, word

NAME = 63
TAG = 255
METRIC = 200

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

models = Table(
    "models",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", word(NAME), nullable=False, unique=True),
    Column("description", Text),
    Column("owner", String(TAG)),
    Column("tags", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("versions", Integer, nullable=False),
    Column("latest", word(NAME)),
    Index(None, "owner"),
    Index(None, "created_at", "id"),
    Index(None, "updated_at", "id"),
)

versions = Table(
    "versions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("model_id", ForeignKey("models.id", ondelete="CASCADE"), nullable=False),
    Column("version", word(NAME), nullable=False),
    Column("natural", word(512), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("published_at", Moment, nullable=False),
    Column("by", String(TAG)),
    Column("task", word(NAME), nullable=False),
    Column("recipe", Text, nullable=False),
    Column("params", Json, nullable=False),
    Column("runtime", word(NAME), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("metrics", Json, nullable=False),
    Column("tags", Json, nullable=False),
    Column("sha256", word(64), nullable=False),
    Column("facts", Json, nullable=False),
    Column("card", Text),
    UniqueConstraint("model_id", "version"),
    Index(None, "model_id", "created_at", "id"),
    Index(None, "model_id", "natural", "id"),
)

metrics = Table(
    "metrics",
    metadata,
    Column("version_id", ForeignKey("versions.id", ondelete="CASCADE"), primary_key=True),
    Column("name", word(METRIC), primary_key=True),
    Column("value", Float(53), nullable=False),
    Column("model_id", Id),  # of the version; the database fills it in where an older release left it out
    Index(None, "model_id", "name", "value", "version_id"),
)

moves = Table(
    "moves",
    metadata,
    Column("model_id", ForeignKey("models.id", ondelete="CASCADE"), primary_key=True),
    Column("alias", word(NAME), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("version", word(NAME), nullable=False),
    Column("previous", word(NAME)),
    Column("reason", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("by", Text, nullable=False),
)

aliases = Table(
    "aliases",
    metadata,
    Column("model_id", ForeignKey("models.id", ondelete="CASCADE"), primary_key=True),
    Column("alias", word(NAME), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("version", word(NAME), nullable=False),
    Index(None, "model_id", "version"),
)

model_tags = Table(
    "model_tags",
    metadata,
    Column("model_id", ForeignKey("models.id", ondelete="CASCADE"), primary_key=True),
    Column("key", word(NAME), primary_key=True),
    Column("value", word(TAG), nullable=False),
    Index(None, "key", "value", "model_id"),
)

version_tags = Table(
    "version_tags",
    metadata,
    Column("version_id", ForeignKey("versions.id", ondelete="CASCADE"), primary_key=True),
    Column("key", word(NAME), primary_key=True),
    Column("value", word(TAG), nullable=False),
    Index(None, "key", "value", "version_id"),
)

terms = Table(
    "terms",
    metadata,
    Column("term", word(NAME), primary_key=True),
    Column("model_id", ForeignKey("models.id", ondelete="CASCADE"), primary_key=True),
    Index(None, "model_id"),
)

keys = Table(
    "keys",
    metadata,
    Column("id", word(16), primary_key=True),
    Column("sha256", word(64), nullable=False),
    Column("name", String(TAG), nullable=False),
    Column("role", word(16), nullable=False),
    Column("pattern", word(TAG)),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
    Column("last_used_at", Moment),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("who", String(TAG), nullable=False),
    Column("role", word(16), nullable=False),
    Column("action", word(NAME), nullable=False),
    Column("model", word(NAME)),
    Column("target", String(TAG)),
    Column("before", Json),
    Column("after", Json),
    Column("request_id", String(TAG)),
    Column("key_id", word(16)),
    Index(None, "model", "id"),
    Index(None, "who", "id"),
    Index(None, "action", "id"),
    Index(None, "at"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("who", word(64), primary_key=True),
    Column("key", word(TAG), primary_key=True),
    Column("request", word(64), nullable=False),
    Column("at", Moment, nullable=False),
    Column("status", Integer),
    Column("answer", Text),
    Index(None, "at"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("sha256", word(64), primary_key=True),
    Column("key_id", word(16), nullable=False),
    Column("proof", word(64)),
    Column("expires_at", Moment, nullable=False),
    Index(None, "expires_at"),
)
