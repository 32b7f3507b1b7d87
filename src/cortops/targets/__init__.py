"""Who asks and acts on a machine: this one, or an SSH host; and the service managers found there."""
