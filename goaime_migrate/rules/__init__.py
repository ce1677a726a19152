"""What can be said of a migration before it runs: of its file alone (`lint`), and of what it would do (`plan`).

A rule is one small function, and its docstring says what it is about. The registry lists them all.
"""
