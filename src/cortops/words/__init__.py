"""The shared words as frozen values. A closed list, standard library only; one meaning each (see docs/reference/words.md)."""
