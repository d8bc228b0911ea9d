# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""upload.py PORT FOLDER: an HTTP server that stores what it gets by PUT."""
import functools
import http.server
import os
import signal
import sys


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, to read and to write."""

    def do_PUT(self):
        """Under its name once it is complete."""
        path = self.translate_path(self.path)
        left = int(self.headers['Content-Length'])
        with open(path + '.part', 'wb') as file:
            while left:
                data = self.rfile.read(min(left, 1 << 16))
                if not data:
                    return
                file.write(data)
                left -= len(data)
        os.rename(path + '.part', path)
        self.send_response(201)
        self.end_headers()

    def log_message(self, format, *args):
        """Nothing"""


def main():
    handler = functools.partial(Handler, directory=sys.argv[2])
    server = http.server.ThreadingHTTPServer(('', int(sys.argv[1])), handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    server.serve_forever()


if __name__ == '__main__':
    main()
