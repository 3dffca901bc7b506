"""Long proofs, run by `make evidence` only."""
