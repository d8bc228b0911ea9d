# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""Measuring what receiving costs in the VM: shared by scripts/demo and scripts/bench.

The guest receives, one run after the other; the peer outside the VM sends, and
reads the memtraffic plugin's counters before and after. Each run is made with
a small and a large amount of data: the difference of the counts divided by the
difference of the bytes is the cost of a byte, without what a connection, a
process or an idle machine costs.

Run as a program, this file is the peer: measure.py SPEC RESULT
"""
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, 'build')
VM = os.path.join(ROOT, 'scripts', 'vm')
COUNTS = ('insn', 'load', 'store')

WARM_UP = 20_000_000
SMALL = 100_000_000
LARGE = 300_000_000
CONNECT_TIMEOUT = 60
STALL_TIMEOUT = 60
PORT = 5300

# One vCPU, and so one queue. With more of them on a busy host one spins while
# the host runs another, and figures are a matter of luck.
VCPUS = 1
QUEUE = 0

CONGESTION = b'reno'    # in every kernel, and no pacing that outguesses QEMU


class MeasureError(Exception):
    """Something that the user can read and act upon."""


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

    def wait(self):
        """Waits for QEMU to come up."""
        deadline = time.monotonic() + CONNECT_TIMEOUT
        while True:
            try:
                return self.sample()
            except OSError as err:
                if time.monotonic() > deadline:
                    raise MeasureError('QEMU never loaded the memtraffic plugin: '
                                       f'{self.path}: {err}') from err
                time.sleep(0.1)

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


def connect(guest, port):
    """Connects as soon as the guest listens."""
    deadline = time.monotonic() + CONNECT_TIMEOUT
    while True:
        try:
            return socket.create_connection((guest, port), timeout=2)
        except OSError as err:
            if time.monotonic() > deadline:
                raise MeasureError(f'the receiver in the VM never listened on '
                                   f'port {port}: {err}') from err
            time.sleep(0.1)


def retransmits(sock):
    """tcpi_total_retrans of a connection."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return struct.unpack_from('I', info, 100)[0]


def send_tcp(plugin, guest, port, size):
    """Sends size bytes to a receiver that closes when it has them all."""
    block = memoryview(bytes(1 << 18))
    with connect(guest, port) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, CONGESTION)
        sock.settimeout(STALL_TIMEOUT)
        time.sleep(0.1)     # the receiver gets to its first receive
        before = plugin.sample()
        start = time.monotonic()
        left = size
        while left:
            left -= sock.send(block[:left])
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1)
        seconds = time.monotonic() - start
        after = plugin.sample()
        retr = retransmits(sock)
    return {'bytes': size, 'seconds': seconds, 'retransmits': retr,
            **{key: after[key] - before[key] for key in COUNTS}}


def has_begun(result):
    """If not, the server does not listen yet, or has not done with the run before."""
    return bool(result.get('start', {}).get('connected'))


def send_iperf3(plugin, guest, port, size):
    """One iperf3 test with its server in the guest."""
    deadline = time.monotonic() + CONNECT_TIMEOUT
    while True:
        before = plugin.sample()
        start = time.monotonic()
        proc = subprocess.run(
            ['iperf3', '-c', guest, '-p', str(port), '-n', str(size), '-J',
             '-C', CONGESTION.decode()],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
            timeout=CONNECT_TIMEOUT + STALL_TIMEOUT, check=False)
        # Not iperf3's time: some versions tell whole intervals.
        seconds = time.monotonic() - start
        after = plugin.sample()
        result = json.loads(proc.stdout or '{}')
        error = result.get('error')
        if not error and not proc.returncode:
            break
        if has_begun(result) or time.monotonic() > deadline:
            raise MeasureError(f'iperf3 client: {error or "no output"}')
        time.sleep(0.1)
    end = result['end']
    return {'bytes': end['sum_received']['bytes'],
            'seconds': seconds,
            'retransmits': end['sum_sent']['retransmits'],
            **{key: after[key] - before[key] for key in COUNTS}}


SENDERS = {'tcp': send_tcp, 'iperf3': send_iperf3}


def peer(spec_path, result_path):
    """The peer: makes the runs of the spec and writes what was counted."""
    with open(spec_path, encoding='utf-8') as file:
        spec = json.load(file)
    guest = os.environ['ZCRX_VM_GUEST4']
    plugin = Plugin(spec['plugin'])
    plugin.wait()
    done = []
    for run in spec['runs']:
        sample = SENDERS[spec['sender']](plugin, guest, run['port'],
                                         run['bytes'])
        done.append(sample)
        gbps = 8 * sample['bytes'] / sample['seconds'] / 1e9
        print(f'  {run["name"]}: {sample["bytes"] / 1e6:.0f} MB, '
              f'{gbps:.2f} Gb/s', file=sys.stderr, flush=True)
        with open(result_path, 'w', encoding='utf-8') as file:
            json.dump(done, file)


def rate(small, large):
    """Gb/s; a small run that took longer, on a busy machine, is left out."""
    size, seconds = (large[key] - small[key] for key in ('bytes', 'seconds'))
    if seconds <= 0:
        size, seconds = large['bytes'], large['seconds']
    return 8 * size / seconds / 1e9


