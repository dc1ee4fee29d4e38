"""What the tests of all upstream dialects share: short ways to write calls, and the cases that each of them answers."""
