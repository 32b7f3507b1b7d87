"""What is declared: one YAML file -> typed frozen values with positions, all errors at once; and the graph of what depends on what."""
