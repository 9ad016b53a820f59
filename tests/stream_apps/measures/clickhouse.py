"""Runs statements in an engine of its own, outside the test's process: two engines in one folder or process refuse each other.

In: a folder, a JSON list of statements on stdin.
Out: a JSON list with the rows of each, as lists.
Never: a folder that lives on.
"""

import json
import sys

from chdb.session import Session

if __name__ == "__main__":
    session = Session(sys.argv[1])
    results = []
    for statement in json.load(sys.stdin):
        text = session.query(statement, "JSONCompactEachRow").bytes().decode()
        results.append([json.loads(line) for line in text.splitlines() if line])
    sys.stdout.write(json.dumps(results))
    sys.stdout.flush()
    session.close()
