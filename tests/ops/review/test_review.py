"""A review tells what a reviewer needs, in every form, and tells no secret in any."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ops.artifacts import Model
from ops.review import make
from ops.review.facts import (
    Bill,
    BillLine,
    Danger,
    Drift,
    Excuse,
    Facts,
    Finding,
    Metric,
    ModelPair,
    RightsChange,
)
from ops.review.hidden import Hider
from ops.review.review import Header, Review
from ops.review.words import Change
from tests.ops.review.plans import entry, plan

HEADER = Header(
    "dev", "us-east-1", "account 123456789012", "0123456789abcdef0123", True, "1.11.4", "5.100.0", "0.1.0",
    "checkov 3.3.30", "ab" * 32, "2026-11-23 12:00 UTC", "arn:aws:iam::123456789012:user/me", "./inv apply --stage dev",
)  # fmt: skip
GRAVE = Danger(
    "count-reset", "danger", "a.b", "The count falls from 3 to 1.", "Requests are refused.", "Keep it."
)
FOUND = Finding("CKV_1", "high", "a.b", "It is public.", "Close it.", "checkov")
EXCEPTED = replace(FOUND, id="CKV_2", exception=Excuse("It is meant.", "2027-01-01"))
CHANGE = Change("module.x.aws_a.b", "aws_a", "update", "A thing is changed", ("size: 1 → 2",))


def review(**more: Any) -> Review:
    return Review(**{"header": HEADER, "changes": (CHANGE,)} | more)


def full(dangers: int = 2) -> Review:
    """Return one with something in every section."""
    return review(
        changes=(CHANGE, *(Change(f"module.net.aws_n.x[{n}]", "aws_n", "create", f"N {n} is new") for n in range(20))),
        outputs=("model",),
        dangers=tuple(replace(GRAVE, address=f"a.b[{n}]") for n in range(dangers)),
        endpoint=("Instances: 3 kept (live), 1 declared.",),
        models=ModelPair("model-a", "model-b", (Metric("test accuracy", "91.0%", "93.4%", True),), ("Same photos.",)),
        bill=Bill(100.0, 200.0, 400.5, (BillLine("endpoint", 100.0, 200.0, None, "2 x"),), "2026-11-01", "AWS"),
        rights=(RightsChange("a.b", "the role r", "widens", "may now also read (s3:GetObject) all"),),
        drift=(Drift("a.c", "changed", "retention 7 → 30"),),
        findings=(FOUND, EXCEPTED, replace(FOUND, id="CKV_3", changed=False)),
        plan_text="  ~ resource x",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"has_changes": False, "changes": ()}, 0),
        ({"has_changes": False, "changes": (), "dangers": (GRAVE,)}, 0),
        ({}, 2),
        ({"dangers": (replace(GRAVE, severity="warning"),)}, 2),
        ({"findings": (replace(FOUND, severity="medium"),)}, 2),
        ({"findings": (EXCEPTED, replace(FOUND, changed=False))}, 2),
        ({"changes": (), "outputs": ("model",)}, 2),
        ({"dangers": (GRAVE,)}, 3),
        ({"findings": (FOUND,)}, 3),
        ({"findings": (replace(FOUND, severity="critical"),)}, 3),
    ],
)
def test_the_exit_code_tells_what_the_plan_holds(more: dict[str, Any], code: int) -> None:
    assert review(**more).exit_code == code


def test_the_headline_counts_and_the_verdict_says_what_needs_an_approval() -> None:
    assert review().headline == "1 to update."
    assert review().verdict == ""
    assert full().verdict == "NEEDS APPROVAL: 2 dangers and 1 policy finding (high)."
    worst = replace(FOUND, severity="critical")
    assert review(findings=(worst,)).verdict == "NEEDS APPROVAL: 1 policy finding (critical)."
    both = review(findings=(worst, FOUND, FOUND)).verdict
    assert both == "NEEDS APPROVAL: 3 policy findings (1 critical and 2 high)."
    assert review(changes=(), outputs=("a", "b")).headline == "Only outputs change: a, b."


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("dangers", [0, 1, 30])
def test_no_line_is_wider_than_a_terminal(dangers: int, short: bool) -> None:
    text = full(dangers).text(short=short)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert text.count("!! DANGER: The count falls") == dangers
    assert text.count("Requests are refused.") == min(dangers, 1)  # what is the same is told once


def test_long_names_of_models_are_cut_in_sight_and_leave_room_for_what_is_better() -> None:
    metric = Metric("a metric that somebody gave a name", "91.0%", "93.4%", better=True)
    text = review(
        models=ModelPair("model-of-a-team-2026-11-22", "model-of-a-team-2026-11-23", (metric,))
    ).text()
    lines = text.splitlines()
    assert "Model                     model-of-a-team-2026…  model-of-a-team-2026…" in lines
    assert "a metric that somebody …  91.0%                  93.4%                  better" in lines


def test_digests_are_cut_to_what_they_are_known_by_wherever_an_address_is_told() -> None:
    digest = "0123456789abcdef" * 4
    address = f'module.storage.aws_s3_object.archive["{digest}"]'
    excepted = replace(EXCEPTED, address=address)
    found = (
        full(0).text()
        + review(
            drift=(Drift(address, "changed", "x"),), findings=(replace(FOUND, address=address), excepted)
        ).text()
    )
    assert digest not in found
    assert found.count("0123456789ab…") == 3


@pytest.mark.parametrize("action", ["update", "forget", "import", "move"])
def test_what_goes_on_in_the_next_line_is_indented_alike_whatever_the_action(action: str) -> None:
    lines = review(changes=(replace(CHANGE, action=action, text="word " * 30),)).text().splitlines()
    first = next(n for n, line in enumerate(lines) if "word" in line)
    assert lines[first + 1].startswith("      word")


def test_a_word_that_is_too_long_for_a_line_is_broken_after_a_colon_or_a_slash() -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012:hyper-parameter-tuning-job/kennel-production-*"
    text = review(
        dangers=(replace(GRAVE, text=f"A role may now be taken on for {arn} (aws:SourceArn)."),)
    ).text()
    assert (
        "   arn:aws:sagemaker:us-east-1:123456789012:hyper-parameter-tuning-job/\n   kennel-production-* ("
        in text
    )


def test_what_a_danger_tells_of_rights_is_not_told_again() -> None:
    rights = tuple(
        RightsChange("p", who, "widens", "may now also do s3:* on any bucket")
        for who in ("the role r", "the role q")
    )
    told = review(
        dangers=(replace(GRAVE, text="The role r may now also do s3:* on any bucket."),), rights=rights
    ).text()
    assert told.count("role r may now also") == told.count("role q may now also") == 1
    assert "Who may do what, besides what is told above:" in told


def test_the_text_has_every_section_and_the_short_one_what_matters() -> None:
    text, short = full().text(), full().text(short=True)
    for words in (
        "NEEDS APPROVAL", "why     Requests are refused.", "remedy  Keep it.", "· size: 1 → 2", "+  20 new in net",
        "Outputs that change: model", "test accuracy  91.0%    93.4%    better", "Cost: $100 → $200 a month, at most",
        "+ the role r may now also", "a.c: retention 7 → 30", "HIGH     It is public. (CKV_1)", "It is meant. (until",
        "1 about what stays", "SHA-256", "Terraform 1.11.4, provider aws 5.100.0", "not committed", "./inv apply",
    ):  # fmt: skip
        assert words in text
    for words in (
        "NEEDS APPROVAL",
        "Keep it.",
        "size: 1 → 2",
        "93.4%",
        "Cost:",
        "may now also",
        "retention",
        "It is public.",
    ):
        assert words in short
    assert "SHA-256" not in short


def test_what_no_scanner_has_seen_says_so_in_every_form() -> None:
    unseen = review(header=replace(HEADER, scanner=""))
    assert "NO SCANNER HAS LOOKED" in unseen.text()
    assert "No scanner has looked" in unseen.markdown()
    assert "no scanner has looked" in unseen.html()


def test_nothing_that_changes_is_one_line_and_where_it_comes_from() -> None:
    nothing = review(has_changes=False, changes=())
    assert nothing.text().startswith("Nothing changes: what is deployed is what is declared.\n\nStage ")
    assert nothing.text(short=True) == "Nothing changes: what is deployed is what is declared."


def test_many_resources_that_get_other_tags_are_one_entry() -> None:
    tagged = tuple(
        Change(
            f"aws_a.b[{n}]", "aws_a", "update", f"A {n} is changed", ("tag owner: none → me",), only_tags=True
        )
        for n in range(9)
    )
    text = review(changes=tagged).text()
    assert "~ 9 resources get other tags, and change in nothing else" in text
    assert text.count("tag owner: none → me") == 1


def test_the_json_has_a_version_and_all_but_terraforms_own_words() -> None:
    found = json.loads(make.as_json(full()))
    assert found["schema_version"] == 1
    assert (found["exit_code"], found["needs_approval"]) == (3, True)
    assert found["counts"] == {"update": 1, "create": 20}
    assert found["dangers"][0]["rule"] == "count-reset"
    assert found["header"]["plan_sha256"] == "ab" * 32
    assert "plan_text" not in found


def test_the_files_are_kept_and_forgotten(tmp_path: Any) -> None:
    make.keep(full(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(make.FILES)
    make.forget(tmp_path)
    assert list(tmp_path.iterdir()) == []


SECRETS = {
    "mask": "planted-by-mask", "variable": "planted-variable", "environment": "planted-environment",
    "tag": "planted-tag", "script": "planted-script", "format": "AKIAPLANTEDPLANTED12", "url": "planted-in-url",
    "output": "planted-output",
}  # fmt: skip


def planted() -> tuple[dict[str, Any], str]:
    """Return a plan with a secret everywhere, and Terraform's words of it."""
    hints = f"see https://u:{SECRETS['url']}@host and {SECRETS['format']}"

    def state(number: int) -> dict[str, Any]:
        return {
            "function_name": "kennel", "description": f"{number} {hints} {SECRETS['mask']}-1", "memory_size": number,
            "environment": [{"variables": {"PLAIN": f"{SECRETS['environment']}-{number}"}}],
            "tags": {"db_password": SECRETS["tag"], "Name": f"n{number} {SECRETS['environment']}-{number}"},
            "user_data": f"echo {SECRETS['script']} {number}", "code": f"{SECRETS['mask']}-{number}",
        }  # fmt: skip

    masks = {"code": True}
    changed = entry("aws_lambda_function.this", state(1), state(2))
    changed["change"] |= {"before_sensitive": masks, "after_sensitive": masks}
    drifted = entry("aws_lambda_function.this", state(3), state(1))
    drifted["change"] |= {"before_sensitive": masks, "after_sensitive": masks}
    made = plan(changed, drift=(drifted,)) | {
        "variables": {"api_token": {"value": SECRETS["variable"]}},
        "output_changes": {"o": {"actions": ["update"], "before": None, "after": SECRETS["output"],
                                 "before_sensitive": True, "after_sensitive": True}},
    }  # fmt: skip
    text = "\n".join([
        f"      ~ description = \"{hints}\"", "      ~ environment {", "          ~ variables = {",
        f"              ~ \"PLAIN\" = \"{SECRETS['environment']}-1\" -> \"{SECRETS['environment']}-2\"",
        "            }", "        }",
        f"      ~ user_data = \"echo {SECRETS['script']} 1\" -> \"echo {SECRETS['script']} 2\"",
        f"          + \"db_password\" = \"{SECRETS['tag']}\"",
    ])  # fmt: skip
    return made, text


@pytest.mark.parametrize("form", ["text", "short", "markdown", "html", "json"])
def test_no_form_of_a_review_has_a_secret(form: str) -> None:
    made, text = planted()
    hider = Hider(made)
    model = Model("model-x", "0" * 64, {})
    said = f"{SECRETS['mask']}-1 {SECRETS['variable']} {SECRETS['tag']} {SECRETS['environment']}-1 {SECRETS['format']}"
    found = Finding("K1", "high", "aws_lambda_function.this", f"saw {said}", f"take {said} out", "kennel")
    whole = Review.of(
        Facts("dev", "us-east-1", hider.plan, model=model), replace(HEADER, made_by=said),
        hider=hider, findings=[found], notes=(said,), plan_text=text,
    )  # fmt: skip
    forms = {
        "text": whole.text(), "short": whole.text(short=True), "markdown": whole.markdown(), "html": whole.html(),
        "json": make.as_json(whole),
    }  # fmt: skip
    assert [name for name, secret in SECRETS.items() if secret in forms[form]] == []
    assert "kennel" in forms[form]
    assert "PLAIN" in forms[form]
