# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""A commit of the generated tree as a patch of the repository, and back."""
import os
import re
import subprocess

from linux import Error, GIT_ENV, ROOT, git

DIFF = ('-c', 'diff.algorithm=myers', '-c', 'core.abbrev=12', 'diff-tree', '-r',
        '--no-commit-id', '--no-renames')


def split_mail(path, tmp):
    """The parts of a patch's mail: (info, message, diff)."""
    with open(path, 'rb') as mail:
        text = subprocess.run(
            ['git', 'mailinfo', '-b', f'{tmp}/message', f'{tmp}/diff'], stdin=mail,
            env=GIT_ENV, check=True, stdout=subprocess.PIPE, encoding='utf-8').stdout
    info = dict(line.split(': ', 1) for line in text.splitlines() if ': ' in line)
    if not {'Author', 'Email', 'Date', 'Subject'} <= set(info):
        raise Error(f'{os.path.relpath(path, ROOT)} is not a mail with From:, Date: '
                    'and Subject:')

    def read(name):
        with open(f'{tmp}/{name}', encoding='utf-8', errors='surrogateescape') as file:
            return file.read()

    message = info['Subject'] + '\n\n' + read('message')
    return info, message.rstrip() + '\n', read('diff')


def patch_name(number, commit):
    name = git('log', '-1', '--format=%f', commit).strip()
    return f'{number:04}-{name[:52].rstrip("-.")}.patch'


def patch_text(commit, changed):
    """The mail: without hashes, which change with each version of the source."""
    head = re.sub(r'\A.*\n', '', git('log', '-1', '--format=email', '--no-patch', commit))
    text = f'From {"0" * 40} Mon Sep 17 00:00:00 2001\n{head.rstrip()}\n---\n'
    if changed:
        args = (*DIFF, '--src-prefix=a/', '--dst-prefix=b/')
        text += git(*args, '--stat=75', '--summary', commit, '--', *changed) + '\n'
        diff = git(*args, '-p', commit, '--', *changed)
        text += re.sub(r'^index \w+\.\.\w+( \d+)?\n', '', diff, flags=re.M)
    return text
