# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""What the examples say of the bytes that they received."""
import re

from ktap import expect, expect_equal

LINE = re.compile(r'^([\w/]+): (\d+) bytes, (\d+) written in place, '
                  r'(\d+) copied to join blocks of \d+, '
                  r'(\d+) copied for not being aligned to \d+$', re.M)


def by_name(said):
    """The exit status and the words of each example, of lines "=NAME STATUS" and more."""
    found = re.findall(r'^=([\w-]+) (\d+)\n(.*?)(?=^=|\Z)', said, re.M | re.S)
    return {name: (int(status), text) for name, status, text in found}


def of_storage(text):
    """Of each file: all bytes, those in place, joined, misaligned."""
    files = {m[0]: [int(n) for n in m[1:]] for m in LINE.findall(text)}
    for name, (size, *parts) in files.items():
        expect_equal(sum(parts), size, name)
    return files


def of_kernel(text):
    """Of one ifq: bytes in place, and copied."""
    counters = re.findall(r'\b(?:zc_bytes|copied_\w+)=(\d+)', text)
    expect(counters, text)
    zc_bytes, *copied = map(int, counters)
    return zc_bytes, sum(copied)


def expect_in_place(text, size):
    """By counters of one ifq, of as many bytes at least."""
    zc_bytes, copied = of_kernel(text)
    expect(zc_bytes >= 0.9 * size and zc_bytes >= 0.9 * (zc_bytes + copied), text)
