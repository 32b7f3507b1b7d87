"""Wire shapes that programs, surfaces and cortensord share: env-file keys, route bodies, gateway configuration, usage rows."""
