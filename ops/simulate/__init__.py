"""Replays a traffic against scaling policies, in the engine that the embedded cloud scales with."""
