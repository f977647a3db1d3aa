"""Secrets are taken out of text and of plans by where they stand, how they are named, and what they look like."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ops.review import redact
from ops.review.hidden import Hider

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEplanted\nmore\n-----END RSA PRIVATE KEY-----"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwbGFudGVkIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("user AKIAIOSFODNN7EXAMPLE asked", "user (hidden) asked"),
        (f"key {PEM} end", "key (hidden) end"),
        ("-----BEGIN PRIVATE KEY-----\ncut off in the middle", "(hidden)"),
        (f"sent {TOKEN}.", "sent (hidden)."),
        ("clone with ghp_0123456789abcdefghijABCDEFGHIJ", "clone with (hidden)"),
        ("post with xoxb-1234567890-planted", "post with (hidden)"),
        ("postgres://kennel:planted@db/photos", "postgres://kennel:(hidden)@db/photos"),
        ("Authorization: Bearer plantedplanted", "Authorization: Bearer (hidden)"),
        ("https://b/k?X-Amz-Signature=0123abc&x=1", "https://b/k?X-Amz-Signature=(hidden)&x=1"),
        ('db_password = "a b c"', 'db_password = "(hidden)"'),
        ('{"api_key": "x1"}', '{"api_key": "(hidden)"}'),
        ('got {\\"client_secret\\":\\"x1\\"}', 'got {\\"client_secret\\":\\"(hidden)\\"}'),
        ("PASSWORD='x y' TOKEN=abc", "PASSWORD='(hidden)' TOKEN=(hidden)"),
        ("password: hunter2", "password: (hidden)"),
        ('command = "login --password=abc -u me"', 'command = "login --password=(hidden) -u me"'),
        ('{\\"command\\":\\"login --token=abc\\"}', '{\\"command\\":\\"login --token=(hidden)\\"}'),
        ('got {"tokens":["a","b"],"n":1}.', 'got {"tokens":["(hidden)","(hidden)"],"n":1}.'),
        ('{"client_secret": {"value": 7}}', '{"client_secret": {"value": "(hidden)"}}'),
        ('{"name":"API_TOKEN","value":"a"}', '{"name":"API_TOKEN","value":"(hidden)"}'),
        (
            '{"outputs":{"db_password":{"sensitive":false,"value":"a"}}}',
            '{"outputs":{"db_password":{"sensitive":false,"value":"(hidden)"}}}',
        ),
        ('{"message":"got {\\"tokens\\":[\\"a\\"]}"}', '{"message":"got {\\"tokens\\":[\\"(hidden)\\"]}"}'),
        ("url=https://h/?token=abc&x=1", "url=https://h/?token=(hidden)"),
    ],
)
def test_what_looks_like_a_secret_or_is_named_so_is_hidden(text: str, clean: str) -> None:
    assert redact.scrub(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "ExpiredToken: The security token included in the request is expired",
        "UnrecognizedClientException: The security token included in the request is invalid.",
        'http_tokens = "required"',
        'kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/1"',
        "s3://bucket/key at https://example.com:8080/path",
        "Secret Manager keeps it; secret_arn: arn:aws:secretsmanager:us-east-1:123456789012:secret:x",
        "next_token=None and 4 tokens a second",
    ],
)
def test_words_about_secrets_stay(text: str) -> None:
    assert redact.scrub(text) == text


def test_what_is_known_is_hidden_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact, "_remembered", set())
    variables = {
        "endpoint": {"environment": {"PLAIN": "planted-plain", "REGION": "us-east-1", "A_TOKEN": "planted"}},
        "database": [{"password": "planted-password"}],
        "prefix": "kennel-of-a-team",
    }
    redact.remember(redact.secrets_of(variables))
    text = redact.scrub("planted-plain planted-password us-east-1 kennel-of-a-team")
    assert text == "(hidden) (hidden) us-east-1 kennel-of-a-team"


def test_the_credentials_of_this_process_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "planted/session/token+0123456789")
    assert redact.scrub("sent planted/session/token+0123456789 there") == "sent (hidden) there"


def change(before: Any, after: Any, **masks: Any) -> dict[str, Any]:
    return {"address": "a.b", "type": "a", "change": {"before": before, "after": after, **masks}}


def hidden(plan: dict[str, Any]) -> Any:
    return Hider(plan).plan["resource_changes"][0]["change"]


def test_terraforms_masks_hide_in_blocks_and_lists_and_equal_values_stay_equal() -> None:
    before = {"blocks": [{"a": "open", "b": "planted-1"}, {"a": "x", "b": "planted-2"}], "number": 42}
    after = {"blocks": [{"a": "open", "b": "planted-2"}, {"a": "x", "b": "planted-2"}], "number": 42}
    mask = {"blocks": [{"b": True}, {"b": True}], "number": True}
    found = hidden({"resource_changes": [change(before, after, before_sensitive=mask, after_sensitive=mask)]})
    first, second = (each["b"] for each in found["before"]["blocks"])
    assert first != second == found["after"]["blocks"][0]["b"]
    assert found["before"]["number"] == found["after"]["number"] != 42
    assert found["before"]["blocks"][0]["a"] == "open"
    assert "planted" not in json.dumps(found)


def test_environments_and_scripts_keep_their_names_alone() -> None:
    after = {
        "environment": [{"variables": {"PLANTED": "planted", "DEBUG": "1"}}],
        "primary_container": [{"environment": {"SOME": "planted"}, "image": "image"}],
        "user_data": "#!/bin/sh\necho planted",
        "template_body": json.dumps({"Environment": {"SOME": "planted"}, "Image": "image"}),
    }
    found = hidden({"resource_changes": [change(None, after)]})["after"]
    assert list(found["environment"][0]["variables"]) == ["PLANTED", "DEBUG"]
    assert found["primary_container"][0]["image"] == "image"
    assert json.loads(found["template_body"])["Image"] == "image"
    assert "planted" not in json.dumps(found).replace("PLANTED", "")


def test_names_hide_in_tags_too_but_not_in_the_conditions_of_a_policy() -> None:
    condition = {"StringEquals": {"token.actions.githubusercontent.com:sub": "repo:a/b"}}
    policy = json.dumps({"Statement": [{"Condition": condition}]})
    after = {
        "tags": {"signing_key": "planted", "Name": "mine"},
        "master_password": "planted",
        "policy": policy,
    }
    found = hidden({"resource_changes": [change(None, after)]})["after"]
    assert found["tags"]["Name"] == "mine"
    assert "planted" not in json.dumps(found)
    assert json.loads(found["policy"]) == json.loads(policy)


def test_a_setting_whose_value_stands_beside_its_name_is_hidden() -> None:
    pairs = [{"name": "API_TOKEN", "value": "planted"}, {"name": "LOG_LEVEL", "value": "info"}]
    found = hidden({"resource_changes": [change(None, {"input": {"pairs": pairs}})]})["after"]
    assert found["input"]["pairs"] == [
        {"name": "API_TOKEN", "value": "(hidden 1)"}, {"name": "LOG_LEVEL", "value": "info"},
    ]  # fmt: skip


def test_the_external_id_in_a_trust_policy_is_hidden() -> None:
    condition = {"StringEquals": {"sts:ExternalId": "planted", "aws:SourceAccount": "123456789012"}}
    policy = json.dumps({"Statement": [{"Condition": condition}]})
    found = hidden({"resource_changes": [change(None, {"assume_role_policy": policy})]})["after"]
    assert json.loads(found["assume_role_policy"])["Statement"][0]["Condition"]["StringEquals"] == {
        "sts:ExternalId": "(hidden 1)", "aws:SourceAccount": "123456789012",
    }  # fmt: skip


def test_sensitive_variables_outputs_and_state_are_hidden() -> None:
    plan = {
        "variables": {"pin": {"value": {"code": "planted"}}},
        "configuration": {"root_module": {"variables": {"pin": {"sensitive": True}}}},
        "prior_state": {"values": {"outputs": {"o": {"sensitive": True, "value": "planted"}}, "root_module": {
            "resources": [{"values": {"a": "planted", "b": "open"}, "sensitive_values": {"a": True}}]}}},
        "output_changes": {"o": {"actions": ["update"], "before": "planted", "after": "planted",
                                 "before_sensitive": True, "after_sensitive": True}},
        "resource_changes": [],
    }  # fmt: skip
    found = json.dumps(Hider(plan).plan)
    assert "planted" not in found
    assert "open" in found


def test_a_stacks_own_outputs_are_values_of_a_resource() -> None:
    stack = {"values": {"outputs": {"Name": "kennel"}, "key": "told"}, "sensitive_values": {"key": True}}
    plan = {"prior_state": {"values": {"root_module": {"resources": [stack]}}}}
    values = Hider(plan).plan["prior_state"]["values"]["root_module"]["resources"][0]["values"]
    assert values["outputs"] == {"Name": "kennel"}
    assert values["key"] != "told"


def test_what_a_plan_hides_is_hidden_in_what_others_say_of_it() -> None:
    after = {"environment": {"SOME": "planted value"}, "name": "kennel-local", "other": 'say "planted value"'}
    hider = Hider({"resource_changes": [change(None, after)]})
    assert hider.text('found "planted value" in kennel-local') == 'found "(hidden)" in kennel-local'


def test_a_setting_is_no_public_name_whatever_it_is_called() -> None:
    hider = Hider(
        {"resource_changes": [change(None, {"environment": {"NAME": "planted value"}, "name": "kennel-1"})]}
    )
    assert hider.text('found "planted value" in kennel-1') == 'found "(hidden)" in kennel-1'


def test_a_region_or_an_account_in_an_environment_is_not_hidden_wherever_it_is_named() -> None:
    settings = {
        "REGION": "us-east-1",
        "ACCOUNT": "123456789012",
        "FOLDER": "/opt/ml/model",
        "A_TOKEN": "87654321",
    }
    hider = Hider({"resource_changes": [change(None, {"environment": settings})]})
    assert not {*settings.values()} & {
        *hider.plan["resource_changes"][0]["change"]["after"]["environment"].values()
    }
    told = "us-east-1 123456789012 /opt/ml/model"
    assert hider.text(f"{told} 87654321") == f"{told} (hidden)"


TEXT = """
  ~ resource "aws_lambda_function" "this" {
      ~ description = "open"
      + environment {
          + variables = {
              + "SOME" = "short"
              - OTHER  = "x" -> null
            }
        }
      ~ user_data   = "abc" -> "def"
      ~ api_token   = "abc" # forces replacement
      + script      = <<-EOT
            echo open
        EOT
        name        = "kennel"
    }
