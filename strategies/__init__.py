"""Pure mathematics of votes, selection and sums: no disk, clock, network or own randomness."""
