# SPDX-License-Identifier: GPL-2.0-only
"""A database (SQLite) in a file, whose rows are updated, deleted and inserted, and which is vacuumed in between."""

import random
import sqlite3

import program

FILE = "/tmp/database"
ROWS = 5000  # of a guest of 1 GiB
ROW_SIZE = 8192
CHANGES = 10  # in a transaction
VACUUM_EVERY = 50  # transactions


class Database:
    """The database, and what it must hold."""

    def __init__(self) -> None:
        # Every transaction has a journal, a file that is removed.
        self._database = sqlite3.connect(FILE, isolation_level=None)
        self._database.execute("create table t (id integer primary key, version int, data blob)")
        self._database.execute("create index versions on t (version)")
        self._versions = dict.fromkeys(range(program.scaled(ROWS)), 0)
        self._next = len(self._versions)
        self._transactions = 0
        with self._transaction():
            self._insert(list(self._versions))

    def _transaction(self) -> sqlite3.Connection:
        self._database.execute("begin")
        return self._database

    def _data(self, row: int) -> bytes:
        return program.content(f"{row} {self._versions[row]}", ROW_SIZE)

    def _insert(self, rows: list[int]) -> None:
        self._database.executemany("insert into t values (?, ?, ?)",
                                   ((row, self._versions[row], self._data(row)) for row in rows))

    def _update(self, rows: list[int]) -> None:
        for row in rows:
            self._versions[row] += 1
        self._database.executemany("update t set version = ?, data = ? where id = ?",
                                   ((self._versions[row], self._data(row), row) for row in rows))

    def _replace(self, rows: list[int]) -> None:
        self._database.executemany("delete from t where id = ?", ((row,) for row in rows))
        for row in rows:
            del self._versions[row]
        new = list(range(self._next, self._next + len(rows)))
        self._next += len(rows)
        self._versions.update(dict.fromkeys(new, 0))
        self._insert(new)

    def work(self) -> int:
        """One transaction, and a vacuum from time to time."""
        rows = random.sample(list(self._versions), 2 * CHANGES)
        with self._transaction():
            self._update(rows[:CHANGES])
            self._replace(rows[CHANGES:])
        self._transactions += 1
        if self._transactions % VACUUM_EVERY == 0:
            self._database.execute("vacuum")
        return 2 * CHANGES

    def check(self) -> program.Check:
        """The database's own check, and every row."""
        verdict = self._database.execute("pragma integrity_check").fetchone()[0]
        rows = {row: (version, data) for row, version, data in self._database.execute("select * from t")}
        wrong = sum(rows.get(row) != (version, self._data(row)) for row, version in self._versions.items())
        wrong += len(rows.keys() - self._versions.keys()) + (verdict != "ok")
        return len(self._versions) * ROW_SIZE, wrong * ROW_SIZE


database = Database()
program.run(database.work, database.check)
