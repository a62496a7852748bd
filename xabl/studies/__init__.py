"""Whole studies: many models ablated, or trained and ablated, and nothing lost.

A study is a file; what it asks for is a list of runs, each known by the contents of
what determines its result. Workers (processes here, jobs of a cluster) take the runs
that are left from a shared folder, and whatever kills one of them or all of them, the
next start does only what is missing.
"""
