"""The page's addresses: the page itself, what its panels show, and the question about a photo."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ml.errors import KennelError
from ops import predict
from ops.console import endpoint, function, jobs, scaling, traffic
from ops.console.cloud import Cloud, Remembered, explained
from ops.console.guard import REPORT_POLICY, Access, Guard
from ops.paths import RUNS, WORK

PAGE = Path(__file__).parent / "page"
FILES = tuple(path.name for path in PAGE.iterdir() if path.name != "index.html")
MAX_PHOTO_BYTES = 40 * 2**20  # larger than any camera's; the function gets it reduced
MAX_JSON_BYTES = 16 * 1024

# Seconds that an answer is shared for. Describing is free but for AWS's limits of calls a second; metrics cost.
FRESH = {"endpoint": 3.0, "scaling": 8.0, "alarms": 12.0, "function": 20.0, "jobs": 10.0, "runs": 5.0}


def make(cloud: Cloud, access: Access) -> Starlette:
    """Return the application for a stage's cloud."""
    remembered, instances = Remembered(), endpoint.Instances()
    panels: dict[str, Callable[[], Any]] = {
        "endpoint": lambda: endpoint.endpoint(cloud, instances),
        "scaling": lambda: scaling.scaling(cloud),
        "alarms": lambda: scaling.alarms(cloud),
        "function": lambda: function.function(cloud),
        "jobs": lambda: jobs.jobs(cloud),
        "runs": jobs.runs,
    }

    def index(_: Request) -> Response:
        page = (PAGE / "index.html").read_text()
        return HTMLResponse(page.replace("{{stage}}", html.escape(cloud.name)))

    def panel(request: Request) -> Response:
        name = request.path_params["panel"]
        if name not in panels:
            return PlainTextResponse("There is no such panel.\n", 404)
        return _told(lambda: remembered.get(name, FRESH[name], panels[name]))

    def metrics(request: Request) -> Response:
        minutes = request.query_params.get("minutes", "30")
        if minutes not in map(str, traffic.WINDOWS):
            return PlainTextResponse("minutes is one of those that the page offers.\n", 422)
        return _told(
            lambda: remembered.get(
                f"traffic {minutes}",
                traffic.REFRESH_SECONDS - 1,
                lambda: traffic.traffic(cloud, int(minutes)),
            )
        )

    def curves(request: Request) -> Response:
        kind, name = request.path_params["kind"], request.path_params["name"]
        if kind not in {"training", "tuning"} or not jobs.RUN_NAME.fullmatch(name):
            return PlainTextResponse("There is no such job.\n", 404)
        key = f"curves {kind} {name}"
        return _told(lambda: remembered.get(key, 20.0, lambda: jobs.curves(cloud, kind, name)))

    async def ask(request: Request) -> Response:
        try:
            content = await _content(request)
        except KennelError as error:
            return JSONResponse({"error": explained(error)}, 422)
        return await run_in_threadpool(_told, lambda: function.ask(cloud, content))

    return Starlette(
        routes=[
            Route("/", index),
            *(Route(f"/{name}", _file(PAGE / name)) for name in FILES),
            Route("/api/traffic", metrics),
            Route("/api/curves/{kind}/{name}", curves),
            Route("/api/predict", ask, methods=["POST"]),
            Route("/api/{panel}", panel),
            Route("/runs/{name}", _report(RUNS)),
            Route("/studies/{name}", _report(WORK / "tune")),
        ],
        middleware=[Middleware(Guard, access=access)],
    )


def _file(path: Path) -> Callable[[Request], Response]:
    return lambda _: FileResponse(path)


def _report(folder: Path) -> Callable[[Request], Response]:
    def report(request: Request) -> Response:
        path = jobs.report(folder, request.path_params["name"])
        if path is None:
            return PlainTextResponse("There is no such report.\n", 404)
        return FileResponse(path, headers={"Content-Security-Policy": REPORT_POLICY})

    return report


def _told(make: Callable[[], Any]) -> Response:
    """The value as JSON, or what went wrong: each panel fails by itself."""
    try:
        return JSONResponse({"data": make()})
    except (KennelError, ClientError, BotoCoreError) as error:
        return JSONResponse({"error": explained(error)}, 502)


async def _content(request: Request) -> dict[str, str]:
    """What is asked: the body is the photo, or JSON with its URL."""
    is_json = request.headers.get("content-type", "").partition(";")[0] == "application/json"
    limit = MAX_JSON_BYTES if is_json else MAX_PHOTO_BYTES
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise KennelError(
                f"A photo has at most {MAX_PHOTO_BYTES // 2**20} MB.", None, "Choose a smaller one."
            )
    if not is_json:
        if not body:
            raise KennelError("A photo to ask about.", "nothing", "Choose a file that is not empty.")
        return {"image": await run_in_threadpool(predict.encoded, body)}
    try:
        url = json.loads(body)["url"]
    except (ValueError, KeyError, TypeError):
        url = None
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise KennelError("A URL begins with https:// or http://.", url, "Paste the address of a photo.")
    return {"url": url}
