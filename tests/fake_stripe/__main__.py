"""Serves the fake until it is stopped."""

import argparse

from tests.fake_stripe.application import Start
from tests.fake_stripe.server import Server


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fake_stripe", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes any free one")
    parser.add_argument("--webhook-url", default="")
    parser.add_argument("--webhook-secret", default="whsec_fake_stripe")
    parser.add_argument(
        "--state-seed",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="the catalogue of development",
    )
    given = parser.parse_args()
    start = Start(given.webhook_url, given.webhook_secret, seed=given.state_seed)
    server = Server(given.port, start)
    print(f"Fake Stripe at {server.url}", flush=True)  # noqa: T201  (the caller reads the port here)
    server.serve_forever()


if __name__ == "__main__":
    main()
