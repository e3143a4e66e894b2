"""`python -m tests.fake_google [port]`: serves on loopback until it is stopped, and prints its address first."""

import sys

from werkzeug.serving import make_server

from tests.fake_google.app import build


def main(port: int = 0) -> None:
    server = make_server("127.0.0.1", port, build(), threaded=True)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
