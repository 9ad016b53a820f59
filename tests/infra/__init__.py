"""Tests of settings, supervisor and commands."""
