"""`python -m localcloud start|stop|status|interrupt|faults`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from localcloud import control
from localcloud.accepted import accepted_only
from localcloud.errors import CloudError


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m localcloud", description="The embedded AWS.")
    commands = parser.add_subparsers(dest="command", required=True)
    texts = {
        "start": "start it unless it runs",
        "stop": "end it",
        "status": "say whether it runs",
        "interrupt": "reclaim the spot instances of a training job",
        "faults": "tell its faults and what they have dealt out",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("--state-dir", type=Path, required=True, help="folder for its pid, log and data")
        if name == "start":
            command.add_argument("--port", type=int, default=0, help="0: a free one")
            command.add_argument("--images", type=Path, help="JSON: the program behind each container image")
            command.add_argument(
                "--lifetime", type=float, default=control.LIFETIME, help="seconds until it ends by itself"
            )
            command.add_argument(
                "--scaling-speed",
                type=float,
                help="how many minutes of scaling and alarms pass in one; LOCALCLOUD_SCALING_SPEED, or 1",
            )
        elif name == "interrupt":
            command.add_argument("job", metavar="JOB", help="name of the training job")
            command.add_argument("--wait", type=float, default=0.0, help="seconds until there are new ones")
        elif name == "faults":
            command.add_argument("--add", metavar="JSON", help="a rule, or a list of rules; docs/faults.md")
            command.add_argument("--clear", action="store_true", help="forget all")
    options = parser.parse_args()
    try:
        if options.command == "start":
            info = control.start(
                options.state_dir,
                images=options.images,
                port=options.port,
                lifetime=options.lifetime,
                scaling_speed=options.scaling_speed,
            )
            _print(info)
        elif options.command == "stop":
            control.stop(options.state_dir)
        elif options.command == "interrupt":
            control.interrupt(options.state_dir, options.job, options.wait)
        elif options.command == "faults":
            told = control.faults(options.state_dir, add=options.add, clear=options.clear)
            print(json.dumps(told, indent=1))
        else:
            running = control.status(options.state_dir)
            if running is None:
                sys.exit("not running")
            _print(running, accepted_only=accepted_only())
    except CloudError as error:
        sys.exit(str(error))


def _print(info: control.CloudInfo, **more: object) -> None:
    print(json.dumps({**asdict(info), **more}, default=str, indent=1 if more else None))


if __name__ == "__main__":
    main()
