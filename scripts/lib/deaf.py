# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""CPUs that QEMU has left without interrupts, as its monitor (QMP) tells.

Such a CPU sleeps (HLT) with a vector in service: the kernel says that it is done with
one (EOI) before it sleeps. Its APIC lets nothing through any more but vectors of a
higher class, which is the vector divided by 16 (Intel SDM 3A, "Interrupt, Task, and
Processor Priority"). It has no timer and no NIC, and works when others ask it to.
"""
import json
import re
import time

ANSWER_LIMIT = 5            # seconds
APART = 0.3                 # seconds between two looks

HALTED = re.compile(r'\bHLT=1\b')
IN_SERVICE = re.compile(r'^ISR\s+(\d+)', re.MULTILINE)


class Monitor:
    """QEMU's end of CHANNEL is a chardev with a monitor in control mode."""

    def __init__(self, channel):
        channel.settimeout(ANSWER_LIMIT)
        self.channel = channel
        self.answers = channel.makefile(encoding='utf-8')
        json.loads(self.answers.readline())         # the greeting
        self.execute('qmp_capabilities')

    def execute(self, command, **arguments):
        request = {'execute': command, 'arguments': arguments}
        self.channel.sendall(json.dumps(request).encode())
        while 'return' not in (answer := json.loads(self.answers.readline())):
            if 'error' in answer:
                raise OSError(f'{command}: {answer["error"]["desc"]}')
        return answer['return']

    def ask(self, line, cpu):
        """What the monitor for people says."""
        return self.execute('human-monitor-command', **{'command-line': line,
                                                        'cpu-index': cpu})

    def vectors(self, cpus):
        """Of the CPUs that sleep with a vector in service, by the CPU's number."""
        found = {}
        for cpu in range(cpus):
            in_service = IN_SERVICE.search(self.ask('info lapic', cpu))
            if in_service and HALTED.search(self.ask('info registers', cpu)):
                found[cpu] = int(in_service[1])
        return found


def deaf_cpus(channel, cpus):
    """As (CPU, vector). None are known if QEMU does not answer."""
    try:
        monitor = Monitor(channel)
        first = monitor.vectors(cpus)
        time.sleep(APART)
        return sorted(first.items() & monitor.vectors(cpus).items())
    except (OSError, ValueError):
        return []
