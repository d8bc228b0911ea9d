#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""What zcrxd-client receives: run, sends it to everybody who sends a byte."""
import hashlib
import socket

MIB = 1 << 20
BYTES = 64 * MIB
PORT = 5400


def blocks():
    """The stream, a MiB at a time."""
    for number in range(BYTES // MIB):
        yield hashlib.shake_128(str(number).encode()).digest(MIB)


def digest():
    """Its SHA-256."""
    sha = hashlib.sha256()
    for block in blocks():
        sha.update(block)
    return sha.hexdigest()


def serve():
    listener = socket.create_server(('', PORT))
    while True:
        peer, _ = listener.accept()
        with peer:
            try:
                if peer.recv(1):
                    for block in blocks():
                        peer.sendall(block)
            except ConnectionError:
                pass


if __name__ == '__main__':
    serve()
