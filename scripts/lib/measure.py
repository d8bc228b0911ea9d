# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""Measuring what receiving costs: shared by scripts/demo and scripts/bench."""
import os
import socket
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, 'build')


class Plugin:
    """The memtraffic plugin of a running QEMU, at its socket."""

    def __init__(self, path):
        self.path = path

    def sample(self):
        """The counts since power-on: {'insn': n, 'load': n, 'store': n}."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.path)
            line = sock.makefile().readline()
        return {key: int(value) for key, value in
                (field.split('=') for field in line.split())}

    def settled(self, interval=0.1, tries=50):
        """The counts when the guest has come to rest."""
        last = self.sample()
        for _ in range(tries):
            time.sleep(interval)
            now = self.sample()
            if now == last:
                break
            last = now
        return last
