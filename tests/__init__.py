"""Tests of every room; each folder holds those of the room that it is named after."""
