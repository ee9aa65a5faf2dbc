"""Harnesses that take bytes and must end in an answer or a plain refusal; run.py drives them, test_replay.py replays."""
