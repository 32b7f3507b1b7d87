"""The bundled environment on this machine, through the same deploy engine that drives every other host."""
