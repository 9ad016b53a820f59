"""Tests of the KPI stage."""
