"""What a development child chain and its parent have between them: deposits and feed, batches, assertions and withdrawals. Ours."""
