# SPDX-License-Identifier: GPL-2.0-only
"""A service in a language with a garbage collector (Python): sessions of objects that refer to each other in circles,
so that nothing but the collector frees them. What each object must hold follows from how many sessions were begun, and
from nothing that stands beside it."""

import gc
import random

import program

SESSIONS = 1500  # of a guest of 1 GiB
OBJECTS = 20
SIZES = (256, 1024, 4096)  # bytes
BATCH = 10
COLLECT_EVERY = 10  # batches


class Record:
    """One object of a session, which knows the next one."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self.next = self


def expected(session: int, number: int) -> bytes:
    """What an object of a session holds."""
    return program.content(f"{session} {number}", SIZES[(session + number) % len(SIZES)])


def begin(session: int) -> Record:
    """A new session, by its first object."""
    records = [Record(expected(session, number)) for number in range(OBJECTS)]
    for record, other in zip(records, records[1:] + records[:1]):
        record.next = other
    return records[0]


class Service:
    """All sessions. They are numbered as they begin. Turn after turn replaces every one, in an order that follows from the
    turn's number."""

    def __init__(self) -> None:
        self._places = program.scaled(SESSIONS)
        self._begun = self._batches = 0
        self._order: list[int] = []
        self._sessions: list[Record | None] = [None] * self._places
        for _ in range(self._places):
            self._replace_next()

    def _order_of(self, turn: int) -> list[int]:
        return random.Random(turn).sample(range(self._places), self._places)

    def _replace_next(self) -> None:
        turn, at = divmod(self._begun, self._places)
        if not at:
            self._order = self._order_of(turn)
        self._sessions[self._order[at]] = begin(self._begun)
        self._begun += 1

    def work(self) -> int:
        """End some sessions and begin others."""
        for _ in range(BATCH):
            self._replace_next()
        self._batches += 1
        if self._batches % COLLECT_EVERY == 0:
            gc.collect()
        return BATCH

    def _numbers(self) -> list[int]:
        """Which session is at each place: the last turn's, as far as that has come, and those of the one before."""
        numbers = [0] * self._places
        last = (self._begun - 1) // self._places
        for turn in range(max(last - 1, 0), last + 1):
            for at, place in enumerate(self._order_of(turn)):
                if turn * self._places + at < self._begun:
                    numbers[place] = turn * self._places + at
        return numbers

    def check(self) -> program.Check:
        """Look at every object, and whether each circle closes."""
        looked_at = wrong = 0
        for first, session in zip(self._sessions, self._numbers()):
            record = first
            for number in range(OBJECTS):
                data = expected(session, number)
                looked_at += len(data)
                # The last one has to know the first.
                open_circle = number == OBJECTS - 1 and record.next is not first
                wrong += len(data) * (record.data != data or open_circle)
                record = record.next
        return looked_at, wrong


service = Service()
program.run(service.work, service.check)