def slope(small, large):
    """The cost of a byte, from the samples of a small and a large run."""
    size = large['bytes'] - small['bytes']
    insn, load, store = ((large[key] - small[key]) / size for key in COUNTS)
    return {
        'bytes': large['bytes'],
        'gbps': rate(small, large),
        'insn_per_byte': insn,
        'load_bytes_per_byte': load,
        'store_bytes_per_byte': store,
        'mem_bytes_per_byte': load + store,
        'retransmits': small['retransmits'] + large['retransmits'],
    }


def median(results):
    """Of several results of slope(): each figure's median, the worst of retransmits."""
    middle = {key: statistics.median(r[key] for r in results)
              for key in results[0]}
    middle['retransmits'] = max(r['retransmits'] for r in results)
    return middle


def storm(result, mtu):
    """Were so many segments sent again that the figures mean nothing?"""
    return result['retransmits'] > 0.01 * (SMALL + LARGE) / mtu


def plan(modes):
    """The runs of a measurement: for each mode a small one and a large one.

    The first one is there to warm up: link, caches, QEMU's translations.
    """
    kinds = []
    for mode in modes:
        kinds += [(f'{mode}-warm-up', mode, WARM_UP), (f'{mode}-small', mode, SMALL),
                  (f'{mode}-large', mode, LARGE)]
    return [{'name': name, 'mode': mode, 'bytes': count, 'port': PORT + i}
            for i, (name, mode, count) in enumerate(kinds)]


def nic_setup():
    """First lines of a guest script: stop at errors, drop no packets."""
    return ['set -e', 'ethtool -G eth0 rx 4096']


def built(name):
    """A product of the build, or the way to it."""
    path = os.path.join(BUILD, name)
    if not os.path.exists(path):
        raise MeasureError(f'{path} is missing: run make tools first')
    return path


def parse_output(text):
    """The guest's lines "run=NAME key=number ...", as {NAME: {key: number}}."""
    found = {}
    for line in text.splitlines():
        fields = dict(word.split('=', 1) for word in line.split() if '=' in word)
        if 'run' in fields:
            found[fields.pop('run')] = {key: int(value) for key, value in
                                        fields.items() if value.isdigit()}
    return found


def vm(*, mtu, sender, runs, guest_script, files, flavour='base'):
    """Boots the VM, makes the runs; returns two dictionaries by a run's name.

    The first has the peer's samples, the second what the guest said of it.
    """
    with tempfile.TemporaryDirectory(prefix='zcrx') as tmp:
        script, spec, result, sock = (os.path.join(tmp, name) for name in
                                      ('receive', 'spec', 'result', 'counts'))
        with open(script, 'w', encoding='utf-8') as file:
            file.write('\n'.join(['#!/bin/sh', *guest_script, '']))
        os.chmod(script, 0o755)
        with open(spec, 'w', encoding='utf-8') as file:
            json.dump({'plugin': sock, 'sender': sender, 'runs': runs}, file)

        command = [VM, '--flavour', flavour, '--mtu', str(mtu),
                   '--cpus', str(VCPUS),
                   '--qemu-arg', f'-plugin {built("tools/memtraffic/memtraffic.so")},socket={sock}',
                   '--peer', f'{sys.executable} {os.path.abspath(__file__)} {spec} {result}']
        for name in files:
            command += ['--file', name]
        proc = subprocess.run([*command, '--', script], text=True, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if proc.returncode:
            raise MeasureError(f'the VM ended with status {proc.returncode}:\n'
                               + '\n'.join(proc.stdout.splitlines()[-20:]))
        with open(result, encoding='utf-8') as file:
            samples = json.load(file)
    return (dict(zip((run['name'] for run in runs), samples)),
            parse_output(proc.stdout))


def kernel_version(path):
    """What a bzImage says of itself, by the x86 boot protocol."""
    with open(path, 'rb') as file:
        head = file.read(1 << 16)
    start = int.from_bytes(head[0x20e:0x210], 'little') + 0x200
    return head[start:head.index(b'\0', start)].decode().split()[0]


def versions():
    """What was measured with, for the JSON files."""
    def first_line(command):
        proc = subprocess.run(command, text=True, check=True,
                              stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        return proc.stdout.splitlines()[0]

    return {'kernel': kernel_version(built('kernel/base/bzImage')),
            'qemu': first_line(['qemu-system-x86_64', '--version']),
            'iperf3': first_line(['iperf3', '--version'])}


def format_table(head, rows):
    """Head lines, a rule, rows; the first two columns are words, the others numbers."""
    lines = [*head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = ['  '.join(cell.ljust(width) if i < 2 else cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(line, widths))).rstrip()
            for line in lines]
    text.insert(len(head), '  '.join('-' * width for width in widths))
    return '\n'.join(text)


if __name__ == '__main__':
    try:
        peer(*sys.argv[1:])
    except (MeasureError, OSError, subprocess.TimeoutExpired) as error:
        sys.exit(f'measure: {error}')
