# SPDX-License-Identifier: GPL-2.0-only
"""Whether a page holds what a workload of the guest fills pages with: lab/l2/guest_memory.c says what that is."""

from .ram import PAGE

WORD_BITS = 64
WORDS = PAGE * 8 // WORD_BITS
MASK = (1 << WORD_BITS) - 1
# The buffers that a workload frees, by the highest byte of their seed: see lab/l2/guest.c.
SEEDS = {"freed": 2, "frag": 3, "churn": 4, "forks": 5, "pressure": 6}
# A page that is filled while it is read has the new words, those before, and zeros of the kernel between them.
MAX_PIECES = 4


def every_word(word: int) -> int:
    """A page of that word, as one number."""
    return int.from_bytes(word.to_bytes(8, "little") * WORDS, "little")


# What a shift within each word leaves of the page.
LEFT_13, RIGHT_7, LEFT_17 = every_word(MASK << 13 & MASK), every_word(MASK >> 7), every_word(MASK << 17 & MASK)
# All words but the last one.
FORMER = (1 << WORD_BITS * (WORDS - 1)) - 1
FACTORS = (0xbf58476d1ce4e5b9, 0x94d049bb133111eb)
FORMER_FACTORS = tuple(pow(factor, -1, 1 << WORD_BITS) for factor in FACTORS)


def next_words(page: int) -> int:
    """What follows each word of the page, in its place: xorshift64 for all at once."""
    page ^= page << 13 & LEFT_13
    page ^= page >> 7 & RIGHT_7
    return page ^ page << 17 & LEFT_17


def without_shift(word: int, shift: int) -> int:
    """What became this word by word ^ word << shift, or >> where the shift is negative."""
    while abs(shift) < WORD_BITS:
        word ^= word << shift & MASK if shift > 0 else word >> -shift
        shift *= 2
    return word


def former_word(word: int) -> int:
    """The word before it."""
    for shift in (17, -7, 13):
        word = without_shift(word, shift)
    return word


def seed_of(word: int, index: int) -> tuple[int, int]:
    """What the word at that place of a filled page follows from: the highest byte of the buffer's seed, and the page's
    index in the buffer; 0 and 0 if it is no such word."""
    for _ in range(index + 1):
        word = former_word(word)
    if word & 1:
        # The lowest bit was set, whatever it was.
        for state in (word, word ^ 1):
            state = without_shift(state, -31) * FORMER_FACTORS[1] & MASK
            state = without_shift(state, -27) * FORMER_FACTORS[0] & MASK
            state = without_shift(state, -30)
            if 0 < state >> 56 <= max(SEEDS.values()):
                return state >> 56, state & 0xffffffff
    return 0, 0


def piece_starts(page: int) -> list[int]:
    """Where a word does not follow from the one before it, the first one included."""
    odd = page >> WORD_BITS ^ next_words(page) & FORMER
    starts = [0]
    while odd and len(starts) <= MAX_PIECES:
        index = ((odd & -odd).bit_length() - 1) // WORD_BITS
        starts.append(index + 1)
        odd = odd >> WORD_BITS * (index + 1) << WORD_BITS * (index + 1)
    return starts


def is_fill(content: bytes, workload: str, npages: int) -> bool:
    """Whether every word of a page was written by the workload into a buffer that it frees, in a guest of so many
    pages, or by a kernel that clears a page. Pages that are filled once more while they are read have several
    such pieces."""
    page = int.from_bytes(content, "little")
    starts = piece_starts(page)
    if workload not in SEEDS or len(starts) > MAX_PIECES:
        return False
    for start in starts:
        word = page >> WORD_BITS * start & MASK
        if word:
            seed, index = seed_of(word, start)
            if seed != SEEDS[workload] or index >= npages:
                return False
    return bool(page)
