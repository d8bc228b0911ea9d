# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""Runs the kernel's make, and shows how far it is."""
import os
import re
import shutil
import subprocess
import sys
import time

from linux import Error, ROOT

# What is not in ccache costs a third more if it is preprocessed for a look there; to
# know it by the headers that the compiler has read (depend mode) costs next to nothing.
CCACHE = {'CCACHE_BASEDIR': ROOT, 'CCACHE_NOHASHDIR': '1', 'CCACHE_DEPEND': '1'}

# The same kernel wherever and whenever it is built
ENV = {'LC_ALL': 'C', 'KBUILD_BUILD_USER': 'zcrx', 'KBUILD_BUILD_HOST': 'zcrx',
       'KBUILD_BUILD_VERSION': '1',
       'KBUILD_BUILD_TIMESTAMP': 'Thu Jan  1 00:00:00 UTC 2026', **CCACHE}


def say(text):
    print(f'kernel: {text}', file=sys.stderr, flush=True)


def command(tree, out, *targets):
    ccache = ['CC=ccache gcc'] if shutil.which('ccache') else []
    return ['make', '-C', tree, f'O={out}', f'-j{os.cpu_count()}', *ccache, *targets]


def build(tree, out, what, target, expected=None):
    """Makes a target; returns how many objects that took. OUT/build.log has it all."""
    start, shown, objects = time.time(), 0, 0
    tty = sys.stderr.isatty()
    log_path = os.path.join(out, 'build.log')
    with open(log_path, 'w', encoding='utf-8') as log, subprocess.Popen(
            command(tree, out, target), env={**os.environ, **ENV}, text=True,
            stdin=subprocess.DEVNULL, errors='replace', stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT) as make:
        for line in make.stdout:
            log.write(line)
            objects += line.startswith(('  CC ', '  AS '))
            if time.time() - shown > (0.5 if tty else 15):
                shown = time.time()
                progress(what, objects, expected, shown - start, tty)
        status = make.wait()
    if tty:
        print(file=sys.stderr)
    if status:
        raise Error(f'{what}: the kernel does not build:\n{reason(log_path)}'
                    f'all of it: {os.path.relpath(log_path, ROOT)}')
    say(f'{what}: built in {time.time() - start:.0f} s')
    return objects


def progress(what, objects, expected, seconds, tty):
    of = f' of about {expected}' if expected and objects <= expected else ''
    text = f'kernel: {what}: {objects}{of} objects, {seconds:.0f} s'
    print(f'\r{text:<60}' if tty else text, end='' if tty else '\n',
          file=sys.stderr, flush=True)


def reason(log_path):
    """The lines of a log that tell what is wrong."""
    with open(log_path, encoding='utf-8') as log:
        lines = log.readlines()
    wrong = [l for l in lines if re.search(r'error|undefined|\*\*\*', l, re.I)]
    return ''.join(wrong[-20:] or lines[-20:])
