# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""Namespaces of our own, with taps in them for QEMU.

Whatever is started there ends with the first process of the PID namespace, and
the network goes with its last process: nothing can be left behind.
"""
import ctypes
import fcntl
import os
import signal
import struct
import subprocess

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
PR_SET_PDEATHSIG = 1

TUNSETIFF = 0x400454ca
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000

# What the guest has in each network, and what the peer
NETWORKS = (
    {'guest': ('192.0.2.2', '2001:db8::2'), 'peer': ('192.0.2.1', '2001:db8::1')},
    {'guest': ('198.18.0.2', '2001:db8:1::2'), 'peer': ('198.18.0.1', '2001:db8:1::1')},
)

libc = ctypes.CDLL(None, use_errno=True)


class NetError(Exception):
    """Something that the user can read and act upon."""


def call(function, *args):
    if function(*args) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def die_with_parent():
    call(libc.prctl, PR_SET_PDEATHSIG, signal.SIGKILL)


def write(path, text):
    with open(path, 'w', encoding='ascii') as file:
        file.write(text)


def enter_namespaces():
    """Network, mounts and processes of our own; who isn't root becomes it there.

    The caller's next fork makes the first process of the PID namespace.
    """
    flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID
    uid, gid = os.geteuid(), os.getegid()
    try:
        call(libc.unshare, flags)
        return
    except PermissionError:
        pass
    try:
        call(libc.unshare, flags | CLONE_NEWUSER)
        write('/proc/self/setgroups', 'deny')
        write('/proc/self/uid_map', f'0 {uid} 1')
        write('/proc/self/gid_map', f'0 {gid} 1')
    except OSError as err:
        raise NetError(f'no permission to make namespaces ({err.strerror}): be root, '
                       'or have unprivileged user namespaces allowed (sysctl '
                       'kernel.unprivileged_userns_clone=1, user.max_user_namespaces '
                       'above 0)') from err


def mount_views():
    """/sys and /proc show the namespaces, where that is allowed.

    They are made private by themselves: in a chroot, / is no mount point.
    """
    for kind, where in ((b'sysfs', b'/sys'), (b'proc', b'/proc')):
        if not libc.mount(b'none', where, None, MS_REC | MS_PRIVATE, None):
            libc.mount(kind, where, kind, 0, None)


def open_tap(name):
    """A tap of our network namespace, as a file descriptor for QEMU."""
    try:
        tap = os.open('/dev/net/tun', os.O_RDWR)
        request = struct.pack('16sH22x', name.encode(),
                              IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
        fcntl.ioctl(tap, TUNSETIFF, request)
    except FileNotFoundError as err:
        raise NetError('there is no /dev/net/tun: load the module tun, or give the '
                       'container that device') from err
    except OSError as err:
        raise NetError(f'/dev/net/tun can\'t be used: {err.strerror}') from err
    return tap


def setup(count, mtu):
    """The peer's side of the networks; returns the taps."""
    taps = [open_tap(f'tap{i}') for i in range(count)]
    lines = ['link set lo up']
    for i in range(count):
        lines.append(f'link set tap{i} txqueuelen 10000 mtu {mtu} up')
        v4, v6 = NETWORKS[i]['peer']
        lines.append(f'addr add {v4}/24 dev tap{i}')
        if mtu >= 1280:
            lines.append(f'addr add {v6}/64 dev tap{i} nodad')
    proc = subprocess.run(['ip', '-batch', '-'], input='\n'.join(lines), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    if proc.returncode:
        raise NetError(f'the network can\'t be set up: {proc.stdout.strip()}')
    return taps


def environment(mtu):
    """What guest and peer are told about the first network."""
    guest, peer = NETWORKS[0]['guest'], NETWORKS[0]['peer']
    return {'ZCRX_VM_GUEST4': guest[0], 'ZCRX_VM_GUEST6': guest[1],
            'ZCRX_VM_PEER4': peer[0], 'ZCRX_VM_PEER6': peer[1],
            'ZCRX_VM_MTU': str(mtu)}
