"""Proof by breaking things: nothing that dies, freezes, fails over or is cut off may cost a document.

`runs` starts the command line in processes that strike themselves at a chosen database command, `workload` has the
documents and what has to become of them.
"""
