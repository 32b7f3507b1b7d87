"""States and graph -> cause -> alert; and whom an alert reaches."""
