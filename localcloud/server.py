"""The embedded cloud's own process. Started by `localcloud.control`; it announces itself in cloud.json."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from localcloud import processes
from localcloud.config import ACCOUNT_ID, REGION, Config, read_images
from localcloud.errors import CloudError
from localcloud.http_server import HOST, Server, listen
from localcloud.process_identity import start_mark

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m localcloud.server")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--lifetime", type=float, required=True)  # s
    parser.add_argument("--scaling-speed", type=float, default=1.0)
    parser.add_argument("--log-file", type=Path, required=True)  # where our output goes already
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    try:
        serve(
            options.state_dir,
            options.port,
            options.images,
            options.lifetime,
            options.log_file,
            options.scaling_speed,
        )
    except CloudError as error:
        sys.exit(str(error))


def serve(
    state_dir: Path, port: int, images: Path | None, lifetime: float, log_file: Path, scaling_speed: float
) -> None:
    try:
        listener = listen(port)
    except OSError as error:
        rule = f"Port {port} must be free."
        raise CloudError(rule, error.strerror, "Choose another, or 0 for any.") from error
    insecure_listener = listen(0)
    endpoint_url, insecure_url = (
        f"http://{HOST}:{one.getsockname()[1]}" for one in (listener, insecure_listener)
    )
    known = read_images(images) if images else {}
    config = Config(state_dir, endpoint_url, known, scaling_speed=scaling_speed, insecure_url=insecure_url)

    from localcloud.app import (
        create_app,
        without_tls,
    )  # after the port is taken: moto takes a second to import

    app = create_app(config)
    server = Server(listener, app)
    insecure = Server(insecure_listener, without_tls(app))
    threading.Thread(target=insecure.serve_forever, args=(0.1,), name="without TLS", daemon=True).start()

    def stop(reason: str) -> None:
        log.info("stopping: %s", reason)
        threading.Thread(target=server.shutdown, name="stop").start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: stop(signal.Signals(received).name))
    expiry = threading.Timer(lifetime, stop, [f"lifetime of {lifetime:.0f} s is over"])
    expiry.daemon = True
    expiry.start()
    info_file = state_dir / "cloud.json"
    try:
        _announce(info_file, config, log_file)
        log.info("ready at %s", endpoint_url)
        server.serve_forever(poll_interval=0.1)
    finally:
        info_file.unlink(missing_ok=True)
        processes.shutdown()
    log.info("stopped")
    logging.shutdown()
    os._exit(0)  # requests still being answered have nobody left to answer them


def _announce(path: Path, config: Config, log_file: Path) -> None:
    pid = os.getpid()
    document = {
        "pid": pid,
        "start_mark": start_mark(pid),
        "endpoint_url": config.endpoint_url,
        "insecure_url": config.insecure_url,
        "region": REGION,
        "account_id": ACCOUNT_ID,
        "log_file": str(log_file),
        "scaling_speed": config.scaling_speed,
    }
    draft = path.with_suffix(f".{pid}.tmp")
    draft.write_text(json.dumps(document, indent=1), encoding="utf-8")
    draft.replace(path)


if __name__ == "__main__":
    main()
