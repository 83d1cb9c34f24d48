"""无码库: quantity-only stock by product and batch, its proofs, deadlines and end (R-C8, R-D1)."""
