"""Tests of replay and simulate."""
