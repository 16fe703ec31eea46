"""Requests nobody would send, what each means by a reading of its own, and whether it was answered as it should be.

`shots` makes requests that are right, `mutations` spoils them, `wire` sends them, `requests` reads them as the documents
say with what Python brings along, `models` asks scikit-learn's own estimator, and `judge` holds the answers against it.
Nothing here imports the server.
"""
