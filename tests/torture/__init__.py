"""The crash test: a running platform whose processes are killed at random must end exact and finished."""
