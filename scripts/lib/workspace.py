# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""A second tree, in build/check, that steps through the series and builds objects.

Only objects of the files that the series touches are built, so that looking at
each patch costs seconds.
"""
import os
import re
import shutil
import subprocess

from kbuild import CCACHE
from linux import BUILD, Error, GIT_ENV, ROOT, git

DIR = os.path.join(BUILD, 'check')
TREE = os.path.join(DIR, 'linux')
OUT = os.path.join(DIR, 'out')
WARNING = re.compile(r'^\S+?(?:\.[chS]|\.tmp_\S+):(?:\d+:)*\s+(?:warning|(?:fatal )?error): .*$',
                     re.M)


def run_git(*args, **kwargs):
    return subprocess.run(['git', '-C', TREE, *args], stderr=subprocess.STDOUT,
                          stdout=subprocess.PIPE, text=True, env=GIT_ENV, **kwargs)


def checkout(commit):
    """Puts the tree at a commit of build/linux; what is equal keeps its date."""
    commit = git('rev-parse', commit).strip()
    if run_git('rev-parse').returncode or \
            run_git('checkout', '-q', '-f', '--detach', commit).returncode:
        shutil.rmtree(DIR, ignore_errors=True)
        git('worktree', 'prune')
        git('worktree', 'add', '-q', '--detach', TREE, commit)


def make(*args):
    """Runs make; returns its exit status and output."""
    command = ['make', '-C', TREE, f'O={OUT}', f'-j{os.cpu_count()}', '-k', *args]
    if shutil.which('ccache'):
        command.append('CC=ccache gcc')
    process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             stdin=subprocess.DEVNULL, text=True, check=False,
                             env={**os.environ, 'LC_ALL': 'C', **CCACHE})
    return process.returncode, process.stdout


def configure():
    """What the base flavour has, and what else the series touches, if the tree knows it."""
    os.makedirs(OUT, exist_ok=True)
    fragments = [os.path.join(ROOT, 'configs', f'{name}.config') for name in ('base', 'check')]
    subprocess.run([os.path.join(TREE, 'scripts/kconfig/merge_config.sh'), '-n', '-O',
                    OUT, *fragments], cwd=TREE,
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    status, output = make('prepare')
    if status:
        raise Error(f'the kernel\'s "make prepare" fails:\n{output[-2000:]}')


def sources(first, last):
    """The .c files that commits change or add."""
    names = git('diff-tree', '-r', '--name-only', '--diff-filter=d', first, last)
    return [name for name in names.splitlines() if name.endswith('.c')]


def build(names, *args):
    """Makes objects of those of the files that are in the tree now."""
    objects = [name[:-2] + '.o' for name in names
               if os.path.exists(os.path.join(TREE, name))]
    return make(*args, *objects) if objects else (0, '')


def warnings(output):
    """Warnings and errors, by their text without the line's number."""
    return {re.sub(r':(\d+:)+', ':', match[0]): match[0]
            for match in WARNING.finditer(output)}


def complaints(status, output, known):
    """What make had to say that is not known; at least something if it failed."""
    new = [text for key, text in warnings(output).items() if key not in known]
    if status and not new:
        return output.splitlines()[-15:]
    return new
