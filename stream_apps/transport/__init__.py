"""The parts of the batch transport; `stream_apps.batch_transport` is its face.

In: nothing. Out: nothing. Never: imported by name from outside this folder's face.
"""
