"""How the traffic comes from one revision to the next: pure rules, with no client in them.

`record` has the rules of a service's record, `decide` says what to do now, `change` what a deploy
changes, `rollback` which revision a rollback goes to, `strategy` how the traffic moves.
"""
