"""The pure rules of rollouts, which do no I/O.

`record` has the rules of a service's record, `decide` returns what to do now, `change` what a
deploy changes, `rollback` the revision that a rollback goes to, `strategy` the steps of the
traffic, `keeping` the revisions that are kept.
"""
