# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""The guest's files: an initramfs made from the programs of this machine.

A program brings what it needs: the shared libraries, a script its interpreter.
Paths in the guest are those of the host where /usr is concerned; all else goes
to /usr/local/bin, which is in PATH.
"""
import os
import re
import shutil
import stat
import subprocess

LOCAL = '/usr/local/bin'
PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
SEARCHED = ('/usr/lib/x86_64-linux-gnu', '/lib/x86_64-linux-gnu', '/usr/lib', '/lib',
            '/usr/lib64', '/lib64')     # by the dynamic linker, without being told
SYSTEM = ('/usr/bin/', '/usr/sbin/', '/bin/', '/sbin/', '/usr/lib/', '/lib/',
          '/usr/libexec/')

# What scripts may rely upon
ALWAYS = ('basename bash cat chmod cmp cp cut date dd dirname dmesg env ethtool expr find '
          'getconf grep head hostname id ip kill ln ls mkdir mkfifo mknod mktemp '
          'mount mv nproc od printf readlink realpath rm rmdir sed seq setsid sh '
          'sha256sum sleep sort stat stdbuf stty tail taskset tee test timeout touch '
          'tr true false umount uname uniq unshare wc xargs').split()
IF_PRESENT = 'awk free less ping pgrep pkill ps prlimit sysctl ss tc'.split()
# What programs load by themselves: stdbuf, and glibc for pthread_cancel()
LOADED = ('/usr/libexec/coreutils/libstdbuf.so',
          '/usr/lib/x86_64-linux-gnu/libgcc_s.so.1', '/lib/x86_64-linux-gnu/libgcc_s.so.1')

ETC = {
    '/etc/passwd': 'root:x:0:0:root:/root:/bin/sh\n',
    '/etc/group': 'root:x:0:\n',
    '/etc/hosts': '127.0.0.1 localhost\n::1 localhost\n',
    '/etc/fstab': '''\
proc       /proc                 proc
sysfs      /sys                  sysfs
devtmpfs   /dev                  devtmpfs
devpts     /dev/pts              devpts     X-mount.mkdir
tmpfs      /dev/shm              tmpfs      X-mount.mkdir
hugetlbfs  /dev/hugepages        hugetlbfs  X-mount.mkdir
tmpfs      /tmp                  tmpfs
tmpfs      /run                  tmpfs
debugfs    /sys/kernel/debug     debugfs
tracefs    /sys/kernel/tracing   tracefs
cgroup2    /sys/fs/cgroup        cgroup2
''',
}


class GuestError(Exception):
    """Something that the user can read and act upon."""


def find_program(name):
    """The path of a program: in PATH, or where an ordinary user's PATH ends."""
    if '/' in name:
        if os.path.exists(name):
            return os.path.abspath(name)
        raise GuestError(f'there is no file {name}')
    path = shutil.which(name, path=f'{os.environ.get("PATH", "")}:{PATH}')
    if not path:
        raise GuestError(f'there is no program {name} in PATH: install it, or '
                         'say where it is')
    return os.path.abspath(path)


def canonical(path):
    """Without symbolic links on the way, /bin being one to /usr/bin."""
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)


def read(path):
    with open(path, 'rb') as file:
        return file.read()