"""


def test_terraforms_own_words_lose_settings_and_scripts_line_by_line() -> None:
    text = Hider({}).plan_text(TEXT)
    assert '"SOME" = (hidden)' in text
    assert "OTHER  = (hidden)" in text
    assert "user_data   = (hidden)" in text
    assert "api_token   = (hidden)" in text
    assert 'description = "open"' in text
    assert 'name        = "kennel"' in text
    for value in ("short", "abc", "def"):
        assert value not in text


LINES = """
      ~ environment {
          ~ variables = {
              + "JSON" = jsonencode(
                    {
                      + hosts = [
                          + "planted",
                          + "cGxhbnRlZA==planted",
                        ]
                    }
                )
              + "TEXT" = <<-EOT
                    planted one
                    planted = {
                    cGxhbnRlZA==planted
                EOT
                # (2 unchanged elements hidden)
            }
        }
      ~ user_data = <<-EOT
            #!/bin/sh
          - curl planted
          + curl another-planted
        EOT -> null
      - api_tokens = [
          - "planted",
        ] -> null
        name        = "kennel"
"""


def test_terraforms_own_words_lose_settings_and_scripts_of_several_lines() -> None:
    text = Hider({}).plan_text(LINES)
    assert "planted" not in text
    assert "cGxhbnRlZA" not in text
    for words in (
        '"JSON" = jsonencode(',
        '"TEXT" = (hidden)',
        "(2 unchanged elements",
        'name        = "kennel"',
    ):
        assert words in text
