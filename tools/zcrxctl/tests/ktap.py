# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""Tests are functions called test_*, named by their first line; prints KTAP."""
import time
import traceback


class Skip(Exception):
    """There is nothing here to test with."""


def expect(condition, *what):
    if not condition:
        raise AssertionError(' '.join(map(str, what)))


def expect_equal(got, wanted, what=''):
    expect(got == wanted, f'{what}: got {got!r}, not {wanted!r}')


def run(namespace, *args):
    """Runs the tests of a module; returns the exit status."""
    tests = [value for name, value in namespace.items() if name.startswith('test_')]
    print(f'KTAP version 1\n1..{len(tests)}')
    failed = 0
    for number, test in enumerate(tests, 1):
        start, verdict, note = time.monotonic(), 'ok', ''
        try:
            test(*args)
        except Skip as reason:
            note = f' # SKIP {reason}'
        except Exception:   # whatever it is, the test failed
            verdict = 'not ok'
            failed += 1
            for line in traceback.format_exc().splitlines():
                print(f'# {line}')
        print(f'{verdict} {number} {test.__doc__}{note}\n'
              f'# {time.monotonic() - start:.1f} s', flush=True)
    return 1 if failed else 0
