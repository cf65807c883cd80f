# SPDX-License-Identifier: GPL-2.0-only
"""A service in a language with a garbage collector (Python): sessions of objects that refer to each other in circles,
so that nothing but the collector frees them."""

import gc
import random
import zlib

import program

SESSIONS = 1500  # of a guest of 1 GiB
OBJECTS = 20
SIZES = (256, 1024, 4096)  # bytes
BATCH = 10


class Record:
    """One object of a session, which knows the next one, and what it must hold."""

    def __init__(self, seed: str, size: int) -> None:
        self.data = bytearray(program.content(seed, size))
        self.sum = zlib.crc32(self.data)
        self.next = self


class Service:
    """All sessions."""

    def __init__(self) -> None:
        self._made = 0
        self._sessions = [self._session() for _ in range(program.scaled(SESSIONS))]

    def _session(self) -> Record:
        self._made += 1
        records = [Record(f"{self._made} {number}", random.choice(SIZES)) for number in range(OBJECTS)]
        for record, other in zip(records, records[1:] + records[:1]):
            record.next = other
        return records[0]

    def work(self) -> int:
        """End some sessions and begin others."""
        for index in random.sample(range(len(self._sessions)), BATCH):
            self._sessions[index] = self._session()
        if self._made % (10 * BATCH) == 0:
            gc.collect()
        return BATCH

    def check(self) -> program.Check:
        """Look at every object."""
        looked_at = wrong = 0
        for session in self._sessions:
            record = session
            for _ in range(OBJECTS):
                looked_at += len(record.data)
                wrong += len(record.data) * (zlib.crc32(record.data) != record.sum)
                record = record.next
        return looked_at, wrong


service = Service()
program.run(service.work, service.check)
