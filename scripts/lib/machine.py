# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""QEMU and the peer, from power-on to the end."""
import fcntl
import os
import re
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import time

import deaf

QEMU = 'qemu-system-x86_64'
OLDEST_QEMU = (8, 1)        # the first one that has an igb
KVM_CREATE_VM = 0xae01

# Without the byte-wise "rep movsb": TCG takes twice as long for it
TCG_CPU = 'max,-erms,-fsrm'

# On the PCI bus; an igb's virtual functions would collide with its neighbour's
FIRST_SLOT = 2

PEER_FAILED, CANT_START, TIMED_OUT, DIED, SPLAT = 122, 123, 124, 125, 126

TAIL = 60                   # lines of the kernel's log to show
GRACE = 2                   # seconds for the peer to end after COMMAND
TERM_GRACE = 3              # and after SIGTERM
PEER_FAILURE_GRACE = 5      # for COMMAND to end when the peer has failed
LAST_WORDS = 3              # for what is under way when QEMU has ended

# Under multi-threaded TCG a boot hangs once in a while, or QEMU is gone, and the
# kernel has not said a word: code that one CPU patches can stay with another as it
# was. configs/base.config leaves out most of the patching; before it did, one boot of
# some 120 with four CPUs on two busy ones hung. COMMAND has not been tried then. What
# the kernel complains of is never forgiven.
BOOT_TRIES = 3
BOOT_LIMIT = 60             # seconds, but for the last try

# A kernel is full of data races; whoever looks for them looks for his own.
SPLATS = re.compile(r'BUG: (?!KCSAN: )|BUG at |WARNING: |Oops|Kernel panic|'
                    r'general protection fault|'
                    r'INFO: (possible|suspicious|task|rcu|inconsistent|trying)|UBSAN: |'
                    r'possible circular locking|unreferenced object|'
                    r'\d+ new suspected memory leaks|page_pool_release_retry|'
                    r'refcount_t: |unregister_netdevice: waiting|NETDEV WATCHDOG|'
                    r'DMAR: .*[Ff]ault')
DEATHS = re.compile(r'Kernel panic - not syncing: .*|Oops: .*')


class MachineError(Exception):
    """Something that the user can read and act upon."""


class Stopped(Exception):
    """A signal asked us to end."""


def check_qemu():
    try:
        text = subprocess.run([QEMU, '--version'], text=True, check=True,
                              stdout=subprocess.PIPE).stdout
    except FileNotFoundError as err:
        raise MachineError(f'{QEMU} is not installed: run make deps-demo, or apt '
                           'install qemu-system-x86') from err
    version = tuple(map(int, re.search(r'version (\d+)\.(\d+)', text).groups()))
    if version < OLDEST_QEMU:
        raise MachineError('QEMU {}.{} has no igb NIC, which came with 8.1: run make '
                           'deps-demo, which takes a newer one from backports'
                           .format(*version))


def kvm_works():
    """A /dev/kvm without the processor's support is there, and of no use."""
    with open('/proc/cpuinfo', encoding='ascii', errors='replace') as file:
        if not re.search(r'^flags\s*:.* (vmx|svm) ', file.read(), re.M):
            return False
    try:
        with open('/dev/kvm', 'r+b', buffering=0) as kvm:
            os.close(fcntl.ioctl(kvm, KVM_CREATE_VM, 0))
    except OSError:
        return False
    return True


