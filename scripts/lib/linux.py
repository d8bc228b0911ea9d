# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""Where the kernel's source, our part of it, and the generated tree are."""
import hashlib
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, 'build')
TREE = os.path.join(BUILD, 'linux')
NEW_FILES = os.path.join(ROOT, 'kernel')
PATCHES = os.path.join(ROOT, 'patches', 'linux-6.12')
TARBALL = '/usr/src/linux-source-6.12.tar.xz'
STAMP = os.path.join(TREE, '.git', 'zcrx-stamp')

# The same on every machine, whatever its user has configured
GIT_ENV = {**os.environ, 'GIT_CONFIG_GLOBAL': '/dev/null', 'GIT_CONFIG_NOSYSTEM': '1'}


class Error(Exception):
    """Something that the user can read and act upon."""


def main(function):
    """Runs a script's main function; errors become a sentence."""
    name = os.path.basename(sys.argv[0])
    try:
        sys.exit(function())
    except Error as error:
        sys.exit(f'{name}: {error}')
    except subprocess.CalledProcessError as error:
        detail = f': {error.stderr.strip()}' if error.stderr else ''
        sys.exit(f'{name}: {" ".join(error.cmd)} failed{detail}')
    except KeyboardInterrupt:
        sys.exit(130)


def git(*args, env=None, stdin=None, check=True):
    """Runs git in the generated tree; returns what it prints."""
    process = subprocess.run(['git', '-C', TREE, *args], input=stdin, check=check,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             encoding='utf-8', errors='surrogateescape',
                             env={**GIT_ENV, **(env or {})})
    return process.stdout


def apply_tree():
    subprocess.run([os.path.join(ROOT, 'scripts', 'tree'), 'apply'], check=True)


def source_id():
    """Tells one version of the kernel's source from another."""
    try:
        stat = os.stat(TARBALL)
    except OSError as error:
        raise Error(f'no {TARBALL}: scripts/deps kernel installs it') from error
    return f'{stat.st_size} {int(stat.st_mtime)}'


def content_hash(*paths, extra=''):
    """Hash of files, and of all files in directories, with their names."""
    digest = hashlib.sha256(extra.encode())
    for path in paths:
        for name in files_below(path):
            digest.update(f'{os.path.relpath(name, ROOT)}\0'.encode())
            with open(name, 'rb') as file:
                digest.update(hashlib.sha256(file.read()).digest())
    return digest.hexdigest()


def files_below(path):
    if os.path.isfile(path):
        return [path]
    return sorted(os.path.join(folder, name)
                  for folder, _, names in os.walk(path) for name in names)


def wanted_stamp():
    """What STAMP holds when the tree is source, patches and new files of now."""
    return content_hash(PATCHES, NEW_FILES, extra=source_id())


def tree_work():
    """What is in the tree and not in the repository, in words; or None."""
    if not os.path.exists(STAMP):
        return None
    if git('status', '--porcelain', '--untracked-files=no'):
        return 'changes that are not committed'
    if git('rev-parse', 'HEAD') != git('rev-parse', 'refs/zcrx/applied'):
        return 'commits that are not exported'
    return None
