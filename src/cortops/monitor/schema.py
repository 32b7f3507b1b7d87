"""The tables of a history. A new version adds; nothing that an earlier release reads is taken away."""

from __future__ import annotations

from typing import Final

VERSION: Final = 1
_ANSWER = "at INTEGER, question INTEGER, status INTEGER, silence TEXT, elapsed_ms REAL, body INTEGER, PRIMARY KEY (at, question)"

# raw: every answer for a while, times in milliseconds. kept: the answers that a state was seen by, for ever.
SCHEMA: Final = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE states (entity TEXT NOT NULL, since REAL NOT NULL, until REAL, state TEXT NOT NULL, reason TEXT NOT NULL,
  evidence TEXT NOT NULL, PRIMARY KEY (entity, since, state)) WITHOUT ROWID;
CREATE INDEX states_since ON states (since);
CREATE INDEX states_open ON states (entity) WHERE until IS NULL;
CREATE TABLE questions (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE bodies (id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, body BLOB NOT NULL, used_at INTEGER NOT NULL);
CREATE INDEX bodies_used ON bodies (used_at);
CREATE TABLE raw ({_ANSWER}) WITHOUT ROWID;
CREATE TABLE kept ({_ANSWER}) WITHOUT ROWID;
CREATE TABLE rollups (at INTEGER, question INTEGER, ok INTEGER, bad INTEGER, inconclusive INTEGER, replies INTEGER, p50_ms REAL,
  max_ms REAL, PRIMARY KEY (at, question)) WITHOUT ROWID;
CREATE TABLE checks (entity TEXT, name TEXT, recent TEXT, settled TEXT, told INTEGER, PRIMARY KEY (entity, name)) WITHOUT ROWID;
CREATE TABLE processes (question TEXT, service TEXT, pid INTEGER, PRIMARY KEY (question, service)) WITHOUT ROWID;
"""
