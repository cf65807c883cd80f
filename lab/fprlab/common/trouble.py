# SPDX-License-Identifier: GPL-2.0-only
"""What a Linux kernel says when something is wrong: of the lab's host, of its guests, and of Debian systems."""

import re
from typing import Callable, Iterable, Optional

# Only behind the time with which the kernel begins a line and at most one prefix ("rcu: "), so that other text
# does not match; a console may hold something before it that a program has written.
# Data races are for lab/tests/l0/kcsan_test to judge: the kernel has some of its own.
TROUBLE = re.compile(
    r"\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? (?!BUG: KCSAN: data-race )(?:\S+: )?(?:"
    r"WARNING: |BUG: |BUG \S+ \(|kernel BUG at|Oops|Kernel panic|"
    r"general protection fault|double fault|divide error|invalid opcode|stack segment|"
    r"Internal error: |Unable to handle kernel |Bad mode in |HYP panic|"
    r"INFO: task .* blocked for more than|INFO: trying to register|"
    r"INFO: rcu\S* .*(?:detected|stall)|NMI watchdog: Watchdog detected|"
    r"KASAN|KCSAN|UBSAN|refcount_t: |list_add corruption|list_del corruption|"
    r"unchecked MSR access error|Out of memory: |\d+ new suspected memory leaks)"
)


def first_trouble(lines: Iterable[str], expected: Callable[[str], bool] = lambda line: False) -> Optional[str]:
    """The first line that says that something is wrong, which was not expected; None if there is none."""
    return next((line for line in lines if TROUBLE.search(line) and not expected(line)), None)
