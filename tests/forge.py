"""A stand-in for GitHub: its API, as far as the tasks call it, and its runner, as far as our workflows need it."""

from __future__ import annotations

import base64
import http.server
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ops.ci import workflows
from tests.project_copy import plain_environment, share_tools

REPOSITORY = "org/photos"
BOT = "github-actions[bot]"
SECRET = "of-the-runner-alone"
TOKEN = "ghs_a-token-for-the-api"


@dataclass
class Forge:
    """What GitHub knows, and how it answers."""

    address: str = ""
    subject: str = ""  # of the identity tokens that it gives now
    comments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)  # by pull request
    pulls: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by commit
    calls: list[str] = field(default_factory=list)
    failing: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # answers to give first

    def comment(self, number: int, body: str, login: str = BOT) -> dict[str, Any]:
        made = {"id": 1000 + sum(map(len, self.comments.values())), "body": body, "user": {"login": login}}
        self.comments.setdefault(number, []).append(made)
        return made

    def merge(self, number: int, head: str, commit: str) -> None:
        found = {
            "number": number, "merged_at": "2026-11-23T12:00:00Z", "merge_commit_sha": commit, "head": {"sha": head}
        }  # fmt: skip
        self.pulls.setdefault(commit, []).append(found)

    def answer(self, method: str, address: str, body: Any, authorization: str) -> tuple[int, Any]:
        path, query = urlsplit(address).path, parse_qs(urlsplit(address).query)
        if path == "/token":
            if authorization != f"Bearer {SECRET}":
                return 401, {"message": "Bad credentials"}
            return 200, {"value": identity_token(self.subject, query["audience"][0])}
        if authorization != f"Bearer {TOKEN}":
            return 401, {"message": "Bad credentials"}
        page = slice(100 * (int(query.get("page", ["1"])[0]) - 1), 100 * int(query.get("page", ["1"])[0]))
        root = f"/repos/{REPOSITORY}"
        if found := re.fullmatch(f"{root}/commits/(\\w+)/pulls", path):
            return 200, self.pulls.get(found[1], [])[page]
        if found := re.fullmatch(f"{root}/issues/(\\d+)/comments", path):
            if method == "POST":
                return 201, self.comment(int(found[1]), body["body"])
            return 200, self.comments.get(int(found[1]), [])[page]
        if found := re.fullmatch(f"{root}/issues/comments/(\\d+)", path):
            for listed in self.comments.values():
                for entry in [entry for entry in listed if entry["id"] == int(found[1])]:
                    if method == "DELETE":
                        listed.remove(entry)
                        return 204, None
                    entry["body"] = body["body"]
                    return 200, entry
        return 404, {"message": "Not Found"}


def identity_token(subject: str, audience: str) -> str:
    """A token as GitHub's; the embedded cloud asks nobody outside the machine for the key that signs it."""
    claims = {
        "iss": "https://token.actions.githubusercontent.com", "sub": subject, "aud": audience,
        "exp": int(time.time()) + 300, "iat": int(time.time()),
    }  # fmt: skip
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256", "typ": "JWT"}, claims)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in [*parts, b"signature"])


@contextmanager
def forge() -> Iterator[Forge]:
    """Serve the stand-in on the loopback interface while the block runs."""
    known = Forge()

    class Handler(http.server.BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            known.calls.append(f"{self.command} {self.path}")
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            headers: dict[str, str] = {}
            if known.failing:
                (status, headers), answer = known.failing.pop(0), {"message": "not now"}
            else:
                status, answer = known.answer(
                    self.command, self.path, body, self.headers.get("Authorization", "")
                )
            content = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_one

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        known.address = f"http://127.0.0.1:{server.server_port}"
        yield known
        server.shutdown()


@dataclass
class Job:
    """What a job did."""

    succeeded: bool = True
    log: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, dict[str, bytes]] = field(default_factory=dict)
    summary: str = ""


