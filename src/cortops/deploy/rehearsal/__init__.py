"""Rehearsals and drills: copies of nodes on this machine, changed by the same engine as the nodes themselves."""
