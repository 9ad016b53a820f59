"""One line for each framework: requests, tasks and crashes become events.

In: a framework's own hooks.
Out: page views, API calls, timed operations, crashes.
Never: an import of a framework that the host has not installed.
"""