class Machine:
    """A virtual machine that runs one command."""

    def __init__(self, args, kernel, initramfs, taps, key):
        self.args = args
        self.kernel = kernel
        self.initramfs = initramfs
        self.taps = taps
        self.key = f'\x1e{key} '.encode()
        self.selector = selectors.DefaultSelector()
        self.channels = {}
        self.qemu = self.peer = None
        self.log = bytearray()          # the kernel's
        self.pending = b''              # of the command's output, maybe a key's beginning
        self.qemu_said = b''
        self.emulated = '-plugin' in args.qemu_arg or not kvm_works()
        self.boots = 0
        self.boot_limit = None          # when to give a boot up
        self.status = None              # the command's, when it has ended
        self.failure = None             # (exit status, sentence)
        self.peer_limit = None          # when a peer that failed fails us

    def channel(self, name):
        """One end of a socket is ours, the other becomes a chardev of QEMU."""
        ours, theirs = socket.socketpair()
        self.channels[name] = ours
        if name != 'monitor':       # which is asked
            self.selector.register(ours, selectors.EVENT_READ, name)
        return theirs

    def accelerator(self):
        if self.emulated:
            return ['-accel', 'tcg,thread=multi', '-cpu', TCG_CPU]
        return ['-accel', 'kvm', '-cpu', 'host']

    def kernel_arguments(self):
        # The kernel's check of its timer counts ticks, and panics when a busy
        # host has let QEMU miss them.
        words = ['console=ttyS0', 'panic=-1', 'oops=panic', 'no_timer_check',
                 'rdinit=/init']
        return ' '.join([*words, self.args.append]).strip()

    def command_line(self, chardevs):
        """QEMU's, and the file descriptors that it gets."""
        fds = [self.initramfs, *self.taps, *(c.fileno() for c in chardevs.values())]
        command = [QEMU, '-no-user-config', '-nodefaults', '-display', 'none',
                   '-machine', 'q35', *self.accelerator(), '-no-reboot',
                   '-m', str(self.args.memory), '-smp', str(self.args.cpus),
                   '-kernel', self.kernel, '-initrd', f'/dev/fd/{self.initramfs}',
                   '-append', self.kernel_arguments()]
        for name, end in chardevs.items():
            command += ['-chardev', f'socket,id={name},fd={end.fileno()}']
        command += ['-mon', 'chardev=monitor,mode=control',
                    '-serial', 'chardev:console', '-device', 'virtio-serial-pci',
                    '-device', 'virtserialport,chardev=out,name=out']
        if 'terminal' in chardevs:
            command += ['-device', 'virtconsole,chardev=terminal']
        for i, tap in enumerate(self.taps):
            command += ['-netdev', f'tap,id=net{i},fd={tap}', '-device',
                        f'{self.args.nic},netdev=net{i},mac=52:54:00:12:34:{86 + i},'
                        f'addr={FIRST_SLOT + 2 * i}']
        return command + self.args.qemu_arg, fds

    def power_on(self):
        self.boots += 1
        if self.emulated and self.boots < BOOT_TRIES:
            self.boot_limit = time.monotonic() + BOOT_LIMIT
        names = ['monitor', 'console', 'out'] + (['terminal'] if self.args.shell else [])
        chardevs = {name: self.channel(name) for name in names}
        command, fds = self.command_line(chardevs)
        if self.args.verbose:
            print(shlex.join(command), file=sys.stderr)
        self.qemu = subprocess.Popen(command, pass_fds=fds, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for end in chardevs.values():
            end.close()
        self.selector.register(self.qemu.stdout, selectors.EVENT_READ, 'qemu')
        self.selector.register(os.pidfd_open(self.qemu.pid), selectors.EVENT_READ,
                               'qemu ended')
        if self.args.shell:
            self.selector.register(0, selectors.EVENT_READ, 'keyboard')

    def power_off(self):
        self.qemu.kill()
        self.qemu.wait()
        for key in list(self.selector.get_map().values()):
            if key.data != 'peer ended':
                self.selector.unregister(key.fileobj)
        for channel in self.channels.values():
            channel.close()
        self.boot_limit = None

    def boot_again(self, why):
        """Forgets a boot that has not come to COMMAND."""
        self.power_off()
        show_log(self.log_lines()[-TAIL:])
        print(f'vm: {why}, before the command was started: once more', file=sys.stderr)
        self.log = bytearray()
        self.pending = self.qemu_said = b''
        self.power_on()

    def boot_hung(self):
        if self.splat() is None:
            self.boot_again('the guest hung')
        else:
            self.failure = DIED, 'the guest hung before the command was started'

    def start_peer(self, environment):
        self.peer = subprocess.Popen(['/bin/sh', '-c', self.args.peer],
                                     stdin=subprocess.DEVNULL, stdout=2,
                                     env=environment, start_new_session=True)
        self.selector.register(os.pidfd_open(self.peer.pid), selectors.EVENT_READ,
                               'peer ended')

    def run(self, environment):
        """Everything; returns the exit status."""
        try:
            if self.args.peer:
                self.start_peer(environment)
            self.power_on()
            self.wait()
            self.await_peer()
            self.look_for_deaf_cpus()
        except Stopped:
            self.look_for_deaf_cpus()
            self.complaint()
            raise
        finally:
            self.end_peer()
            if self.qemu:
                self.qemu.kill()
                self.qemu.wait()
        return self.verdict()

    def wait(self):
        """Until the command has ended, or something else has."""
        deadline = time.monotonic() + self.args.timeout if self.args.timeout else None
        while self.status is None and not self.failure:
            limits = [limit for limit in (deadline, self.peer_limit, self.boot_limit)
                      if limit]
            self.handle_events(max(min(limits) - time.monotonic(), 0) if limits else None)
            if deadline and time.monotonic() >= deadline:
                self.failure = (TIMED_OUT, 'the command had not ended after '
                                f'{self.args.timeout} s')
            elif self.peer_limit and time.monotonic() >= self.peer_limit:
                self.failure = self.peer_failure()
            elif self.boot_limit and time.monotonic() >= self.boot_limit:
                self.boot_hung()

    def handle_events(self, timeout):
        for key, _ in self.selector.select(timeout):
            if key.data == 'qemu ended':
                self.selector.unregister(key.fileobj)
                self.qemu_ended()
                return      # the others may be gone; what is left is told again
            elif key.data == 'peer ended':
                self.selector.unregister(key.fileobj)
                if self.peer.wait():
                    self.peer_limit = time.monotonic() + PEER_FAILURE_GRACE
            else:
                self.handle_input(key)

    def handle_input(self, key):
        data = os.read(key.fd, 1 << 16)
        if not data:
            self.selector.unregister(key.fileobj)
        elif key.data == 'console':
            self.log += data
            if self.args.verbose:
                sys.stderr.buffer.write(data)
                sys.stderr.flush()
        elif key.data == 'out':
            self.command_output(data)
        elif key.data == 'qemu':
            self.qemu_said += data
        elif key.data == 'terminal':
            write_all(data)
        elif key.data == 'keyboard':
            self.channels['terminal'].sendall(data)

    def command_output(self, data):
        """Passes output on, and takes out what vm-init says between."""
        data = self.pending + data
        self.pending = b''
        while (start := data.find(self.key)) >= 0:
            end = data.find(b'\n', start)
            if end < 0:
                write_all(data[:start])
                self.pending = data[start:]
                return
            write_all(data[:start])
            word, value = data[start + len(self.key):end].decode().split(' ', 1)
            self.heard(word, value)
            data = data[end + 1:]
        keep = next((n for n in range(min(len(self.key) - 1, len(data)), 0, -1)
                     if self.key.startswith(data[-n:])), 0)
        write_all(data[:len(data) - keep])
        self.pending = data[len(data) - keep:]

    def heard(self, word, value):
        if word == 'exit':
            self.status = int(value)
        elif word == 'failed':
            self.failure = CANT_START, value
        elif word == 'started':
            self.boot_limit = None
            if self.args.verbose:
                print(f'vm: the command starts {value} s after the kernel',
                      file=sys.stderr)

    def qemu_ended(self):
        """Reads what was still under way, and says why it ended."""
        deadline = time.monotonic() + LAST_WORDS
        for name in ('qemu', 'out', 'console'):
            while (key := self.find(name)) and time.monotonic() < deadline:
                self.handle_input(key)
        code = self.qemu.wait()
        if self.status is not None or self.failure:
            return
        death = DEATHS.search(self.log.decode(errors='replace'))
        if death:
            sentence = f'the guest died: {death[0].strip()}'
        elif code:
            sentence = f'QEMU ended with status {code}'
            if code < 0:
                sentence = f'QEMU was killed by {signal.Signals(-code).name}'
        else:
            sentence = 'the guest powered off before the command had ended'
        said = self.qemu_said.decode(errors='replace').strip()
        if said:
            sentence += f': {said}'
        if code > 0 and not self.log:
            self.failure = CANT_START, sentence
        elif self.boot_limit and code != -signal.SIGKILL and self.splat() is None:
            self.boot_again(sentence)
        else:
            self.failure = DIED, sentence

    def find(self, name):
        return next((key for key in self.selector.get_map().values()
                     if key.data == name), None)

    def await_peer(self):
        """The VM still runs: what the peer does at its end may need it."""
        deadline = time.monotonic() + GRACE
        while self.peer and self.peer.poll() is None and not self.failure and \
                (left := deadline - time.monotonic()) > 0:
            self.handle_events(left)
        if self.peer and self.peer.poll() and self.status == 0 and not self.failure:
            self.failure = self.peer_failure()

    def end_peer(self):
        if not self.peer:
            return
        for signum in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.peer.pid, signum)
                self.peer.wait(TERM_GRACE)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass

    def peer_failure(self):
        code = self.peer.returncode
        how = f'ended with status {code}' if code > 0 else \
            f'was killed by {signal.Signals(-code).name}'
        return PEER_FAILED, f'the peer {how}: {self.args.peer}'

    def log_lines(self):
        return self.log.decode(errors='replace').replace('\r', '').splitlines()

    def splat(self):
        """Where in the log's lines the kernel complains first; None if it does not."""
        return next((i for i, line in enumerate(self.log_lines()) if SPLATS.search(line)),
                    None)

    def look_for_deaf_cpus(self):
        """Says so if what went wrong may be QEMU's doing."""
        went_wrong = self.status != 0 or self.splat() is not None
        if not self.emulated or not went_wrong or \
                self.qemu is None or self.qemu.poll() is not None:
            return
        for cpu, vector in deaf.deaf_cpus(self.channels['monitor'], self.args.cpus):
            print(f'vm: QEMU has left CPU {cpu} without interrupts: it sleeps with '
                  f'vector {vector} in service', file=sys.stderr)

    def complaint(self):
        """Shows what the kernel has complained of; whether there is any."""
        splat = self.splat()
        if splat is None:
            return False
        show_log(self.log_lines()[splat:splat + TAIL])
        print('vm: the kernel complained', file=sys.stderr)
        return True

    def verdict(self):
        """The exit status of all; says what went wrong."""
        if self.failure:
            status, sentence = self.failure
            show_log(self.log_lines()[-TAIL:])
            print(f'vm: {sentence}', file=sys.stderr)
            self.complaint()
            return status
        return self.status or SPLAT if self.complaint() else self.status


def write_all(data):
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


def show_log(lines):
    for line in lines:
        print(f'  {line}', file=sys.stderr)
