"""Private payloads: what routers and miners are told of them, the list of who may have keys, and whether all of it is well."""