class Initramfs:
    """Collects files, and writes them as an uncompressed cpio archive."""

    def __init__(self):
        self.entries = {}       # path: (mode, content)
        self.unresolved = []    # ELF files whose libraries are still to be found
        self.library_path = []  # where else the dynamic linker must look

    def folder(self, path):
        path = path.rstrip('/')
        if path and path not in self.entries:
            self.folder(os.path.dirname(path))
            self.entries[path] = (stat.S_IFDIR | 0o755, b'')

    def put(self, path, mode, content):
        self.folder(os.path.dirname(path))
        self.entries[path] = (mode, content)

    def system_links(self):
        """/bin -> usr/bin and the like, where this machine has them."""
        for path in ('/bin', '/sbin', '/lib', '/lib32', '/lib64'):
            if os.path.islink(path):
                self.link(path, os.readlink(path))
                self.folder(os.path.realpath(path))

    def link(self, path, target):
        self.put(path, stat.S_IFLNK | 0o777, target.encode())

    def add_host_file(self, source, target):
        """One file, and what it needs to run."""
        content = read(source)
        if self.entries.get(target, (0, None))[1] == content:
            return
        mode = stat.S_IMODE(os.stat(source).st_mode)
        if os.path.dirname(target) == LOCAL:
            mode |= 0o555       # so that PATH finds it, a library of shell functions, too
        self.put(target, stat.S_IFREG | mode, content)
        if content.startswith(b'\x7fELF'):
            self.unresolved.append(source)
        elif content.startswith(b'#!'):
            self.add_interpreter(source, content)

    def add_interpreter(self, script, content):
        words = content[2:].split(b'\n', 1)[0].decode(errors='replace').split()
        if not words:
            return
        if os.path.basename(words[0]) == 'env':
            words = [words[0], *(w for w in words[1:]
                                 if '=' not in w and not w.startswith('-'))][:2]
        for word in words if os.path.basename(words[0]) == 'env' else words[:1]:
            try:
                path = find_program(word)
            except GuestError as err:
                raise GuestError(f'{script} is run by {word}: {err}') from err
            self.add_host_file(path, canonical(path))

    def add_tree(self, source, target):
        self.folder(target)
        for folder, folders, files in os.walk(source):
            there = os.path.normpath(os.path.join(target, os.path.relpath(folder, source)))
            for name in folders:
                self.folder(os.path.join(there, name))
            for name in files:
                path = os.path.join(folder, name)
                if os.path.isfile(path):
                    self.add_host_file(path, os.path.join(there, name))

    def add(self, spec):
        """What --file names: PROGRAM-OR-PATH[:GUESTPATH]. Returns its guest path."""
        source, _, target = spec.partition(':')
        if os.path.exists(spec):
            source, target = spec, ''
        source = find_program(source)
        if target and not target.startswith('/'):
            raise GuestError(f'{spec}: the path in the guest must begin with /')
        if target.endswith('/'):
            target += os.path.basename(source)
        target = target or default_target(source)
        if os.path.isdir(source):
            self.add_tree(source, target)
            return target
        self.add_host_file(source, target)
        if os.path.isfile(source + '.so'):
            self.add_host_file(source + '.so', target + '.so')
        return target

    def skeleton(self):
        """Folders to mount on, and the few files of /etc that programs look for."""
        for path in ('/proc', '/sys', '/tmp', '/run', '/root', '/var/tmp'):
            self.folder(path)
        for path, text in ETC.items():
            self.put(path, stat.S_IFREG | 0o644, text.encode())
        for name, target in (('fd', ''), ('stdin', '/0'), ('stdout', '/1'),
                             ('stderr', '/2')):
            self.link(f'/etc/dev/{name}', f'/proc/self/fd{target}')

    def add_libraries(self):
        """Where the dynamic linker finds them, as ldd says, which goes on to theirs."""
        for path in libraries(self.unresolved):
            target = canonical(path)
            self.add_host_file(path, target)
            folder = os.path.dirname(target)
            if folder not in (*SEARCHED, *self.library_path):
                self.library_path.append(folder)

    def write(self, file):
        """The archive, in the format "newc"."""
        nodes = {'/dev/console': (stat.S_IFCHR | 0o600, 5, 1),
                 '/dev/null': (stat.S_IFCHR | 0o666, 1, 3)}
        self.folder('/dev')
        for number, path in enumerate(sorted(self.entries), 1):
            mode, content = self.entries[path]
            write_entry(file, number, path, mode, content)
        for number, (path, (mode, major, minor)) in enumerate(nodes.items(), 1):
            write_entry(file, len(self.entries) + number, path, mode, b'', major, minor)
        write_entry(file, 0, '/TRAILER!!!', 0, b'')


def default_target(source):
    """System programs stay where they are, others go where PATH finds them."""
    path = canonical(source)
    if path.startswith(SYSTEM):
        return path
    return os.path.join(LOCAL, os.path.basename(source))


def libraries(files):
    """The paths of all libraries that ELF files need."""
    proc = subprocess.run(['ldd', *files], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL)
    owner = files[0]
    found = []
    for line in proc.stdout.splitlines():
        if line.endswith(':') and not line.startswith('\t'):
            owner = line[:-1]
        elif line.endswith('=> not found'):
            raise GuestError(f'{owner} needs {line.split()[0]}, which is not '
                             'installed')
        else:
            match = re.match(r'\t(?:\S+ => )?(/\S+) \(0x', line)
            if match and match[1] not in found:
                found.append(match[1])
    return found


def write_entry(file, number, path, mode, content, major=0, minor=0):
    name = path[1:].encode() + b'\0'
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(name), 0)
    header = b'070701' + b''.join(b'%08X' % field for field in fields)
    for part in (header + name, content):
        file.write(part)
        file.write(bytes(-len(part) % 4))


def build(init, environment, command, files):
    """The initramfs in a memfd, to be passed to QEMU."""
    fs = Initramfs()
    fs.system_links()
    for name in ALWAYS:
        fs.add(name)
    for name in IF_PRESENT:
        if shutil.which(name, path=PATH):
            fs.add(name)
    for path in LOADED:
        if os.path.exists(path):
            fs.add(path)
    for spec in files:
        fs.add(spec)
    command = [fs.add(command[0]), *command[1:]]
    fs.add_libraries()
    fs.skeleton()
    fs.put('/init', stat.S_IFREG | 0o755, read(init))
    lines = [f'export {key}={quote(value)}' for key, value in environment.items()]
    if fs.library_path:
        lines.append(f'export LD_LIBRARY_PATH={quote(":".join(fs.library_path))}')
    lines.append('set -- ' + ' '.join(quote(word) for word in command))
    fs.put('/etc/vm', stat.S_IFREG | 0o644, '\n'.join([*lines, '']).encode())
    memfd = os.memfd_create('initramfs')
    with os.fdopen(os.dup(memfd), 'wb') as file:
        fs.write(file)
    return memfd


def quote(word):
    return "'" + str(word).replace("'", "'\\''") + "'"
