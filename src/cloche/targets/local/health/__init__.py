"""Whether a replica answers, and answers rightly: what a supervisor is told of it."""
