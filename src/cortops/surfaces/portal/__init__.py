"""The portal: its configuration and service, and whether it is well."""