class Runner:
    """Runs the jobs of our workflows, step after step, each job in a checkout of its own."""

    def __init__(
        self, forge: Forge, origin: Path, folder: Path, cloud: Path, variables: dict[str, str]
    ) -> None:
        self.forge = forge
        self.origin = origin
        self.folder = folder
        self.cloud = cloud
        self.variables = variables
        self.jobs = 0

    def run(
        self, workflow: str, name: str, event: dict[str, Any], commit: str, subject: str, **context: Any
    ) -> Job | None:
        """Run a job, or return None where its condition says not to."""
        job = workflows.load(workflows.FOLDER / workflow)["jobs"][name]
        known = {
            "github": {"event": event, "repository": REPOSITORY, "token": TOKEN},
            "vars": self.variables,
            **context,
        }
        if "if" in job and not evaluate(job["if"], known):
            return None
        self.jobs += 1
        workspace = self.folder / f"job-{self.jobs}"
        done = Job()
        steps: dict[str, Any] = {}
        self.forge.subject = subject
        for step in job["steps"]:
            condition = step.get("if", "${{ success() }}")
            if not evaluate(condition, known | {"succeeded": done.succeeded}):
                continue
            if "run" in step:
                outputs = self._script(step, known, event, commit, workspace, done)
                steps[step.get("id", "")] = {"outputs": outputs}
            else:
                self._action(step, known, commit, workspace, done)
        done.outputs = {
            key: str(substitute(value, known | {"steps": steps}))
            for key, value in job.get("outputs", {}).items()
        }
        return done

    def _action(
        self, step: dict[str, Any], known: dict[str, Any], commit: str, workspace: Path, done: Job
    ) -> None:
        action = step["uses"].partition("@")[0]
        given = {key: substitute(value, known) for key, value in step.get("with", {}).items()}
        if action == "actions/checkout":
            git("clone", "--quiet", str(self.origin), str(workspace))
            git("-C", str(workspace), "checkout", "--quiet", commit)
            (workspace / ".kennel").mkdir()
            (workspace / ".kennel" / "cloud").symlink_to(self.cloud)
            share_tools(workspace)
        elif action == "actions/upload-artifact":
            root = workspace / given["path"]
            files = {
                str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()
            }
            done.artifacts[given["name"]] = files
        else:
            assert action == "hashicorp/setup-terraform", action

    def _script(
        self,
        step: dict[str, Any],
        known: dict[str, Any],
        event: dict[str, Any],
        commit: str,
        workspace: Path,
        done: Job,
    ) -> dict[str, str]:
        files = {name: self.folder / f"{name}-{self.jobs}" for name in ("event", "output", "summary")}
        files["event"].write_text(json.dumps(event))
        for name in ("output", "summary"):
            files[name].touch()
        environment = {
            **plain_environment(),
            "GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": REPOSITORY, "GITHUB_SHA": commit, "GITHUB_RUN_ID": "1",
            "GITHUB_API_URL": self.forge.address, "GITHUB_EVENT_PATH": str(files["event"]),
            "GITHUB_OUTPUT": str(files["output"]), "GITHUB_STEP_SUMMARY": str(files["summary"]),
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.forge.address}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": SECRET,
            **{key: str(substitute(value, known)) for key, value in step.get("env", {}).items()},
        }  # fmt: skip
        script = step["run"].replace("./inv ", f"{sys.executable} -m invoke --search-root . ")
        ran = subprocess.run(
            ["bash", "-e", "-c", script], cwd=workspace, env=environment,
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        done.log += f"$ {step['run']}\n{ran.stdout}{ran.stderr}"
        done.summary += files["summary"].read_text()
        done.succeeded &= ran.returncode == 0
        return dict(line.split("=", 1) for line in files["output"].read_text().splitlines())


def git(*arguments: str) -> str:
    identity = [
        "-c",
        "user.name=Somebody",
        "-c",
        "user.email=somebody@example.com",
        "-c",
        "commit.gpgsign=false",
    ]
    done = subprocess.run(["git", *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def substitute(value: Any, known: dict[str, Any]) -> Any:
    """Put the values of expressions into a text."""
    if not isinstance(value, str):
        return value
    return re.sub(r"\$\{\{\s*(.*?)\s*\}\}", lambda found: str(evaluate(found[1], known)), value)


def evaluate(expression: Any, known: dict[str, Any]) -> Any:
    """Return the value of one of GitHub's expressions, as far as our workflows use them."""
    text = str(expression).strip().removeprefix("${{").removesuffix("}}").strip()
    calls = {"success()": "known['succeeded']", "cancelled()": "False"}
    names = re.compile(r"'[^']*'|(?:success|cancelled)\(\)|[A-Za-z_][\w.-]*|&&|\|\||!(?!=)")

    def translated(found: re.Match[str]) -> str:
        word = found[0]
        if word.startswith("'"):
            return word
        operators = {"&&": " and ", "||": " or ", "!": " not "}
        return operators.get(word) or calls.get(word) or f"look({word!r})"

    def look(path: str) -> Any:
        value: Any = known
        for name in path.split("."):
            value = (value or {}).get(name)
        return value

    return eval(names.sub(translated, text), {"known": {"succeeded": True, **known}, "look": look})  # noqa: S307 - ours
