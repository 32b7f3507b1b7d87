"""What runs inside an environment: one folder per program, each started as `python -m cortops.programs.NAME FILE`."""
